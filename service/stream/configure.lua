-- Replaces the configuration, if nobody else did since it was read.
--
-- KEYS     epoch, document
-- ARGV     the epoch it was read under, the new document
-- Reply: the new epoch, or 0 and nothing written.

if tonumber(redis.call('GET', KEYS[1]) or 1) ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1] + 1)
return ARGV[1] + 1
