-- Add the sums of one range of a source, exactly once, and replace outcomes of decisions in the same step.
--
-- KEYS[1]  source   string  where its counted part ends; expires a week after the last range was counted
-- KEYS[2]  counted  zset    route -> number of the last addition to its sums; expires as the sums over all time do
-- then per outcome that changes:
--          outcome  string  what is kept of the outcomes of a decision; expires when it is of no use any more
-- then per hash; it is for one time bucket or one policy version of one route, with or without groups of units:
--          sums     hash    key of the sum (JSON) -> integer; expires (below) after the last addition
--          index    zset    the route's buckets, or its policy versions; expires likewise
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  start of the range      ARGV[3]  its end
-- ARGV[4]  seconds that a source is kept                ARGV[5]  seconds that `counted` is kept
-- ARGV[6]  the largest sum                              ARGV[7]  seconds that an outcome is kept at least
-- ARGV[8]  number of outcomes                           ARGV[9]  number of routes
-- then per outcome: as it was read, as it is now, the time (seconds since the epoch) until which it is of use
-- then per route: its name
-- then per hash: score in the index; how many members the index keeps (those with the highest score); seconds that both
-- are kept; what the hash's key has before the score, or '' if hashes that left the index are left to expire; number of
-- sums; and per sum: key, value
--
-- Returns {'ends', where the counted part of the source ends now}, {'changed'} or {'late'}.

local FIRST_OUTCOME_KEY, FIRST_OUTCOME, KEYS_EACH, OUTCOME_EACH, HASH_EACH, TRIMMED_AT_ONCE = 3, 10, 2, 3, 5, 100

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

-- A range is counted only if it begins where the last one ended. So each range is counted once. This comes before the
-- look at the outcomes: those of a range that was counted, and whose reply was lost, are no longer what was read.
local ends = redis.call('GET', KEYS[1]) or '0'
if ends ~= ARGV[2] then return {'ends', tonumber(ends)} end

-- Check every outcome before writing anything.
local outcomes, routes = tonumber(ARGV[8]), tonumber(ARGV[9])
for number = 0, outcomes - 1 do
  local known = redis.call('GET', KEYS[FIRST_OUTCOME_KEY + number]) or ''
  if known ~= ARGV[FIRST_OUTCOME + number * OUTCOME_EACH] then return {'changed'} end
end

redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
local soonest = now[1] + ARGV[7]
for number = 0, outcomes - 1 do
  local at = FIRST_OUTCOME + number * OUTCOME_EACH
  local until_s = math.max(tonumber(ARGV[at + 2]), soonest)
  redis.call('SET', KEYS[FIRST_OUTCOME_KEY + number], ARGV[at + 1], 'EXAT', string.format('%.0f', until_s))
end

-- Scores are exact up to 2^53.
local at = FIRST_OUTCOME + outcomes * OUTCOME_EACH
if routes > 0 then
  local newest = redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local number = 1 + tonumber(newest[2] or '0')
  for route = at, at + routes - 1 do redis.call('ZADD', KEYS[2], number, ARGV[route]) end
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end

-- HINCRBY fails when a sum would overflow. Set it to the largest number instead. A damaged sum stays as it is.
local function add(sums, key, value)
  local added = redis.pcall('HINCRBY', sums, key, value)
  if type(added) == 'table' and added.err and string.find(added.err, 'overflow') then
    redis.call('HSET', sums, key, (value:sub(1, 1) == '-' and '-' or '') .. ARGV[6])
  end
end

-- Remove what is beyond the members that an index keeps. The hash of a removed member has the name of this one up to
-- its score, so it lies in the same slot of a cluster.
local function trim(index, kept, stem)
  if stem ~= '' then
    local removed = redis.call('ZREVRANGEBYSCORE', index, '+inf', '-inf', 'LIMIT', kept, TRIMMED_AT_ONCE)
    for _, score in ipairs(removed) do redis.call('DEL', stem .. score) end
  end
  redis.call('ZREMRANGEBYRANK', index, 0, -1 - kept)
end

at = at + routes
for key = FIRST_OUTCOME_KEY + outcomes, #KEYS, KEYS_EACH do
  local sums, index = KEYS[key], KEYS[key + 1]
  local score, kept, kept_s, stem, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  at = at + HASH_EACH
  for sum = at, at + 2 * count - 1, 2 do add(sums, ARGV[sum], ARGV[sum + 1]) end
  at = at + 2 * count
  redis.call('EXPIRE', sums, kept_s)
  redis.call('ZADD', index, score, score)
  trim(index, kept, stem)
  redis.call('EXPIRE', index, kept_s)
end
return {'ends', tonumber(ARGV[3])}
