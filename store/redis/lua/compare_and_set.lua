-- Write versions of documents, all or none.
--
-- KEYS[1]  store     hash  identity, number (of changes), audited, keys (their revision); never expires
-- KEYS[2]  routes    hash  route -> newest version; never expires
-- KEYS[3]  order     list  "version route" of every change, the first at index 0; never expires
-- then per entry:
--          document  hash  number, id (of the attempt), document, change; never expires
--          history   list  versions of the route, newest first; never expires
-- ARGV[1]  deadline (server's clock, microseconds)      ARGV[2]  channel to publish to
-- ARGV[3]  the number that the store must be at, or ''      ARGV[4]  identity for a new store
-- then per entry: route, version, id, document, change
--
-- Returns {'written'}, {'late'}, {'moved', number} or {'conflict', route, expected, current}.

local FIRST_KEY, KEYS_EACH, FIRST_ARGUMENT, ARGUMENTS_EACH = 4, 2, 5, 5

-- Refuse a write that has waited for longer than its caller did.
local now = redis.call('TIME')
if now[1] * 1000000 + now[2] > tonumber(ARGV[1]) then return {'late'} end

local entries = {}
for at = FIRST_ARGUMENT, #ARGV, ARGUMENTS_EACH do
  local key = FIRST_KEY + #entries * KEYS_EACH
  entries[#entries + 1] = {
    route = ARGV[at], version = tonumber(ARGV[at + 1]), id = ARGV[at + 2],
    document = ARGV[at + 3], change = ARGV[at + 4],
    document_key = KEYS[key], history_key = KEYS[key + 1],
  }
end

-- This attempt has been written already, and its reply was lost.
local repeated = #entries > 0
for _, entry in ipairs(entries) do
  repeated = repeated and redis.call('HGET', entry.document_key, 'id') == entry.id
end
if repeated then return {'written'} end

-- Check every entry before writing any.
local number = redis.call('HGET', KEYS[1], 'number') or '0'
if ARGV[3] ~= '' and number ~= ARGV[3] then return {'moved', tonumber(number)} end
local newest = {}
for _, entry in ipairs(entries) do
  local current = newest[entry.route] or tonumber(redis.call('HGET', KEYS[2], entry.route) or '0')
  if current ~= entry.version - 1 then return {'conflict', entry.route, entry.version - 1, current} end
  newest[entry.route] = entry.version
end
if #entries == 0 then return {'written'} end

-- The first document gives the store its identity.
redis.call('HSETNX', KEYS[1], 'identity', ARGV[4])
for _, entry in ipairs(entries) do
  number = redis.call('HINCRBY', KEYS[1], 'number', 1)
  redis.call('RPUSH', KEYS[3], entry.version .. ' ' .. entry.route)
  redis.call('HSET', KEYS[2], entry.route, entry.version)
  redis.call('HSET', entry.document_key,
    'number', number, 'id', entry.id, 'document', entry.document, 'change', entry.change)
  redis.call('LPUSH', entry.history_key, entry.version)
end

-- pcall: a Redis user without the right to publish may still write. The other replicas then find the change by polling.
redis.pcall('PUBLISH', ARGV[2], number)
return {'written'}
