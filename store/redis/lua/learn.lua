-- Replace the learned policy of a route, if the newest one is still the one that it was learned from.
--
-- KEYS[1]  store     hash  identity, number (of changes), audited, keys and policies (revisions); never expires
-- KEYS[2]  policies  hash  route -> "life number policy": the newest one; never expires
-- KEYS[3]  order     zset  route -> revision at which its policy was written; never expires
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  route      ARGV[3]  life of the route
-- ARGV[4]  expected number; 0 if this life has none      ARGV[5]  new number      ARGV[6]  policy
--
-- Returns {'learned'}, {'elsewhere'} or {'late'}.

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

local stored = ARGV[3] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6]
local current = redis.call('HGET', KEYS[2], ARGV[2])
if current == stored then return {'learned'} end  -- this attempt's reply was lost

local life, number = string.match(current or '', '^(%S+) (%S+) ')
if life ~= ARGV[3] then number = '0' end
if number ~= ARGV[4] then return {'elsewhere'} end
redis.call('HSET', KEYS[2], ARGV[2], stored)
redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[1], 'policies', 1), ARGV[2])
return {'learned'}
