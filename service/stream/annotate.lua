-- Joins what a person says of an incident to what was said, if it is still kept itself.
--
-- KEYS     the record
-- ARGV     a JSON object: what is named overwrites, null takes it back, what is not named stays
-- Reply: the note before, false if the incident is not kept.

if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local before = redis.call('HGET', KEYS[1], 'note') or '{}'
local note = cjson.decode(before)
for name, value in pairs(cjson.decode(ARGV[1])) do
  note[name] = value ~= cjson.null and value or nil
end
redis.call('HSET', KEYS[1], 'note', cjson.encode(note))
return before
