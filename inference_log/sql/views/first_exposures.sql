-- For each route and sticky unit, the draw that first put the unit on an arm. Only that draw is random.
SELECT
    route,
    unit_hash AS unit,
    first_arm AS arm,
    max(CASE WHEN nth = 1 THEN model_version END) AS model_version,
    max(CASE WHEN nth = 1 THEN propensity END) AS propensity,
    max(CASE WHEN nth = 1 THEN event_ts END) AS first_ts,
    max(CASE WHEN nth = 1 THEN policy_version END) AS policy_version,
    bool_or(arm <> first_arm) AS switched,
    min(CASE WHEN arm <> first_arm THEN event_ts END) AS switched_ts
FROM (
    SELECT
        route,
        unit_hash,
        arm,
        model_version,
        propensity,
        event_ts,
        policy_version,
        row_number() OVER (
            PARTITION BY route, unit_hash ORDER BY event_ts_us, decision_id, instance_index
        ) AS nth,
        first_value(arm) OVER (
            PARTITION BY route, unit_hash ORDER BY event_ts_us, decision_id, instance_index
        ) AS first_arm
    FROM inferences
    WHERE role = 'primary' AND reason = 'STICKY' AND propensity IS NOT NULL AND unit_hash IS NOT NULL
)
GROUP BY route, unit_hash, first_arm
