-- Add a new API key.
--
-- KEYS[1]  store    hash    identity, number (of changes), audited, keys (their revision); never expires
-- KEYS[2]  keys     hash    id -> API key; never expires
-- KEYS[3]  attempt  string  exists if this attempt has added its key; expires after a minute
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  channel to publish to
-- ARGV[3]  id      ARGV[4]  key
--
-- Returns {'added'}, {'exists'} or {'late'}.

local ATTEMPT_S = 60

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

-- This attempt has added the key already, and its reply was lost.
if redis.call('EXISTS', KEYS[3]) == 1 then return {'added'} end

if redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4]) == 0 then return {'exists'} end
redis.call('SET', KEYS[3], '1', 'EX', ATTEMPT_S)
local revision = redis.call('HINCRBY', KEYS[1], 'keys', 1)
redis.pcall('PUBLISH', ARGV[2], revision)
return {'added'}
