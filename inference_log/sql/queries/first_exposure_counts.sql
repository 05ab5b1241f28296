-- Answers: how many units each arm has, by the draw that first put them there, and how many have seen another arm since.
-- Scans: inferences, one route, all days: narrow columns. A unit's first draw may be on any day.
SELECT
    arm,
    count(*) AS units,
    count_if(first_ts >= CAST('${since}' AS TIMESTAMP)) AS new_units,
    avg(propensity) AS mean_propensity,
    1e2 * count_if(switched) / count(*) AS switched_percent
FROM first_exposures
WHERE route = '${route}'
GROUP BY arm
ORDER BY arm
