-- All rows of rewards, also those that repeat another one.
SELECT ${columns}
FROM rewards_raw
