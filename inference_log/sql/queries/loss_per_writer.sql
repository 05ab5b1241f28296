-- Answers: how many records of each writer are not in the log. All rows must say 0, apart from what waits to be shipped.
-- Scans: inferences and rewards, all routes and days: narrow columns. In Athena, register partitions first.
SELECT writer_id, last_ts, written, found, lost
FROM loss
ORDER BY lost DESC, writer_id
