-- Keeps what a person says of an incident, if it is still kept itself.
--
-- KEYS     the record
-- ARGV     the note

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'note', ARGV[1])
return 1
