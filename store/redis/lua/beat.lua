-- Note that a machine evaluates routes, and forget those that have been silent for too long.
--
-- KEYS[1]  machines  zset  machine -> when it was heard last by the server's clock, in milliseconds
-- KEYS[2]  declined  hash  machine -> the routes that it declines (JSON); none of a machine that declines nothing
--                          both expire a while after the last machine was heard
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  milliseconds of silence allowed
-- ARGV[3]  seconds that both are kept      ARGV[4]  machine      ARGV[5]  what it declines, or ''
--
-- Returns {'machines', machine, ...}, and after an empty text what each declines: machine, routes, ...; or {'late'}.

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

local now_ms = math.floor(now[1] * 1000 + now[2] / 1000)
redis.call('ZADD', KEYS[1], now_ms, ARGV[4])
if ARGV[5] == '' then redis.call('HDEL', KEYS[2], ARGV[4]) else redis.call('HSET', KEYS[2], ARGV[4], ARGV[5]) end
-- A machine with a time to come was heard before the server's clock was set back.
for _, bound in ipairs({{'-inf', now_ms - ARGV[2]}, {now_ms + ARGV[2], '+inf'}}) do
  for _, silent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], bound[1], bound[2])) do
    redis.call('ZREM', KEYS[1], silent)
    redis.call('HDEL', KEYS[2], silent)
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])

local reply = redis.call('ZRANGE', KEYS[1], 0, -1)
table.insert(reply, 1, 'machines')
local declined = redis.call('HGETALL', KEYS[2])
reply[#reply + 1] = ''
for _, each in ipairs(declined) do reply[#reply + 1] = each end
return reply
