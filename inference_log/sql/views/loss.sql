-- For each writer (a replica's life): how many of its records are not in the log. It counts them from 0 up, over all
-- routes, decisions and rewards together. What a writer has not shipped yet is no loss: its highest number grows.
SELECT
    writer_id,
    max(event_ts) AS last_ts,
    max(writer_seq) + 1 AS written,
    count(DISTINCT writer_seq) AS found,
    max(writer_seq) + 1 - count(DISTINCT writer_seq) AS lost
FROM (
    SELECT writer_id, writer_seq, event_ts FROM inferences_all
    UNION ALL
    SELECT writer_id, writer_seq, ingested_ts AS event_ts FROM rewards_all
)
GROUP BY writer_id
