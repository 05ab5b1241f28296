-- Answers: which version of a model answered how much of a route's traffic on each day, and under which policy.
-- Scans: inferences, one route since a day: narrow columns.
SELECT
    dt,
    model_name,
    model_version,
    arm,
    min(policy_version) AS first_policy_version,
    max(policy_version) AS last_policy_version,
    count(*) AS requests
FROM inferences
WHERE route = '${route}' AND dt >= '${since}' AND role = 'primary' AND instance_index = 0
GROUP BY dt, model_name, model_version, arm
ORDER BY dt, model_name, model_version, arm
