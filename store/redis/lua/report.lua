-- Replace the report of one replica, or note that it is still true. Delete the reports of replicas that are silent.
--
-- KEYS[1]  reports   hash  replica -> "seconds report": when it came by the server's clock, and the report
-- KEYS[2]  reported  zset  replica -> when it was heard last by the server's clock, in seconds
-- KEYS[3]  times     hash  replica -> when it was heard last by its own clock, as text
--                          none of them expires, but silent replicas are deleted from them
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  seconds of silence allowed
-- ARGV[3]  replica      ARGV[4]  its time      ARGV[5]  report, or '' if the last one is still true
--
-- Returns {'reported'}, {'unknown'} if there is no last one, or {'late'}.

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[3], now[1] .. ' ' .. ARGV[5])
elseif redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then
  return {'unknown'}
end
redis.call('ZADD', KEYS[2], now[1], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
-- Replicas of an earlier release are in the hash alone.
if redis.call('HLEN', KEYS[1]) > redis.call('ZCARD', KEYS[2]) then
  for _, replica in ipairs(redis.call('HKEYS', KEYS[1])) do
    local arrived = string.match(redis.call('HGET', KEYS[1], replica), '^%d+') or '0'
    redis.call('ZADD', KEYS[2], 'NX', arrived, replica)
  end
end
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now[1] - ARGV[2])) do
  redis.call('ZREM', KEYS[2], silent)
  redis.call('HDEL', KEYS[1], silent)
  redis.call('HDEL', KEYS[3], silent)
end
return {'reported'}
