-- Answers: who asked, by which door, how often, how much of it failed, and how many instances each request had.
-- Scans: inferences, one route since a day: narrow columns.
SELECT
    caller,
    door,
    count(*) AS requests,
    sum(CASE WHEN outcome = 'ok' THEN 0 ELSE 1 END) AS failed,
    avg(batch_size) AS mean_instances,
    max(event_ts) AS last_ts
FROM inferences
WHERE route = '${route}' AND dt >= '${since}' AND role = 'primary' AND instance_index = 0
GROUP BY caller, door
ORDER BY requests DESC, caller, door
