-- One atomic commit for many entities: everything is checked before the first write, because a
-- script that fails half-way keeps what it has written.
--
-- KEYS     header, ring, snapshot of each commit; then alert stream and count of shards with alerts,
--          deadlines and index of entities of each shard, record, rows and index of each
--          incident, and the tallies of each shard and day
-- ARGV[1]  msgpack of {epoch, ttl_seconds, alerts_kept, incidents_kept, incident_ttl_seconds,
--          entities_kept, layouts, tallies, commits}: numbers, names and digests; a commit is {seq,
--          row_count, layout, has_snapshot, keys of alerts, lengths of alerts, incidents, keys of
--          its shard, due_ms, argument of waiting points, tally, scored}, 0 or false: none
-- ARGV[2]  and on: tokens (expected, then the new one), rows, snapshot, alerts, incidents of each;
--          behind all of them the waiting points of those that state some
-- Reply: one code per commit (service/stream/commit.py, Outcome), or GWINVALID and nothing written.
--
-- Plain locals instead of a table per commit: the interpreter, not Redis, is what takes the time.

local OK, STALE, OUTDATED, FULL = 0, 1, 2, 3
local call = redis.call
local MAX_INCIDENT_BYTES = 1048576 -- of rows kept with an incident
local MAX_LOOKED_AT = 20 -- entities of a full shard that may have expired
local TALLY_TTL_SECONDS = 100 * 86400
local epoch, ttl_seconds, alerts_kept, incidents_kept, incident_ttl_seconds, entities_kept, layouts,
  tallies, commits = unpack(cmsgpack.unpack(ARGV[1]))
local base, is_fresh, is_renewed = {}, {}, {} -- by commit, for those that will be written
local indexed, expired = {}, {} -- by index of entities: how many it holds, and which are to go
local is_expired, is_again = {}, {} -- by entity: it is to go; it expired, and comes back now

-- Rows of a new entity or of a new layout start a ring of their own at slot 0 (`base` is the
-- sequence number before its first row), so that a ring grows lazily whatever its numbers are.
local function plan_fresh(i, stored_seq)
  local seq, row_count, layout, has_snapshot = unpack(commits[i])
  if seq < stored_seq or row_count < seq - stored_seq then
    return 'rows are missing before its last row'
  end
  if not has_snapshot then return 'a new layout needs a snapshot' end
  base[i], is_fresh[i], is_renewed[i] = seq - math.min(row_count, layouts[layout][2]), true, true
end

local function plan_next(i, stored_seq, snapshot_seq, stored_base)
  local seq, row_count, layout, has_snapshot = unpack(commits[i])
  if seq - stored_seq ~= row_count then return 'its rows do not follow the stored ones' end
  if not has_snapshot and seq - snapshot_seq > layouts[layout][2] then
    return 'the ring no longer reaches back to the snapshot: a new one is needed'
  end
  base[i], is_fresh[i] = stored_base, false
  is_renewed[i] = has_snapshot or call('TTL', KEYS[3 * i - 2]) < ttl_seconds / 2
end

-- Keys last renewed longest ago expire first. Nothing is written yet: what is to go goes at the end.
local function find_expired(key, prefix)
  expired[key] = {}
  for _, name in ipairs(call('ZRANGE', KEYS[key], 0, MAX_LOOKED_AT - 1)) do
    if not is_again[name] and call('EXISTS', prefix .. name) == 0 then
      table.insert(expired[key], name)
      is_expired[name], indexed[key] = true, indexed[key] - 1
    end
  end
end

local function has_room(i)
  local key = commits[i][8] + 1
  local prefix, entity = string.match(KEYS[3 * i - 2], '^(gw:{%d+}:h:)(.*)$')
  indexed[key] = indexed[key] or call('ZCARD', KEYS[key])
  if not is_expired[entity] and call('ZSCORE', KEYS[key], entity) then
    is_again[entity] = true
    return true
  end
  if indexed[key] >= entities_kept and not expired[key] then find_expired(key, prefix) end
  if indexed[key] >= entities_kept then return false end
  indexed[key] = indexed[key] + 1
  return true
end

local function decide(i)
  local tokens = ARGV[5 * i - 3]
  local header = call('HMGET', KEYS[3 * i - 2],
    'token', 'seq', 'epoch', 'layout', 'snapshot_seq', 'base')
  local token, problem = header[1] or '', nil
  if token == string.sub(tokens, -16) then return OK end
  if header[3] and tonumber(header[3]) > epoch then return OUTDATED end
  if token ~= string.sub(tokens, 1, -17) then return STALE end
  if token == '' and not has_room(i) then return FULL end
  call('STRLEN', KEYS[3 * i - 1]) -- raises now, not half-way, if the key is not ours
  if header[4] == layouts[commits[i][3]][3] then
    problem = plan_next(i, tonumber(header[2]), tonumber(header[5]), tonumber(header[6]))
  else
    problem = plan_fresh(i, tonumber(header[2] or 0))
  end
  return OK, problem
end

-- The count outlives trimming; the stream wins if somebody lost the count.
local function last_alert(key)
  local last = tonumber(call('GET', KEYS[key + 1]) or 0)
  local newest = call('XREVRANGE', KEYS[key], '+', '-', 'COUNT', 1)[1]
  return math.max(last, newest and tonumber(string.match(newest[1], '^%d+')) or 0)
end

local function write_rows(i)
  local seq, row_count, layout = unpack(commits[i])
  local row_bytes, capacity = layouts[layout][1], layouts[layout][2]
  local rows, ring_key = ARGV[5 * i - 2], KEYS[3 * i - 1]
  if row_count > capacity then
    rows, row_count = string.sub(rows, -capacity * row_bytes), capacity
  end
  if is_fresh[i] then return call('SET', ring_key, rows) end
  local slot = (seq - row_count - base[i]) % capacity
  local head = capacity - slot
  if row_count <= head then return call('SETRANGE', ring_key, slot * row_bytes, rows) end
  call('SETRANGE', ring_key, slot * row_bytes, string.sub(rows, 1, head * row_bytes))
  call('SETRANGE', ring_key, 0, string.sub(rows, head * row_bytes + 1))
end

local function write_state(i)
  local header_key, ring_key, snapshot_key = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local seq, _, layout, has_snapshot = unpack(commits[i])
  local token = string.sub(ARGV[5 * i - 3], -16)
  if has_snapshot then
    call('SET', snapshot_key, ARGV[5 * i - 1])
    call('HSET', header_key, 'token', token, 'seq', seq, 'epoch', epoch,
      'layout', layouts[layout][3], 'snapshot_seq', seq, 'base', base[i])
  else
    call('HSET', header_key, 'token', token, 'seq', seq, 'epoch', epoch)
  end
  if is_renewed[i] then
    call('EXPIRE', header_key, ttl_seconds)
    call('EXPIRE', ring_key, ttl_seconds)
    call('EXPIRE', snapshot_key, ttl_seconds)
  end
end

-- In the header, so that they live exactly as long as the entity.
local function write_waiting(i)
  local header_key, waiting = KEYS[3 * i - 2], ARGV[commits[i][10]]
  if waiting == '' then return call('HDEL', header_key, 'waiting') end
  call('HSET', header_key, 'waiting', waiting)
end

local function write_alerts(i, last)
  local key, lengths, alerts, start = commits[i][5], commits[i][6], ARGV[5 * i], 1
  local entity = string.match(KEYS[3 * i - 2], '^gw:{%d+}:h:(.*)$')
  for _, length in ipairs(lengths) do
    last = last + 1
    call('XADD', KEYS[key], 'MAXLEN', '~', alerts_kept, string.format('%.0f-0', last),
      'entity', entity, 'alert', string.sub(alerts, start, start + length - 1))
    start = start + length
  end
  call('SET', KEYS[key + 1], last)
  return last
end

local function forget_oldest(index_key, record_key)
  local prefix = string.match(record_key, '^gw:{%d+}:')
  for _ = incidents_kept + 1, call('ZCARD', index_key) do
    local name = call('ZPOPMIN', index_key)[1]
    call('UNLINK', prefix .. 'i:' .. name, prefix .. 'j:' .. name)
  end
end

-- A record begins with the state before its first row. Rows of another layout, or beyond the bound,
-- are not kept: what is kept can be replayed from its beginning.
local function write_incidents(i)
  local entity = string.match(KEYS[3 * i - 2], '^gw:{%d+}:h:(.*)$')
  local parts, start, layout = ARGV[5 * i + 1], 1, layouts[commits[i][3]][3]
  local function part(length)
    start = start + length
    return string.sub(parts, start - length, start - 1)
  end
  for _, record in ipairs(commits[i][7]) do
    local at, name, opened_ms, alert_bytes, state_bytes, rows_bytes = unpack(record)
    local record_key, rows_key, index_key = KEYS[at], KEYS[at + 1], KEYS[at + 2]
    local alert, state, rows = part(alert_bytes), part(state_bytes), part(rows_bytes)
    if state_bytes > 0 then
      call('HSET', record_key, 'entity', entity, 'state', state, 'layout', layout)
      call('SET', rows_key, '')
      call('ZADD', index_key, opened_ms, name)
      forget_oldest(index_key, record_key)
    end
    local known = call('HGET', record_key, 'layout')
    if known then
      if alert_bytes > 0 then call('HSET', record_key, 'alert', alert) end
      local size = call('STRLEN', rows_key)
      if known == layout and size + rows_bytes <= MAX_INCIDENT_BYTES then
        call('APPEND', rows_key, rows)
      elseif string.sub(known, -5) ~= ' ends' then
        call('HSET', record_key, 'layout', known .. ' ends')
      end
      call('EXPIRE', record_key, incident_ttl_seconds)
      call('EXPIRE', rows_key, incident_ttl_seconds)
    end
  end
end

local function write_deadline(i)
  local key, due_ms = commits[i][8], commits[i][9]
  local entity = string.match(KEYS[3 * i - 2], '^gw:{%d+}:h:(.*)$')
  if due_ms > 0 then return call('ZADD', KEYS[key], due_ms, entity) end
  call('ZREM', KEYS[key], entity)
end

-- Those to go first: one of them may be new again in this very call.
local function write_indexes()
  for key, names in pairs(expired) do
    if names[1] then call('ZREM', KEYS[key], unpack(names)) end
  end
  local time = call('TIME') -- one clock for all replicas
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  for i, commit in ipairs(commits) do
    if is_renewed[i] then
      local entity = string.match(KEYS[3 * i - 2], '^gw:{%d+}:h:(.*)$')
      call('ZADD', KEYS[commit[8] + 1], now_ms, entity)
    end
  end
end

local function write_tallies(scored)
  for number, tally in ipairs(tallies) do
    local key, model = unpack(tally)
    if scored[number] then
      call('HINCRBY', KEYS[key], model, scored[number])
      call('EXPIRE', KEYS[key], TALLY_TTL_SECONDS)
    end
  end
end

local outcomes, last, scored = {}, {}, {}
for i, commit in ipairs(commits) do
  local outcome, problem = decide(i)
  if problem then return redis.error_reply('GWINVALID commit ' .. i .. ': ' .. problem) end
  local key = commit[5]
  if key > 0 and base[i] then last[key] = last[key] or last_alert(key) end
  outcomes[i] = outcome
end
for i, commit in ipairs(commits) do
  if base[i] then
    write_rows(i)
    write_state(i)
    if commit[5] > 0 then last[commit[5]] = write_alerts(i, last[commit[5]]) end
    if commit[7] then write_incidents(i) end
    write_deadline(i)
    if commit[10] > 0 then write_waiting(i) end
    local tally = commit[11]
    if tally > 0 then scored[tally] = (scored[tally] or 0) + commit[12] end
  end
end
write_indexes()
write_tallies(scored)
return outcomes
