-- Read the clock of the server that holds the data.
--
-- KEYS[1]  store  hash  not read; a cluster routes the script by this key to the right server
--
-- Returns microseconds since the epoch.

local now = redis.call('TIME')
return now[1] * 1000000 + now[2]
