"""The view `first_exposures`: for each route and unit, the draw that first put the unit on an arm.

The draw of a sticky unit is random once: when the unit is first seen. Its slot then decides all of its requests. So an
analysis takes each unit once, with the arm and the propensity of its first draw. Forced, pinned and excluded requests
and those of fallbacks and shadows are not draws.
"""

FIRST_EXPOSURES = """
CREATE VIEW first_exposures AS
WITH drawn AS (
    SELECT *,
        row_number() OVER in_order AS nth,
        first_value(arm) OVER in_order AS first_arm
    FROM inferences
    WHERE role = 'primary' AND reason = 'STICKY' AND propensity IS NOT NULL AND unit_hash IS NOT NULL
    WINDOW in_order AS (PARTITION BY route, unit_hash ORDER BY event_ts_us, decision_id, instance_index)
)
SELECT
    route,
    unit_hash AS unit,
    first_arm AS arm,
    max(model_version) FILTER (nth = 1) AS model_version,
    max(propensity) FILTER (nth = 1) AS propensity,
    max(event_ts) FILTER (nth = 1) AS first_ts,
    max(policy_version) FILTER (nth = 1) AS policy_version,
    bool_or(arm <> first_arm) AS switched,
    min(event_ts) FILTER (arm <> first_arm) AS switched_ts
FROM drawn
GROUP BY route, unit_hash, first_arm
"""
"""The statement that creates it, beside the view `inferences`."""
