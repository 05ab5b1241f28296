-- Answers: what failed, of which arm, how often, and since when.
-- Scans: inferences, one route since a day: narrow columns.
SELECT
    arm,
    role,
    outcome,
    error_code,
    status,
    count(*) AS attempts,
    min(event_ts) AS first_ts,
    max(event_ts) AS last_ts
FROM inferences
WHERE route = '${route}' AND dt >= '${since}' AND outcome <> 'ok' AND instance_index = 0
GROUP BY arm, role, outcome, error_code, status
ORDER BY attempts DESC, arm, role, outcome, error_code, status
