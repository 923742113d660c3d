-- Keeps a value that was loaded, unless something was removed meanwhile. Before this stands a line that says what time
-- it is: `now`, in microseconds; and `keep`, for how many milliseconds a value is kept after its time.
--
-- KEYS     as for looking.
-- ARGV     the age, the mark and the time as they were when the load began; until when the value is there; the value.

local life = tonumber(ARGV[4]) - now
if life > 0 and redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('GET', KEYS[2]) == ARGV[2] then
  local head = string.format('%s %s %s\n', ARGV[1], ARGV[3], ARGV[4])
  redis.call('SET', KEYS[3], head .. ARGV[5], 'PX', string.format('%.0f', math.ceil(life / 1000) + keep))
end
