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
-- ARGV[8]  routes to which something is added           ARGV[9]  outcomes
-- ARGV[10] per outcome, one after the other: what it was when it was read, and what it is now
-- ARGV[11] hashes
-- ARGV[8], [9] and [11] are lists in MessagePack, because thousands of arguments are slow to send:
-- per outcome: length as it was read, length now, the time (seconds since the epoch) until which it is of use
-- per hash: score in the index; how many members the index keeps (those with the highest score); seconds that both are
-- kept; what the hash's key has before the score, or '' if hashes that left the index are left to expire; '', or the
-- letters of the integers of each sum; number of sums; and per sum: key, and its integers as text with spaces between
--
-- Returns {'ends', where the counted part of the source ends now}, {'changed'} or {'late'}.

local FIRST_OUTCOME_KEY, KEYS_EACH, OUTCOME_EACH, HASH_EACH, TRIMMED_AT_ONCE = 3, 2, 3, 6, 100

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

-- A range is counted only if it begins where the last one ended. So each range is counted once. This comes before the
-- look at the outcomes: those of a range that was counted, and whose reply was lost, are no longer what was read.
local ends = redis.call('GET', KEYS[1]) or '0'
if ends ~= ARGV[2] then return {'ends', tonumber(ends)} end

-- Check every outcome before writing anything.
local routes, outcomes, hashes = cmsgpack.unpack(ARGV[8]), cmsgpack.unpack(ARGV[9]), cmsgpack.unpack(ARGV[11])
local changes, from = {}, 1
for at = 1, #outcomes, OUTCOME_EACH do
  local key, middle = KEYS[FIRST_OUTCOME_KEY + #changes], from + outcomes[at]
  if (redis.call('GET', key) or '') ~= ARGV[10]:sub(from, middle - 1) then return {'changed'} end
  from = middle + outcomes[at + 1]
  changes[#changes + 1] = {key, ARGV[10]:sub(middle, from - 1), outcomes[at + 2]}
end

redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
local soonest = now[1] + ARGV[7]
for _, change in ipairs(changes) do
  redis.call('SET', change[1], change[2], 'EXAT', string.format('%.0f', math.max(change[3], soonest)))
end

-- Scores are exact up to 2^53.
if #routes > 0 then
  local newest = redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local number = 1 + tonumber(newest[2] or '0')
  for _, route in ipairs(routes) do redis.call('ZADD', KEYS[2], number, route) end
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end

-- HINCRBY fails when a sum would overflow. Set it to the largest number instead. A damaged sum stays as it is.
local function add_integer(sums, field, value)
  local added = redis.pcall('HINCRBY', sums, field, value)
  if type(added) == 'table' and added.err and string.find(added.err, 'overflow') then
    redis.call('HSET', sums, field, (value:sub(1, 1) == '-' and '-' or '') .. ARGV[6])
  end
end

-- Add a sum of one integer or, with letters, of several: each has a field, whose name begins with the integer's letter.
local function add(sums, letters, key, values)
  if letters == '' then return add_integer(sums, key, values) end
  local number = 0
  for value in string.gmatch(values, '%S+') do
    number = number + 1
    if value ~= '0' then add_integer(sums, letters:sub(number, number) .. key, value) end
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

local at = 1
for key = FIRST_OUTCOME_KEY + #changes, #KEYS, KEYS_EACH do
  local sums, index = KEYS[key], KEYS[key + 1]
  local score, kept, kept_s, stem, letters, count = unpack(hashes, at, at + HASH_EACH - 1)
  at = at + HASH_EACH
  for sum = at, at + 2 * count - 1, 2 do
    add(sums, letters, hashes[sum], hashes[sum + 1])
  end
  at = at + 2 * count
  redis.call('EXPIRE', sums, kept_s)
  redis.call('ZADD', index, score, score)
  trim(index, kept, stem)
  redis.call('EXPIRE', index, kept_s)
end
return {'ends', tonumber(ARGV[3])}
