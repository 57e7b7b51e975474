-- Reads many entities, each as one consistent whole.
--
-- KEYS     header, ring, snapshot of each entity
-- ARGV[1]  how many of the last rows to add, beside those since the snapshot
-- Reply per entity: nothing, or {token, seq, epoch, layout, snapshot_seq, snapshot, rows since the
-- snapshot, last rows, waiting points}.

local function last_rows(ring_key, wanted, header)
  local seq, base, row_bytes, capacity = header.seq, header.base, header.row_bytes, header.capacity
  local count = math.min(wanted, seq - base, capacity)
  if count <= 0 then return '' end
  local slot = (seq - count - base) % capacity
  local head = math.min(count, capacity - slot)
  local rows = redis.call('GETRANGE', ring_key, slot * row_bytes, (slot + head) * row_bytes - 1)
  if head == count then return rows end
  return rows .. redis.call('GETRANGE', ring_key, 0, (count - head) * row_bytes - 1)
end

local function entity(header_key, ring_key, snapshot_key)
  local field = redis.call('HMGET', header_key, 'token', 'seq', 'epoch', 'layout', 'snapshot_seq',
    'base', 'waiting')
  if not field[1] then return false end
  local row_bytes, capacity = string.match(field[4], '^(%d+):(%d+):')
  local header = {
    seq = tonumber(field[2]), base = tonumber(field[6]), row_bytes = tonumber(row_bytes),
    capacity = tonumber(capacity),
  }
  field[9] = field[7] or ''
  field[6] = redis.call('GET', snapshot_key) or ''
  field[7] = last_rows(ring_key, header.seq - tonumber(field[5]), header)
  field[8] = last_rows(ring_key, tonumber(ARGV[1]), header)
  return field
end

local found = {}
for i = 1, #KEYS, 3 do
  found[#found + 1] = entity(KEYS[i], KEYS[i + 1], KEYS[i + 2])
end
return found
