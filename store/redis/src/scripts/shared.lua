-- Numbers are eight bytes, the highest first: they are more than a number here holds, so they are compared by halves. Texts are
-- not compared by order at all: that depends on the server's locale.
local LAST = ('\255'):rep(8)

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

local function written(items)
  local parts = { struct.pack('>I2', #items) }
  for _, item in ipairs(items) do parts[#parts + 1] = table.concat(item) end
  return table.concat(parts)
end

local function of(pairs_of, key)
  for _, pair in ipairs(pairs_of) do
    if pair[1] == key then return pair end
  end
end

-- Commits: a count, then runs, each with a source, a first and a last number; and where that ends.
local function commits(text, at)
  local found, count = {}, struct.unpack('>I2', text, at)
  at = at + 2
  for i = 1, count do
    found[i] = { text:sub(at, at + 15), text:sub(at + 16, at + 23), text:sub(at + 24, at + 31) }
    at = at + 32
  end
  return found, at
end

local function has(runs, run)
  for _, own in ipairs(runs) do
    if own[1] == run[1] and at_least(run[2], own[2]) and at_least(own[3], run[3]) then return true end
  end
  return false
end

local function contains(runs, others)
  for _, run in ipairs(others) do
    if not has(runs, run) then return false end
  end
  return true
end

-- Whether no number lies between the end of one run and the beginning of another behind it.
local function reaches(one, other)
  return one[3] == LAST or at_least(after(one[3]), other[2])
end

-- What a run joins takes the place of the first that it touches.
local function add(runs, run)
  if has(runs, run) then return runs end
  local joined, place, kept = { run[1], run[2], run[3] }, nil, {}
  for _, own in ipairs(runs) do
    if own[1] == run[1] and reaches(own, joined) and reaches(joined, own) then
      if at_least(joined[2], own[2]) then joined[2] = own[2] end
      if at_least(own[3], joined[3]) then joined[3] = own[3] end
      if not place then
        kept[#kept + 1] = joined
        place = true
      end
    else
      kept[#kept + 1] = own
    end
  end
  if not place then kept[#kept + 1] = joined end
  return kept
end

local function check(body)
  return redis.sha1hex(KEYS[1] .. body):sub(1, 16)
end

-- MGET, because what is not a text counts as nothing there.
local function horizon()
  local text = redis.call('MGET', KEYS[1])[1]
  if not text or #text < 46 or text:sub(1, 2) ~= 'H2' or check(text:sub(1, -17)) ~= text:sub(-16) then return nil end
  local known, at = { text = text, incarnation = text:sub(3, 10), history = text:sub(11, 26) }, nil
  known.told, at = commits(text, 27)
  known.rewritten = list(text, at, 2)
  return known
end

local function keep(known)
  local body = 'H2' .. known.incarnation .. known.history .. written(known.told) .. written(known.rewritten)
  known.text = body .. check(body)
  redis.call('SET', KEYS[1], known.text)
end

-- What a slot of the entity has in front if it counts.
local function stamp(known, entity)
  local rewritten = of(known.rewritten, entity)
  return known.incarnation .. (rewritten and rewritten[2] or '\0\0\0\0\0\0\0\0')
end

