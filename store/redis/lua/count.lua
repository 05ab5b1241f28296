-- Add the sums of one range of each source, exactly once, and replace outcomes of decisions in the same step.
--
-- KEYS[1]  counted  zset    route -> number of the last addition to its sums; expires as the sums over all time do
-- then per source:
--          source   string  where its counted part ends; expires a week after the last range was counted
-- then per outcome that changes:
--          outcome  string  what is kept of the outcomes of a decision; expires when it is of no use any more
-- then per hash; it is for one time bucket or one policy version of one route, with or without groups of units:
--          sums     hash    key of the sum (JSON) -> its integer, or integers with spaces between; expires (below) after
--                           the last addition
--          index    zset    the route's buckets, or its policy versions; expires likewise
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  sources      ARGV[3]  their number
-- ARGV[4]  seconds that a source is kept                ARGV[5]  seconds that `counted` is kept
-- ARGV[6]  the largest sum                              ARGV[7]  seconds that an outcome is kept at least
-- ARGV[8]  routes to which something is added           ARGV[9]  outcomes
-- ARGV[10] per outcome, one after the other: what it was when it was read, and what it is now
-- ARGV[11] hashes
-- ARGV[2], [8], [9] and [11] are lists in MessagePack, because thousands of arguments are slow to send:
-- per source: start and end of its range, as texts
-- per outcome: length as it was read, length now, the time (seconds since the epoch) until which it is of use
-- per hash: score in the index; how many members the index keeps (those with the highest score); seconds that both are
-- kept; what the hash's key has before the score, or '' if hashes that left the index are left to expire; how many
-- integers a sum has; number of sums; and per sum: key, and its integers as text with spaces between
--
-- Returns {'ends', where the counted part of each source ends now}, {'changed'} or {'late'}.

local FIRST_SOURCE_KEY, SOURCE_EACH, KEYS_EACH, OUTCOME_EACH, HASH_EACH, TRIMMED_AT_ONCE = 2, 2, 2, 3, 6, 100
local FIRST_OUTCOME_KEY = FIRST_SOURCE_KEY + ARGV[3]
local EXACT, BORROWED = 2 ^ 52, ''

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

-- Ranges are counted only if each begins where the last one ended. So each range is counted once. This comes before the
-- look at the outcomes: those of a range that was counted, and whose reply was lost, are no longer what was read.
local ranges, reply, moved = cmsgpack.unpack(ARGV[2]), {'ends'}, false
for at = 1, #ranges, SOURCE_EACH do
  local ends = redis.call('GET', KEYS[FIRST_SOURCE_KEY + #reply - 1]) or '0'
  moved = moved or ends ~= ranges[at]
  reply[#reply + 1] = tonumber(ends)
end
if moved then return reply end

-- Check every outcome before writing anything.
local routes, outcomes, hashes = cmsgpack.unpack(ARGV[8]), cmsgpack.unpack(ARGV[9]), cmsgpack.unpack(ARGV[11])
local changes, from = {}, 1
for at = 1, #outcomes, OUTCOME_EACH do
  local key, middle = KEYS[FIRST_OUTCOME_KEY + #changes], from + outcomes[at]
  if (redis.call('GET', key) or '') ~= ARGV[10]:sub(from, middle - 1) then return {'changed'} end
  from = middle + outcomes[at + 1]
  changes[#changes + 1] = {key, ARGV[10]:sub(middle, from - 1), outcomes[at + 2]}
end

for at = 1, #ranges, SOURCE_EACH do
  local source = (at - 1) / SOURCE_EACH
  redis.call('SET', KEYS[FIRST_SOURCE_KEY + source], ranges[at + 1], 'EX', ARGV[4])
  reply[source + 2] = tonumber(ranges[at + 1])
end
local soonest = now[1] + ARGV[7]
for _, change in ipairs(changes) do
  redis.call('SET', change[1], change[2], 'EXAT', string.format('%.0f', math.max(change[3], soonest)))
end

-- Scores are exact up to 2^53.
if #routes > 0 then
  local newest = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local number = 1 + tonumber(newest[2] or '0')
  for _, route in ipairs(routes) do redis.call('ZADD', KEYS[1], number, route) end
  redis.call('EXPIRE', KEYS[1], ARGV[5])
end

-- Add an integer to one in a hash, with 64 bits. HINCRBY fails when the sum would overflow. Set it to the largest number
-- instead. A damaged sum stays as it is.
local function add(sums, field, value)
  local added = redis.pcall('HINCRBY', sums, field, value)
  if type(added) == 'table' and added.err and string.find(added.err, 'overflow') then
    redis.call('HSET', sums, field, (value:sub(1, 1) == '-' and '-' or '') .. ARGV[6])
  end
end

-- Return the sum of two integers that are texts. The numbers of Lua have 53 bits; for larger ones, borrow a field.
local function plus(sums, one, other)
  local first, second = tonumber(one), tonumber(other)
  if math.abs(first) < EXACT and math.abs(second) < EXACT then return string.format('%.0f', first + second) end
  redis.call('HSET', sums, BORROWED, one)
  add(sums, BORROWED, other)
  local sum = redis.call('HGET', sums, BORROWED)
  redis.call('HDEL', sums, BORROWED)
  return sum
end

-- Add several integers to those of one field. Reading thousands of sums takes half of the time and memory that it takes
-- with a field for each integer. Damaged sums stay as they are.
local function add_each(sums, field, values)
  local known, added = redis.call('HGET', sums, field), {}
  if not known then return redis.call('HSET', sums, field, values) end
  local numbers = {}
  for number in string.gmatch(known, '%S+') do numbers[#numbers + 1] = string.match(number, '^%-?%d+$') end
  for value in string.gmatch(values, '%S+') do
    local number = numbers[#added + 1]
    if not number then return end
    added[#added + 1] = plus(sums, number, value)
  end
  redis.call('HSET', sums, field, table.concat(added, ' '))
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
  local score, kept, kept_s, stem, integers, count = unpack(hashes, at, at + HASH_EACH - 1)
  at = at + HASH_EACH
  for sum = at, at + 2 * count - 1, 2 do
    if integers == 1 then add(sums, hashes[sum], hashes[sum + 1]) else add_each(sums, hashes[sum], hashes[sum + 1]) end
  end
  at = at + 2 * count
  redis.call('EXPIRE', sums, kept_s)
  redis.call('ZADD', index, score, score)
  trim(index, kept, stem)
  redis.call('EXPIRE', index, kept_s)
end
return reply
