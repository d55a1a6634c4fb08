-- Numbers are eight bytes, the highest first: they are more than a number here holds, so they are compared by halves. Texts are
-- not compared by order at all: that depends on the server's locale.
local function at_least(one, other)
  local high, low = struct.unpack('>I4I4', one)
  local other_high, other_low = struct.unpack('>I4I4', other)
  if high ~= other_high then return high > other_high end
  return low >= other_low
end

local function after(number)
  local high, low = struct.unpack('>I4I4', number)
  if low < 4294967295 then return struct.pack('>I4I4', high, low + 1) end
  return struct.pack('>I4I4', high + 1, 0)
end

-- A count, then as many keys with their numbers; and where that ends.
local function list(text, at, key_size)
  local found, count = {}, struct.unpack('>I2', text, at)
  at = at + 2
  for i = 1, count do
    found[i] = { text:sub(at, at + key_size - 1), text:sub(at + key_size, at + key_size + 7) }
    at = at + key_size + 8
  end
  return found, at
end

local function written(pairs_of)
  local parts = { struct.pack('>I2', #pairs_of) }
  for _, pair in ipairs(pairs_of) do parts[#parts + 1] = pair[1] .. pair[2] end
  return table.concat(parts)
end

local function of(pairs_of, key)
  for _, pair in ipairs(pairs_of) do
    if pair[1] == key then return pair end
  end
end

local function contains(place, other)
  for _, point in ipairs(other) do
    local known = of(place, point[1])
    if not known or not at_least(known[2], point[2]) then return false end
  end
  return true
end

local function advance(place, to)
  for _, point in ipairs(to) do
    local known = of(place, point[1])
    if not known then
      place[#place + 1] = { point[1], point[2] }
    elseif not at_least(known[2], point[2]) then
      known[2] = point[2]
    end
  end
end

local function check(body)
  return redis.sha1hex(KEYS[1] .. body):sub(1, 16)
end

-- MGET, because what is not a text counts as nothing there.
local function horizon()
  local text = redis.call('MGET', KEYS[1])[1]
  if not text or #text < 46 or text:sub(1, 2) ~= 'H1' or check(text:sub(1, -17)) ~= text:sub(-16) then return nil end
  local known, at = { text = text, incarnation = text:sub(3, 10), history = text:sub(11, 26) }, nil
  known.told, at = list(text, 27, 16)
  known.rewritten = list(text, at, 2)
  return known
end

local function keep(known)
  local body = 'H1' .. known.incarnation .. known.history .. written(known.told) .. written(known.rewritten)
  known.text = body .. check(body)
  redis.call('SET', KEYS[1], known.text)
end

-- What a slot of the entity has in front if it counts.
local function stamp(known, entity)
  local rewritten = of(known.rewritten, entity)
  return known.incarnation .. (rewritten and rewritten[2] or '\0\0\0\0\0\0\0\0')
end

