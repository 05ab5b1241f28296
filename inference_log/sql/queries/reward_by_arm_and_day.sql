-- Answers: the mean of a metric by arm and day, of decisions whose window is over, and its standard error.
-- Scans: inferences and rewards, one route since a day (rewards: all days of the route), and audit.
SELECT
    dt,
    arm,
    count(*) AS decisions,
    count_if(NOT is_default) AS reported,
    avg(value) AS mean_value,
    stddev_samp(value) / sqrt(count(*)) AS standard_error
FROM labelled
WHERE route = '${route}' AND dt >= '${since}' AND metric = '${metric}' AND matured AND outcome = 'ok'
    AND instance_index = 0
GROUP BY dt, arm
ORDER BY dt, arm
