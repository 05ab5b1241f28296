-- Answers: whether each arm got the share that its weights promised. Below a p_value of .001, find out why before you
-- compare arms. Of a unit only the first draw counts, so let the days begin with the trial. p_value is that of a
-- chi-squared test, by the approximation of Wilson and Hilferty (1931).
-- Scans: inferences, one route since a day: weights, and narrow columns.
WITH draws AS (
    SELECT
        arm,
        weights,
        row_number() OVER (
            PARTITION BY coalesce(unit_hash, decision_id) ORDER BY event_ts_us, decision_id, instance_index
        ) AS nth
    FROM inferences
    WHERE route = '${route}' AND dt >= '${since}' AND role = 'primary' AND reason IN ('WEIGHTED', 'STICKY')
        AND propensity IS NOT NULL
),
expected AS (
    SELECT w.arm, sum(element_at(d.weights, w.arm)) AS expected
    FROM draws AS d
    CROSS JOIN UNNEST(map_keys(d.weights)) AS w (arm)
    WHERE d.nth = 1
    GROUP BY w.arm
),
observed AS (
    SELECT arm, count(*) AS observed
    FROM draws
    WHERE nth = 1
    GROUP BY arm
),
beside AS (
    SELECT e.arm, coalesce(o.observed, 0) AS observed, e.expected
    FROM expected AS e
    LEFT JOIN observed AS o ON o.arm = e.arm
    WHERE e.expected > 0
),
tested AS (
    SELECT sum(power(observed - expected, 2) / expected) AS chi_squared, CAST(count(*) - 1 AS DOUBLE) AS freedom
    FROM beside
),
normal AS (
    SELECT
        chi_squared,
        freedom,
        (power(chi_squared / freedom, 1e0 / 3e0) - (1e0 - 2e0 / (9e0 * freedom))) / sqrt(2e0 / (9e0 * freedom)) AS z
    FROM tested
    WHERE freedom > 0
)
SELECT
    b.arm,
    b.observed,
    b.expected,
    n.chi_squared,
    -- The upper tail of the normal distribution, to .00001: Abramowitz and Stegun 26.2.17.
    CASE WHEN n.z < 0 THEN 1e0 - t.tail ELSE t.tail END AS p_value
FROM beside AS b
CROSS JOIN normal AS n
CROSS JOIN (
    SELECT
        exp(-z * z / 2e0) / sqrt(2e0 * pi()) * k * (0.319381530e0 + k * (-0.356563782e0 + k * (1.781477937e0
            + k * (-1.821255978e0 + k * 1.330274429e0)))) AS tail
    FROM (SELECT z, 1e0 / (1e0 + 0.2316419e0 * abs(z)) AS k FROM normal)
) AS t
ORDER BY b.arm
