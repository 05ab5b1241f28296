-- Answers: how far the values of a feature have moved since the first day: the population stability index (PSI) of each
-- day over ten bins that held equal shares then. Below .1 is little, above .25 is much.
-- Scans: inferences, one route since a day: features_num, and narrow columns.
WITH values_by_day AS (
    SELECT dt, element_at(features_num, '${feature}') AS x
    FROM inferences
    WHERE route = '${route}' AND dt >= '${since}' AND role = 'primary'
        AND element_at(features_num, '${feature}') IS NOT NULL
),
edges AS (
    SELECT bin, min(x) AS low
    FROM (
        SELECT x, ntile(10) OVER (ORDER BY x) AS bin
        FROM values_by_day
        WHERE dt = (SELECT min(dt) FROM values_by_day)
    )
    GROUP BY bin
),
above AS (
    SELECT v.dt, e.bin, count_if(e.bin = 1 OR v.x >= e.low) AS at_least
    FROM values_by_day AS v
    CROSS JOIN edges AS e
    GROUP BY v.dt, e.bin
),
inside AS (
    SELECT
        dt,
        bin,
        at_least - coalesce(lead(at_least) OVER (PARTITION BY dt ORDER BY bin), 0) AS found,
        max(at_least) OVER (PARTITION BY dt) AS rows_of_day
    FROM above
),
shares AS (
    SELECT
        dt,
        rows_of_day,
        (found + 0.5e0) / (rows_of_day + 5e0) AS share,
        first_value((found + 0.5e0) / (rows_of_day + 5e0)) OVER (PARTITION BY bin ORDER BY dt) AS first_share
    FROM inside
)
SELECT dt, max(rows_of_day) AS instances, sum((share - first_share) * ln(share / first_share)) AS psi
FROM shares
GROUP BY dt
ORDER BY dt
