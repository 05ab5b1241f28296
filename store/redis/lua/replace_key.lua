-- Replace an API key, if it is still as it was read.
--
-- KEYS[1]  store  hash  identity, number (of changes), audited, keys (their revision); never expires
-- KEYS[2]  keys   hash  id -> API key; never expires
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  channel to publish to
-- ARGV[3]  id      ARGV[4]  key as it was read      ARGV[5]  new key
--
-- Returns {'replaced'}, {'changed'} or {'late'}.

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

if redis.call('HGET', KEYS[2], ARGV[3]) ~= ARGV[4] then return {'changed'} end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
local revision = redis.call('HINCRBY', KEYS[1], 'keys', 1)
redis.pcall('PUBLISH', ARGV[2], revision)
return {'replaced'}
