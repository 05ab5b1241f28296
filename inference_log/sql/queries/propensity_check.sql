-- Answers: whether propensities are those of the weights, and whether 1 / propensity adds up to the number of decisions
-- (ratio must be about 1 in each arm). Of a unit only the first draw counts.
-- Scans: inferences, one route since a day: weights, and narrow columns.
WITH draws AS (
    SELECT
        arm,
        propensity,
        element_at(weights, arm) AS weight,
        row_number() OVER (
            PARTITION BY coalesce(unit_hash, decision_id) ORDER BY event_ts_us, decision_id, instance_index
        ) AS nth
    FROM inferences
    WHERE route = '${route}' AND dt >= '${since}' AND role = 'primary' AND reason IN ('WEIGHTED', 'STICKY')
        AND propensity > 0
)
SELECT
    arm,
    count(*) AS decisions,
    count_if(abs(propensity - coalesce(weight, 0e0)) > 1e-9) AS not_the_weight,
    min(propensity) AS least_propensity,
    sum(1e0 / propensity) / max(total) AS ratio
FROM (SELECT *, count(*) OVER () AS total FROM draws WHERE nth = 1)
GROUP BY arm
ORDER BY arm
