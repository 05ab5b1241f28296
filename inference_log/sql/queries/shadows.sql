-- Answers: how a shadow's answers differ from those of the arm that answered, and how fast it is.
-- Scans: inferences, one route since a day: narrow columns.
SELECT
    arm AS shadow,
    model_version,
    compared_with,
    count(*) AS requests,
    1e2 * count_if(outcome <> 'ok') / count(*) AS failed_percent,
    1e2 * count_if(label_flips > 0) / count(*) AS requests_with_other_labels_percent,
    avg(mean_difference) AS mean_difference,
    approx_percentile(latency_ms, 0.99) AS p99_latency_ms
FROM inferences
WHERE route = '${route}' AND dt >= '${since}' AND role = 'shadow' AND instance_index = 0
GROUP BY arm, model_version, compared_with
ORDER BY arm, model_version, compared_with
