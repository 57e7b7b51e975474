-- One atomic commit for many entities: everything is checked before the first write, because a
-- script that fails half-way keeps what it has written.
--
-- KEYS     ring and snapshot of each commit; then deadlines and index of entities of each shard,
--          alert stream and count of shards with alerts, record, rows and index of each incident,
--          and the tallies of each shard and day. As few as can be that may not exist: while a slot
--          moves, a cluster refuses calls with such keys
-- ARGV[1]  msgpack of {epoch, ttl_seconds, alerts_kept, incidents_kept, incident_ttl_seconds,
--          entities_kept, layouts, tallies, commits}: numbers, names and digests. A commit is {seq,
--          row_count, layout, keys of its shard, tally, scored, due_ms, rare}, `rare` is what only
--          some have, or false: {argument of the snapshot, of waiting points, of alerts, of
--          incidents, keys of alerts, lengths of alerts, incidents}; 0 or false: none
-- ARGV[2]  and on: of each commit the new token, the expected one, and its rows; then what is rare
-- Reply: one code per commit (service/stream/commit.py, Outcome), or GWINVALID and nothing written.
--
-- The ring begins with its header (FRONT is what every commit changes of it), so that one read
-- checks an entity and two writes change it. Plain locals instead of a table per commit: the
-- interpreter, not Redis, is what takes the time.

local OK, STALE, OUTDATED, FULL = 0, 1, 2, 3
local FRONT, HEADER, HEADER_BYTES = '<c16i8i8i8', '<c16i8i8i8i8i8i8c96', 160
local call, sub, string_pack, string_unpack = redis.call, string.sub, struct.pack, struct.unpack
local MAX_INCIDENT_BYTES = 1048576 -- of rows kept with an incident
local ROWS_BEFORE = 16 -- of an incident, kept to be looked at
local MAX_LOOKED_AT = 20 -- entities of a full shard that may have expired
local TALLY_TTL_SECONDS = 100 * 86400
local epoch, ttl_seconds, alerts_kept, incidents_kept, incident_ttl_seconds, entities_kept, layouts,
  tallies, commits = unpack(cmsgpack.unpack(ARGV[1]))
local time = call('TIME') -- one clock for all replicas
local now_seconds, now_ms = tonumber(time[1]), time[1] * 1000 + math.floor(time[2] / 1000)
local base, is_new, is_fresh, expires = {}, {}, {}, {} -- by commit, for those that will be written
local snapshot_seq, was_due, was_kept = {}, {}, {} -- the same: what the header said
local indexed, expired = {}, {} -- by index of entities: how many it holds, and which are to go
local is_expired, is_again = {}, {} -- by entity: it is to go; it expired, and comes back now

-- Rows of a new entity or of a new layout start a ring of their own at slot 0 (`base` is the
-- sequence number before its first row), so that a ring grows lazily whatever its numbers are.
local function plan_fresh(i, commit, stored_seq)
  local seq, row_count = commit[1], commit[2]
  if seq < stored_seq or row_count < seq - stored_seq then
    return 'rows are missing before its last row'
  end
  base[i], is_fresh[i] = seq - math.min(row_count, layouts[commit[3]][2]), true
  expires[i], snapshot_seq[i], was_due[i] = now_seconds + ttl_seconds, seq, 1
end

local function plan_next(i, commit, stored_seq, stored_base, stored_expiry, stored_snapshot_seq)
  local seq, has_snapshot = commit[1], commit[8] and commit[8][1] > 0
  if seq - stored_seq ~= commit[2] then return 'its rows do not follow the stored ones' end
  if not has_snapshot and seq - stored_snapshot_seq > layouts[commit[3]][2] then
    return 'the ring no longer reaches back to the snapshot: a new one is needed'
  end
  base[i], was_kept[i] = stored_base, stored_seq - stored_base
  snapshot_seq[i] = has_snapshot and seq or stored_snapshot_seq
  if has_snapshot or stored_expiry - now_seconds < ttl_seconds / 2 then
    expires[i] = now_seconds + ttl_seconds
  end
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
  local key = commits[i][4] + 1
  local prefix, entity = string.match(KEYS[2 * i - 1], '^(gw:{%d+}:e:)(.*)$')
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

local function decide(i, commit)
  local header, blob, layout = call('GETRANGE', KEYS[2 * i - 1], 0, HEADER_BYTES - 1), ARGV[i + 1],
    layouts[commit[3]]
  local expected = sub(blob, 17, -1 - commit[2] * layout[1])
  local rare = commit[8]
  if rare and rare[1] + rare[2] > 0 then call('STRLEN', KEYS[2 * i]) end -- raises now if not ours
  if #header < HEADER_BYTES then
    if expected ~= '' then return STALE end
    if not has_room(i) then return FULL end
    is_new[i] = true
    return OK, plan_fresh(i, commit, 0)
  end
  local token, seq, stored_epoch, due_ms, at_snapshot, stored_base, expiry, text =
    string_unpack(HEADER, header)
  if token == sub(blob, 1, 16) then return OK end
  if stored_epoch > epoch then return OUTDATED end
  if token ~= expected then return STALE end
  if text ~= layout[3] then
    if not rare or rare[1] == 0 then return STALE end -- a new layout comes with a snapshot
    return OK, plan_fresh(i, commit, seq)
  end
  was_due[i] = due_ms
  return OK, plan_next(i, commit, seq, stored_base, expiry, at_snapshot)
end

-- The count outlives trimming; the stream wins if somebody lost the count.
local function last_alert(key)
  local last = tonumber(call('GET', KEYS[key + 1]) or 0)
  local newest = call('XREVRANGE', KEYS[key], '+', '-', 'COUNT', 1)[1]
  return math.max(last, newest and tonumber(string.match(newest[1], '^%d+')) or 0)
end

local function header(i, commit)
  return string_pack(HEADER, sub(ARGV[i + 1], 1, 16), commit[1], epoch, commit[7], snapshot_seq[i],
    base[i], expires[i], layouts[commit[3]][3])
end

-- Strings that grow are given twice what they need: a ring that is full has stopped growing.
local function write_ring(i, commit)
  local key, blob, layout, row_count = KEYS[2 * i - 1], ARGV[i + 1], layouts[commit[3]], commit[2]
  local row_bytes, capacity = layout[1], layout[2]
  if row_count > capacity then row_count = capacity end
  local rows = row_count > 0 and sub(blob, -row_count * row_bytes) or ''
  if is_fresh[i] then return call('SET', key, header(i, commit) .. rows) end
  if expires[i] then
    call('SETRANGE', key, 0, header(i, commit))
  else
    call('SETRANGE', key, 0, string_pack(FRONT, sub(blob, 1, 16), commit[1], epoch, commit[7]))
  end
  local slot = (commit[1] - row_count - base[i]) % capacity
  local head = capacity - slot
  if row_count <= head then
    call('SETRANGE', key, HEADER_BYTES + slot * row_bytes, rows)
  else
    call('SETRANGE', key, HEADER_BYTES + slot * row_bytes, sub(rows, 1, head * row_bytes))
    call('SETRANGE', key, HEADER_BYTES, sub(rows, head * row_bytes + 1))
  end
  if was_kept[i] < capacity and commit[1] - base[i] >= capacity then
    call('SET', key, call('GETRANGE', key, 0, -1), 'KEEPTTL')
  end
end

local function kept_waiting(key)
  local size = call('GETRANGE', key, 0, 3)
  local bytes = #size == 4 and string_unpack('<I4', size) or 0
  local waiting = bytes > 0 and call('GETRANGE', key, 4, 3 + bytes) or ''
  return #waiting == bytes and waiting or '' -- of what is damaged, none
end

-- Waiting points lie in front of the snapshot, their length first, so that they live exactly as long.
local function write_beside(i, rare)
  local ring_key, key = KEYS[2 * i - 1], KEYS[2 * i]
  local has_snapshot, has_waiting = rare and rare[1] > 0, rare and rare[2] > 0
  if has_snapshot or has_waiting then
    local waiting = is_new[i] and '' or kept_waiting(key)
    local snapshot = has_snapshot and ARGV[rare[1]] or call('GETRANGE', key, 4 + #waiting, -1)
    if has_waiting then waiting = ARGV[rare[2]] end
    call('SET', key, string_pack('<I4', #waiting) .. waiting .. snapshot, 'KEEPTTL')
  end
  if expires[i] or has_waiting then
    call('EXPIRE', ring_key, ttl_seconds)
    call('EXPIRE', key, ttl_seconds)
  end
end

local function entity_of(i)
  return string.match(KEYS[2 * i - 1], '^gw:{%d+}:e:(.*)$')
end

local function write_alerts(i, rare, last)
  local alerts, key, lengths, start, entity = ARGV[rare[3]], rare[5], rare[6], 1, entity_of(i)
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

-- The newest rows before those of this commit, which the ring holds already.
local function rows_before(i, commit)
  local key, layout, last = KEYS[2 * i - 1], layouts[commit[3]], commit[1] - commit[2]
  local row_bytes, capacity = layout[1], layout[2]
  local count = math.min(ROWS_BEFORE, last - base[i], capacity - commit[2])
  if count <= 0 then return '' end
  local slot = (last - count - base[i]) % capacity
  local head = math.min(count, capacity - slot)
  local function rows(from, to)
    return call('GETRANGE', key, HEADER_BYTES + from * row_bytes, HEADER_BYTES + to * row_bytes - 1)
  end
  return rows(slot, slot + head) .. (count > head and rows(0, count - head) or '')
end

-- A record begins with the state before its first row. Rows of another layout, or beyond the bound,
-- are not kept: what is kept can be replayed from its beginning.
local function write_incidents(i, commit, rare)
  local entity, parts, start = entity_of(i), ARGV[rare[4]], 1
  local layout = string.match(layouts[commit[3]][3], '^%Z*')
  local function part(length)
    start = start + length
    return string.sub(parts, start - length, start - 1)
  end
  for _, record in ipairs(rare[7]) do
    local at, name, opened_ms, alert_bytes, worst_bytes, state_bytes, rows_bytes = unpack(record)
    local record_key, rows_key, index_key = KEYS[at], KEYS[at + 1], KEYS[at + 2]
    local alert, worst = part(alert_bytes), part(worst_bytes)
    local state, rows = part(state_bytes), part(rows_bytes)
    if state_bytes > 0 then
      call('HSET', record_key, 'entity', entity, 'state', state, 'layout', layout, 'before',
        rows_before(i, commit))
      call('SET', rows_key, '')
      call('ZADD', index_key, opened_ms, name)
      forget_oldest(index_key, record_key)
    end
    local known = call('HGET', record_key, 'layout')
    if known then
      if alert_bytes > 0 then call('HSET', record_key, 'alert', alert) end
      if worst_bytes > 0 then call('HSET', record_key, 'worst', worst) end
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

local function write_deadline(i, commit)
  local key, due_ms = KEYS[commit[4]], commit[7]
  if due_ms > 0 then return call('ZADD', key, due_ms, entity_of(i)) end
  if was_due[i] > 0 then call('ZREM', key, entity_of(i)) end
end

-- Those to go first: one of them may be new again in this very call.
local function write_indexes()
  for key, names in pairs(expired) do
    if names[1] then call('ZREM', KEYS[key], unpack(names)) end
  end
  for i, commit in ipairs(commits) do
    if expires[i] then call('ZADD', KEYS[commit[4] + 1], now_ms, entity_of(i)) end
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
  local outcome, problem = decide(i, commit)
  if problem then return redis.error_reply('GWINVALID commit ' .. i .. ': ' .. problem) end
  local key = base[i] and commit[8] and commit[8][5] or 0
  if key > 0 then last[key] = last[key] or last_alert(key) end
  outcomes[i] = outcome
end
for i, commit in ipairs(commits) do
  if base[i] then
    local rare, tally = commit[8], commit[5]
    write_ring(i, commit)
    if rare or expires[i] then write_beside(i, rare) end
    if rare and rare[5] > 0 then last[rare[5]] = write_alerts(i, rare, last[rare[5]]) end
    if rare and rare[7] then write_incidents(i, commit, rare) end
    write_deadline(i, commit)
    if tally > 0 then scored[tally] = (scored[tally] or 0) + commit[6] end
  end
end
write_indexes()
write_tallies(scored)
return outcomes
