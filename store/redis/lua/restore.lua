-- Put back documents and API keys into a store that has lost them.
--
-- KEYS[1]  store     hash    identity, number (of changes), audited, keys (their revision); never expires
-- KEYS[2]  routes    hash    route -> newest version; never expires
-- KEYS[3]  order     list    "version route" of every change, the first at index 0; never expires
-- KEYS[4]  keys      hash    id -> API key; never expires
-- KEYS[5]  attempt   string  the reply to this attempt (JSON); expires after a minute
-- then per entry:
--          document  hash    number, id (of the attempt), document, change; never expires
--          history   list    versions of the route, newest first; never expires
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  channel to publish to
-- ARGV[3]  identity      ARGV[4]  number of entries
-- then per entry: route, version, id, document, change; then per API key: id, key
--
-- Returns {'restored', route...}, {'late'} or {'foreign', identity of the store}.

local FIRST_KEY, KEYS_EACH, FIRST_ARGUMENT, ARGUMENTS_EACH, ATTEMPT_S = 6, 2, 5, 5, 60

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

-- This attempt has been made already, and its reply was lost: send it again.
local known = redis.call('GET', KEYS[5])
if known then return cjson.decode(known) end

-- Keep the documents of another store.
local identity = redis.call('HGET', KEYS[1], 'identity') or ''
if identity ~= ARGV[3] and redis.call('HLEN', KEYS[2]) > 0 then return {'foreign', identity} end
redis.call('HSET', KEYS[1], 'identity', ARGV[3])

-- Write only the entries that are newer than the stored documents.
local reply = {'restored'}
local entries = tonumber(ARGV[4])
for index = 0, entries - 1 do
  local at, key = FIRST_ARGUMENT + index * ARGUMENTS_EACH, FIRST_KEY + index * KEYS_EACH
  local route, version = ARGV[at], tonumber(ARGV[at + 1])
  if tonumber(redis.call('HGET', KEYS[2], route) or '0') < version then
    local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
    redis.call('RPUSH', KEYS[3], version .. ' ' .. route)
    redis.call('HSET', KEYS[2], route, version)
    redis.call('HSET', KEYS[key],
      'number', number, 'id', ARGV[at + 2], 'document', ARGV[at + 3], 'change', ARGV[at + 4])
    redis.call('LPUSH', KEYS[key + 1], version)
    reply[#reply + 1] = route
  end
end
for at = FIRST_ARGUMENT + entries * ARGUMENTS_EACH, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[4], ARGV[at], ARGV[at + 1]) == 1 then redis.call('HINCRBY', KEYS[1], 'keys', 1) end
end

redis.call('SET', KEYS[5], cjson.encode(reply), 'EX', ATTEMPT_S)
redis.pcall('PUBLISH', ARGV[2], 'restored')
return reply
