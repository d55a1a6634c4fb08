local entity, lease, entry, time = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = horizon()
if not known or stamp(known, entity) ~= lease:sub(2, 17) or redis.call('MGET', KEYS[2])[1] ~= lease then return 0 end
redis.call('SET', KEYS[2], entry, 'PX', time)
return 1
