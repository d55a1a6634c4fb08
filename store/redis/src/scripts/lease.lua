local entity, token, time = ARGV[1], ARGV[2], ARGV[3]
local known = horizon()
if not known then return { 3 } end
local current, held = stamp(known, entity), redis.call('MGET', KEYS[2])[1]
if held and held:sub(2, 17) == current then
  if held:sub(1, 1) == 'E' then return { 1, known.text, held } end
  if held:sub(1, 1) == 'L' and #held == 33 and held:sub(18) ~= token then return { 2 } end
end
redis.call('SET', KEYS[2], 'L' .. current .. token, 'PX', time)
return { 0, known.text }
