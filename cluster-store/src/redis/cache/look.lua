-- Looks for a value. Before this stands a line that says what time it is: `now`, in microseconds.
--
-- KEYS[1]  the age of everything: values of another age do not count.
-- KEYS[2]  the mark of a part of the keys, which every removal changes.
-- KEYS[3]  the value, after its age and its time.
-- ARGV     a name for what has none yet.
-- Returns  the age, the mark and the time; for how many microseconds the value is there, and the value; nothing for
--          the last two if it is not.

local function named(key)
  local name = redis.call('GET', key)
  if not name then
    name = ARGV[1]
    redis.call('SET', key, name)
  end
  return name
end

local age, mark, time = named(KEYS[1]), named(KEYS[2]), string.format('%.0f', now)
local kept = redis.call('GET', KEYS[3])
if kept then
  local of, from, to, value = string.match(kept, '^(%S+) (%S+) (%S+)\n()')
  -- A clock that was put back to before it was kept does not say how old it is.
  if of == age and tonumber(from) <= now and now < tonumber(to) then
    return {age, mark, time, string.format('%.0f', tonumber(to) - now), string.sub(kept, value)}
  end
end
return {age, mark, time, false, false}
