-- Advance the number of the last change that is in the log, if it still has the expected value.
--
-- KEYS[1]  store  hash  identity, number (of changes), audited, keys (their revision); never expires
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  expected number      ARGV[3]  new number
--
-- Returns {'advanced'}, {'elsewhere'} or {'late'}.

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

if (redis.call('HGET', KEYS[1], 'audited') or '0') ~= ARGV[2] then return {'elsewhere'} end
redis.call('HSET', KEYS[1], 'audited', ARGV[3])
return {'advanced'}
