"""The view `labelled`: for each row of a primary and each metric that may be reported, what is known of it.

The value comes from the rewards that were in time, by the rules of `router.rewards`. Those that were late are told
apart: `late_value` and `late_label` say what they would make of it, and are null where none was late. The value is the
default, and the label null, where nothing was reported that still holds (`is_default`).

The view reads `every_reward`, in which one reward may be several rows: of two that say the same the earlier time
counts, and only all of them together have it.
"""

from router.rewards.buckets import LEAST_SETTLING_S, LONGEST_SETTLING_S
from router.rewards.events import MAX_EVENTS

_SETTLING_S = f"greatest(least(m.window_s, {LONGEST_SETTLING_S}), {LEAST_SETTLING_S})"
_HELD = """list_sort(
            list({{'us': abs({known}.us), 'event': event_id, 'value': {known}.value, 'label': {known}.label}})
            FILTER ({known}.rank < 2)  -- 2: retracted
        ) AS held{suffix},
        fsum({known}.value) FILTER ({known}.rank < 2) AS sum{suffix},
        min({known}.value) FILTER ({known}.rank < 2) AS min{suffix},
        max({known}.value) FILTER ({known}.rank < 2) AS max{suffix}"""
_VALUE = """CASE
        WHEN m.is_label THEN NULL
        WHEN k.held{suffix} IS NULL THEN m.default_value
        ELSE least(m.high, greatest(m.low, CASE m.aggregate
            WHEN 'first' THEN k.held{suffix}[1].value
            WHEN 'last' THEN k.held{suffix}[-1].value
            WHEN 'sum' THEN k.sum{suffix}
            WHEN 'min' THEN k.min{suffix}
            WHEN 'max' THEN k.max{suffix}
        END))
    END"""

_LABEL = """CASE
        WHEN {label}.label <> '' THEN {label}.label
        WHEN {label}.value = trunc({label}.value) AND abs({label}.value) < 1e15 THEN {label}.value::BIGINT::VARCHAR
        ELSE {label}.value::VARCHAR
    END"""
"""A label that is a number is written as `predicted_label` is."""

LABELLED = f"""
CREATE VIEW labelled AS
WITH reports AS (
    SELECT route, decision_id, metric, event_id, late, (ingested_ts_us, writer_id, writer_seq) AS arrival,
        {{
            'rank': CASE op WHEN 'add' THEN 0 WHEN 'set' THEN 1 ELSE 2 END,
            'us': CASE op WHEN 'set' THEN reward_ts_us ELSE -reward_ts_us END,
            'value': coalesce(value, 0.0),
            'label': coalesce(label, '')
        }} AS report
    FROM every_reward
),
events AS (
    SELECT route, decision_id, metric, event_id,
        max(report) FILTER (NOT late) AS known,
        max(report) AS known_late,
        bool_or(late) AS has_late,
        row_number() OVER (
            PARTITION BY route, decision_id, metric ORDER BY min(arrival) FILTER (NOT late) NULLS LAST
        ) AS nth
    FROM reports
    GROUP BY route, decision_id, metric, event_id
),
known AS (
    SELECT route, decision_id, metric, bool_or(has_late) AS has_late,
        {_HELD.format(known="known", suffix="")},
        {_HELD.format(known="known_late", suffix="_late")}
    FROM events
    WHERE nth <= {MAX_EVENTS} OR known IS NULL
    GROUP BY route, decision_id, metric
)
SELECT
    i.*,
    m.metric,
    {_VALUE.format(suffix="")} AS value,
    CASE WHEN m.is_label THEN {_LABEL.format(label="k.held[-1]")} END AS label,
    k.held IS NULL AS is_default,
    epoch_us(now()) >= i.event_ts_us - round(1000 * i.latency_ms) + 1e6 * (m.window_s + {_SETTLING_S}) AS matured,
    CASE WHEN k.has_late THEN {_VALUE.format(suffix="_late")} END AS late_value,
    CASE WHEN k.has_late AND m.is_label THEN {_LABEL.format(label="k.held_late[-1]")} END AS late_label
FROM inferences i
JOIN metrics m ON m.route = i.route AND m.policy_version = i.policy_version
    AND m.since_us <= i.event_ts_us AND (m.until_us IS NULL OR i.event_ts_us < m.until_us)
LEFT JOIN known k ON k.route = i.route AND k.decision_id = i.decision_id AND k.metric = m.metric
WHERE i.role = 'primary' AND m.formula IS NULL
"""  # noqa: S608  # built from constants of this file
"""The statement that creates it, beside `inferences`, `every_reward` and the table `metrics`."""
