-- Answers: how the arms of a route do beside each other: requests, failures, fallbacks, latency.
-- Scans: inferences, one route since a day: narrow columns.
SELECT
    arm,
    model_version,
    count(*) AS requests,
    count_if(outcome = 'ok') AS answered,
    1e2 * count_if(outcome <> 'ok') / count(*) AS failed_percent,
    1e2 * count_if(role = 'fallback') / count(*) AS fallback_percent,
    avg(latency_ms) AS mean_latency_ms,
    approx_percentile(latency_ms, 0.99) AS p99_latency_ms
FROM inferences
WHERE route = '${route}' AND dt >= '${since}' AND role <> 'shadow' AND instance_index = 0
GROUP BY arm, model_version
ORDER BY arm, model_version
