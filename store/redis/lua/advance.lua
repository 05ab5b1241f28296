-- Move the ends of many sources, each only if it is where the caller has seen it.
--
-- KEYS     source  string  where its counted part ends; expires a week after it was moved last
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  seconds that a source is kept
-- then per source: the end that the caller has seen, and the new one
--
-- Returns {'ends', then where each source ends now} or {'late'}.

local FIRST_PAIR = 3

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

local reply = {'ends'}
for number, source in ipairs(KEYS) do
  local at = FIRST_PAIR + 2 * (number - 1)
  local ends = redis.call('GET', source) or '0'
  if ends == ARGV[at] then
    redis.call('SET', source, ARGV[at + 1], 'EX', ARGV[2])
    ends = ARGV[at + 1]
  end
  reply[number + 1] = ends
end
return reply
