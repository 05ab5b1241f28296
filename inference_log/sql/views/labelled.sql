-- For each row of a primary and each metric that may be reported: what is known of it by the rewards that were in time
-- (value, label), and what those that were late would make of it (late_value, late_label).
-- Of one event a retraction beats all, and a set value an added one; of two that were set the later counts, of two that
-- were added the earlier. A decision and metric has ${most_events} events at most: the first that arrived.
WITH reports AS (
    SELECT
        route, decision_id, metric, event_id, late, ingested_ts_us, writer_id, writer_seq,
        CASE op WHEN 'add' THEN 0 WHEN 'set' THEN 1 ELSE 2 END AS rank,
        CASE op WHEN 'set' THEN reward_ts_us ELSE -reward_ts_us END AS us,
        coalesce(value, 0e0) AS value,
        coalesce(label, '') AS label
    FROM every_reward
),
ordered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY route, decision_id, metric, event_id, late ORDER BY rank DESC, us DESC, value DESC, label DESC
        ) AS nth_alike,
        row_number() OVER (
            PARTITION BY route, decision_id, metric, event_id ORDER BY rank DESC, us DESC, value DESC, label DESC
        ) AS nth_of_all,
        row_number() OVER (
            PARTITION BY route, decision_id, metric, event_id, late ORDER BY ingested_ts_us, writer_id, writer_seq
        ) AS nth_to_arrive
    FROM reports
),
events AS (
    SELECT
        route, decision_id, metric, event_id,
        bool_or(late) AS has_late,
        max(CASE WHEN NOT late AND nth_alike = 1 THEN rank END) AS rank,
        max(CASE WHEN NOT late AND nth_alike = 1 THEN abs(us) END) AS us,
        max(CASE WHEN NOT late AND nth_alike = 1 THEN value END) AS value,
        max(CASE WHEN NOT late AND nth_alike = 1 THEN label END) AS label,
        max(CASE WHEN nth_of_all = 1 THEN rank END) AS late_rank,
        max(CASE WHEN nth_of_all = 1 THEN abs(us) END) AS late_us,
        max(CASE WHEN nth_of_all = 1 THEN value END) AS late_value,
        max(CASE WHEN nth_of_all = 1 THEN label END) AS late_label,
        max(CASE WHEN NOT late AND nth_to_arrive = 1 THEN ingested_ts_us END) AS arrived_us,
        max(CASE WHEN NOT late AND nth_to_arrive = 1 THEN writer_id END) AS arrived_at,
        max(CASE WHEN NOT late AND nth_to_arrive = 1 THEN writer_seq END) AS arrived_as
    FROM ordered
    GROUP BY route, decision_id, metric, event_id
),
numbered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY route, decision_id, metric ORDER BY arrived_us NULLS LAST, arrived_at, arrived_as
        ) AS nth
    FROM events
),
counted AS (
    SELECT
        *,
        CASE WHEN rank < 2 THEN 1 ELSE 0 END AS is_held,
        CASE WHEN late_rank < 2 THEN 1 ELSE 0 END AS late_is_held
    FROM numbered
    WHERE nth <= ${most_events} OR rank IS NULL
),
placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY route, decision_id, metric, is_held ORDER BY us, event_id
        ) AS nth_first,
        row_number() OVER (
            PARTITION BY route, decision_id, metric, is_held ORDER BY us DESC, event_id DESC
        ) AS nth_last,
        row_number() OVER (
            PARTITION BY route, decision_id, metric, late_is_held ORDER BY late_us, event_id
        ) AS late_nth_first,
        row_number() OVER (
            PARTITION BY route, decision_id, metric, late_is_held ORDER BY late_us DESC, event_id DESC
        ) AS late_nth_last
    FROM counted
),
known AS (
    SELECT
        route, decision_id, metric,
        bool_or(has_late) AS has_late,
        max(is_held) AS is_held,
        max(CASE WHEN is_held = 1 AND nth_first = 1 THEN value END) AS first_value,
        max(CASE WHEN is_held = 1 AND nth_last = 1 THEN value END) AS last_value,
        max(CASE WHEN is_held = 1 AND nth_last = 1 THEN label END) AS last_label,
        sum(CASE WHEN is_held = 1 THEN value END) AS sum_value,
        min(CASE WHEN is_held = 1 THEN value END) AS min_value,
        max(CASE WHEN is_held = 1 THEN value END) AS max_value,
        max(late_is_held) AS late_is_held,
        max(CASE WHEN late_is_held = 1 AND late_nth_first = 1 THEN late_value END) AS late_first_value,
        max(CASE WHEN late_is_held = 1 AND late_nth_last = 1 THEN late_value END) AS late_last_value,
        max(CASE WHEN late_is_held = 1 AND late_nth_last = 1 THEN late_label END) AS late_last_label,
        sum(CASE WHEN late_is_held = 1 THEN late_value END) AS late_sum_value,
        min(CASE WHEN late_is_held = 1 THEN late_value END) AS late_min_value,
        max(CASE WHEN late_is_held = 1 THEN late_value END) AS late_max_value
    FROM placed
    GROUP BY route, decision_id, metric
)
SELECT
    ${columns},
    m.metric,
    CASE
        WHEN m.is_label THEN NULL
        WHEN coalesce(k.is_held, 0) = 0 THEN m.default_value
        ELSE least(m.high, greatest(m.low, CASE m.aggregate
            WHEN 'first' THEN k.first_value
            WHEN 'last' THEN k.last_value
            WHEN 'sum' THEN k.sum_value
            WHEN 'min' THEN k.min_value
            WHEN 'max' THEN k.max_value
        END))
    END AS value,
    CASE
        WHEN NOT m.is_label OR coalesce(k.is_held, 0) = 0 THEN NULL
        WHEN k.last_label <> '' THEN k.last_label
        WHEN k.last_value = floor(k.last_value) AND abs(k.last_value) < 1e15
            THEN CAST(CAST(k.last_value AS BIGINT) AS VARCHAR)
        ELSE json_format(CAST(k.last_value AS JSON))
    END AS label,
    coalesce(k.is_held, 0) = 0 AS is_default,
    to_unixtime(current_timestamp) * 1e6 >= CAST(i.event_ts_us AS DOUBLE) - round(1000 * i.latency_ms)
        + 1e6 * (m.window_s + greatest(least(m.window_s, ${longest_settling_s}e0), ${least_settling_s}e0)) AS matured,
    CASE
        WHEN m.is_label OR NOT coalesce(k.has_late, false) THEN NULL
        WHEN k.late_is_held = 0 THEN m.default_value
        ELSE least(m.high, greatest(m.low, CASE m.aggregate
            WHEN 'first' THEN k.late_first_value
            WHEN 'last' THEN k.late_last_value
            WHEN 'sum' THEN k.late_sum_value
            WHEN 'min' THEN k.late_min_value
            WHEN 'max' THEN k.late_max_value
        END))
    END AS late_value,
    CASE
        WHEN NOT m.is_label OR NOT coalesce(k.has_late, false) OR k.late_is_held = 0 THEN NULL
        WHEN k.late_last_label <> '' THEN k.late_last_label
        WHEN k.late_last_value = floor(k.late_last_value) AND abs(k.late_last_value) < 1e15
            THEN CAST(CAST(k.late_last_value AS BIGINT) AS VARCHAR)
        ELSE json_format(CAST(k.late_last_value AS JSON))
    END AS late_label
FROM inferences i
JOIN metrics m ON m.route = i.route AND m.policy_version = i.policy_version
    AND m.since_us <= i.event_ts_us AND (m.until_us IS NULL OR i.event_ts_us < m.until_us)
LEFT JOIN known k ON k.route = i.route AND k.decision_id = i.decision_id AND k.metric = m.metric
WHERE i.role = 'primary' AND m.formula IS NULL
