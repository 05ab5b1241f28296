-- Answers: what a metric would have been, had the arm got all traffic, by inverse propensities (ips, with its standard
-- error) and self-normalised (snips). mean_weight must be about 1. Of a unit only the first draw counts, so on a route
-- with units let the days begin with the trial: units that were drawn before were chosen by what happened since.
-- Scans: inferences and rewards, one route since a day (rewards: all days of the route), and audit.
WITH draws AS (
    SELECT
        value,
        CASE WHEN arm = '${arm}' THEN 1e0 / propensity ELSE 0e0 END AS weight,
        row_number() OVER (
            PARTITION BY coalesce(unit_hash, decision_id) ORDER BY event_ts_us, decision_id, instance_index
        ) AS nth
    FROM labelled
    WHERE route = '${route}' AND dt >= '${since}' AND metric = '${metric}' AND matured AND outcome = 'ok'
        AND reason IN ('WEIGHTED', 'STICKY') AND propensity > 0
)
SELECT
    count(*) AS decisions,
    avg(weight) AS mean_weight,
    avg(value) AS logged,
    avg(weight * value) AS ips,
    stddev_samp(weight * value) / sqrt(count(*)) AS ips_error,
    sum(weight * value) / nullif(sum(weight), 0e0) AS snips,
    power(sum(weight), 2) / nullif(sum(weight * weight), 0e0) AS effective_sample_size
FROM draws
WHERE nth = 1
