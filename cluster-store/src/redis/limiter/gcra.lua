-- The generic cell rate algorithm over one key: what `Quota::decide` does, and a lease beyond what is needed.
--
-- Before this stands a line that says what time it is: `now`, in units of `unit` nanoseconds; and `keep`, for how many
-- milliseconds a key is kept after it is whole again.
--
-- KEYS[1]  the key. It holds two numbers: the level (how far its arrival was ahead of then, in nanoseconds), and then.
-- ARGV     in nanoseconds: what is needed, what is wanted beyond it, how much of that is not worth sharing, and how far
--          ahead the arrival may be.
-- Returns  1 if all that is needed was taken, else 0; what was taken beyond it; the level now.

-- A clock that went back by more than ten seconds was put back: the level is as it was, and counts from now.
local far = 10000000000

local level, at, is_new = 0, now, false
local kept = redis.call('GET', KEYS[1])
if kept then
  local first, second = string.match(kept, '^(%S+) (%S+)$')
  level, at = tonumber(first), tonumber(second)
  if (at - now) * unit > far then at, is_new = now, true end
  -- A clock that went back by less stands still.
  if now > at then
    level = math.max(0, level - (now - at) * unit)
    at = now
  end
end

local needed, wanted, small, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local granted, beyond = 0, 0
if level + needed <= tolerance then
  granted = 1
  -- Half of what is left stays there for the other nodes.
  local left = tolerance - level - needed
  beyond = math.min(wanted, math.max(math.floor(left / 2), math.min(left, small)))
  level = level + needed + beyond
  is_new = is_new or needed + beyond > 0
end
if is_new then
  -- At most for 30 years: Redis refuses more.
  local life = math.min(math.ceil(level / 1000000) + keep, 1000000000000)
  redis.call('SET', KEYS[1], string.format('%.17g %.17g', level, at), 'PX', string.format('%.0f', life))
end
return {granted, string.format('%.17g', beyond), string.format('%.17g', level)}
