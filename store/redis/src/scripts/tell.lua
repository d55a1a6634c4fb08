local incarnation, from, to, rewritten = ARGV[1], commits(ARGV[2], 1), commits(ARGV[3], 1), ARGV[4]
local known = horizon()
if not known or known.incarnation ~= incarnation then return 1 end
if not contains(known.told, from) then return 2 end
if contains(known.told, to) then return 0 end
-- First, so that no failure leaves the commit told and a slot as it was. In pieces, because a call has so many arguments at most.
for i = 2, #KEYS, 1000 do
  redis.call('UNLINK', unpack(KEYS, i, math.min(i + 999, #KEYS)))
end
for _, run in ipairs(to) do known.told = add(known.told, run) end
for at = 1, #rewritten, 2 do
  local entity = rewritten:sub(at, at + 1)
  local count = of(known.rewritten, entity)
  if count then
    count[2] = after(count[2])
  else
    known.rewritten[#known.rewritten + 1] = { entity, '\0\0\0\0\0\0\0\1' }
  end
end
keep(known)
return 0
