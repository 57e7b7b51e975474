-- Reads many entities, each as one consistent whole.
--
-- KEYS     ring and snapshot of each entity
-- ARGV[1]  how many of the last rows to add, beside those since the snapshot
-- Reply per entity: nothing, or {token, seq, epoch, layout, snapshot_seq, snapshot, rows since the
-- snapshot, last rows, waiting points}. The ring begins with its header, the snapshot with the
-- waiting points, as commit.lua writes them; a damaged snapshot is none.

local HEADER, HEADER_BYTES = '<c16i8i8i8i8i8i8c96', 160

local function last_rows(ring_key, wanted, header)
  local seq, base, row_bytes, capacity = header.seq, header.base, header.row_bytes, header.capacity
  local count = math.min(wanted, seq - base, capacity)
  if count <= 0 then return '' end
  local slot = (seq - count - base) % capacity
  local head = math.min(count, capacity - slot)
  local first = HEADER_BYTES + slot * row_bytes
  local rows = redis.call('GETRANGE', ring_key, first, first + head * row_bytes - 1)
  if head == count then return rows end
  local last = HEADER_BYTES + (count - head) * row_bytes - 1
  return rows .. redis.call('GETRANGE', ring_key, HEADER_BYTES, last)
end

local function snapshot_and_waiting(key)
  local both = redis.call('GET', key) or ''
  local waiting_bytes = #both < 4 and 0 or struct.unpack('<I4', both)
  if #both < 4 + waiting_bytes then return '', '' end
  return string.sub(both, 5 + waiting_bytes), string.sub(both, 5, 4 + waiting_bytes)
end

-- Of a damaged header the rest is not to be believed; who loads it goes on by the token.
local function damaged(token, seq, epoch)
  return {token, seq, epoch, '1:1:damaged', seq, '', '', '', ''}
end

local function entity(ring_key, snapshot_key)
  local packed = redis.call('GETRANGE', ring_key, 0, HEADER_BYTES - 1)
  if #packed < HEADER_BYTES then return false end
  local token, seq, epoch, _, snapshot_seq, base, _, padded = struct.unpack(HEADER, packed)
  local layout = string.match(padded, '^%Z*')
  local row_bytes, capacity = string.match(layout, '^(%d+):(%d+):')
  local header = {
    seq = seq, base = base, row_bytes = tonumber(row_bytes or 0), capacity = tonumber(capacity or 0),
  }
  if math.min(header.row_bytes, header.capacity) < 1 then return damaged(token, seq, epoch) end
  local snapshot, waiting = snapshot_and_waiting(snapshot_key)
  local since, last = last_rows(ring_key, seq - snapshot_seq, header),
    last_rows(ring_key, tonumber(ARGV[1]), header)
  return {token, seq, epoch, layout, snapshot_seq, snapshot, since, last, waiting}
end

local found = {}
for i = 1, #KEYS, 2 do
  found[#found + 1] = entity(KEYS[i], KEYS[i + 1])
end
return found
