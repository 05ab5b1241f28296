-- Add the sums of one range of a source, exactly once.
--
-- KEYS[1]  source  string  where its counted part ends; expires a week after the last range was counted
-- KEYS[2]  counted  zset   route -> number of the last addition to its sums; expires as the sums over all time do
-- then per hash; it is for one time bucket or one policy version of one route, with or without groups of units:
--          sums    hash    key of the sum (JSON) -> integer; expires (below) after the last addition
--          index   zset    the route's buckets, or its policy versions; expires likewise
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  start of the range      ARGV[3]  its end
-- ARGV[4]  seconds that a source is kept      ARGV[5]  how many members an index keeps (those with the highest score)
-- ARGV[6]  the largest sum      ARGV[7]  seconds that `counted` is kept      ARGV[8]  number of routes
-- then per route: its name; then per hash: score in the index, seconds that it is kept, number of sums; and per sum: key, value
--
-- Returns {'ends', where the counted part of the source ends now} or {'late'}.

local FIRST_KEY, KEYS_EACH, FIRST_ROUTE = 3, 2, 9

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

-- A range is counted only if it begins where the last one ended. So each range is counted once.
local ends = redis.call('GET', KEYS[1]) or '0'
if ends ~= ARGV[2] then return {'ends', tonumber(ends)} end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])

-- HINCRBY fails when a sum would overflow. Set it to the largest number instead.
local function add(sums, key, value)
  local added = redis.pcall('HINCRBY', sums, key, value)
  if type(added) == 'table' and added.err then
    redis.call('HSET', sums, key, (value:sub(1, 1) == '-' and '-' or '') .. ARGV[6])
  end
end

-- Scores are exact up to 2^53.
local at = FIRST_ROUTE + tonumber(ARGV[8])
if at > FIRST_ROUTE then
  local newest = redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local number = 1 + tonumber(newest[2] or '0')
  for route = FIRST_ROUTE, at - 1 do redis.call('ZADD', KEYS[2], number, ARGV[route]) end
  redis.call('EXPIRE', KEYS[2], ARGV[7])
end

for key = FIRST_KEY, #KEYS, KEYS_EACH do
  local score, kept_s, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  at = at + 3
  for sum = at, at + 2 * count - 1, 2 do add(KEYS[key], ARGV[sum], ARGV[sum + 1]) end
  at = at + 2 * count
  redis.call('EXPIRE', KEYS[key], kept_s)
  redis.call('ZADD', KEYS[key + 1], score, score)
  redis.call('ZREMRANGEBYRANK', KEYS[key + 1], 0, -1 - ARGV[5])
  redis.call('EXPIRE', KEYS[key + 1], kept_s)
end
return {'ends', tonumber(ARGV[3])}
