-- Replace the report of one replica, and delete the reports of replicas that have been silent for long.
--
-- KEYS[1]  reports  hash  replica -> "seconds report": its time of arrival by the server's clock, and the report;
--                         never expires, but silent replicas are deleted from it
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  seconds of silence allowed
-- ARGV[3]  replica      ARGV[4]  report
--
-- Returns {'reported'} or {'late'}.

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

redis.call('HSET', KEYS[1], ARGV[3], now[1] .. ' ' .. ARGV[4])
local reports = redis.call('HGETALL', KEYS[1])
for at = 1, #reports, 2 do
  local arrived = tonumber(string.match(reports[at + 1], '^%d+') or '0')
  if now[1] - arrived > tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], reports[at]) end
end
return {'reported'}
