-- Answers: the latency of each arm by hour, and how much of it the model took.
-- Scans: inferences, one route since a day: narrow columns.
SELECT
    date_trunc('hour', event_ts) AS hour,
    arm,
    count(*) AS requests,
    approx_percentile(latency_ms, 0.5) AS p50_ms,
    approx_percentile(latency_ms, 0.95) AS p95_ms,
    approx_percentile(latency_ms, 0.99) AS p99_ms,
    approx_percentile(model_latency_ms, 0.99) AS model_p99_ms
FROM inferences
WHERE route = '${route}' AND dt >= '${since}' AND role = 'primary' AND outcome = 'ok' AND instance_index = 0
GROUP BY date_trunc('hour', event_ts), arm
ORDER BY hour, arm
