-- The server's clock, asked of the very server that holds the data.
--
-- KEYS[1]  store  hash   not read: it says which server of a cluster is meant
--
-- Returns microseconds since the epoch.

local now = redis.call('TIME')
return now[1] * 1000000 + now[2]
