-- Checks all limits of a call, and charges all of them or none.
--
-- KEYS     one count each: {prefix}:rule:subject
-- ARGV[1]  'charge', or 'look', which charges nothing
-- ARGV[2]  the time in microseconds since the epoch; empty for this server's own
-- ARGV[3…] four for each key:
--            'rate',    cost, leak, capacity   units of a call, units a microsecond, units that it holds
--            'day',     calls, start, rest     of the day that it is: its beginning, microseconds to its end
--            'sliding', calls, length, slot    the time that it counts in, and one part of it
--
-- Answers 1 if a limit refuses and else 0, and for each key: calls that it has room for, microseconds until
-- all of it is free again, and until a call would pass. It decides as bucket.rs and quota.rs do.
--
-- All numbers are whole and at most 2^53, which doubles hold exactly; a quotient is taken of what divides evenly.

-- Time for which a count is kept after nothing of it counts: for clocks that are set, and slow tests.
local MARGIN = 60 * 1000000
-- The same of a day, whose beginning each gateway takes from its own clock.
local DAY_MARGIN = 2 * 3600 * 1000000
-- A count that is ahead by more than that was made by a clock that was wrong.
local AHEAD_MAX = 36 * 3600 * 1000000
-- A call that is earlier by no more came out of its order; what is earlier than that is a clock that was set back.
local SKEW_MAX = 1000000
-- Parts that are kept of a sliding time, beside the one that it is.
local SLOTS_KEPT = 25

local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function quotient(a, b)
  return (a - a % b) / b
end

local function quotient_up(a, b)
  local rest = a % b
  if rest > 0 then
    return (a - rest) / b + 1
  end
  return a / b
end

-- tostring keeps 14 digits.
local function text(number)
  return string.format('%.0f', number)
end

local forms = {}

-- A bucket is kept as r<level>:<at>:<cost>. A level that another cost counted is taken over in whole calls,
-- so that a rate that was changed locks nobody out.
forms.rate = {
  read = function(kept, cost, leak, capacity)
    local level, at, of = string.match(kept or '', '^r(%d+):(%d+):(%d+)$')
    level, at, of = tonumber(level or 0), tonumber(at or 0), tonumber(of or cost)
    if of ~= cost then
      level = math.min(quotient(level, of), quotient(capacity, cost)) * cost
    end
    local passed = math.max(now - at, 0)
    return { level = math.min(math.max(level - passed * leak, 0), capacity), at = at }
  end,
  room = function(bucket, cost, leak, capacity)
    local free = capacity - bucket.level
    local wait = quotient_up(math.max(cost - free, 0), leak)
    return quotient(free, cost), quotient_up(bucket.level, leak), wait
  end,
  take = function(bucket, cost, leak)
    bucket.level = bucket.level + cost
    local at = now
    if bucket.at - now <= SKEW_MAX then
      at = math.max(bucket.at, now)
    end
    local kept = 'r' .. text(bucket.level) .. ':' .. text(at) .. ':' .. text(cost)
    return kept, quotient_up(bucket.level, leak) + MARGIN
  end,
}

-- A day is kept as d<start>:<used>.
forms.day = {
  read = function(kept, calls, start)
    local began, used = string.match(kept or '', '^d(%d+):(%d+)$')
    began, used = tonumber(began or start), tonumber(used or 0)
    if began ~= start and (began < start or began - start > AHEAD_MAX) then
      began, used = start, 0
    end
    return { start = began, used = used }
  end,
  room = function(count, calls, start, rest)
    local left = math.max(calls - count.used, 0)
    return left, rest, left == 0 and rest or 0
  end,
  take = function(count, calls, start, rest)
    count.used = count.used + 1
    local kept = 'd' .. text(count.start) .. ':' .. text(count.used)
    return kept, rest + (count.start - start) + DAY_MARGIN
  end,
}

-- The parts of a sliding time are kept as s<slot>,<number>:<used>,<number>:<used>…, the first one first. Those
-- of another length are taken over to where they end.
forms.sliding = {
  read = function(kept, calls, length, slot)
    local of, rest = string.match(kept or '', '^s(%d+)(.*)$')
    local slots = {}
    of = tonumber(of or slot)
    for number, used in string.gmatch(rest or '', ',(%d+):(%d+)') do
      number = tonumber(number)
      if of ~= slot then
        number = quotient((number + 1) * of - 1, slot)
      end
      slots[#slots + 1] = { number = number, used = tonumber(used) }
    end
    return slots
  end,
  room = function(slots, calls, length, slot)
    local used, last, first = 0, 0, nil
    for _, one in ipairs(slots) do
      local ends = math.min((one.number + 1) * slot + length, now + slot + length) - now
      if ends > 0 then
        used = used + one.used
        last = math.max(last, ends)
        first = math.min(first or ends, ends)
      end
    end
    local left = math.max(calls - used, 0)
    return left, last, left == 0 and first or 0
  end,
  take = function(slots, calls, length, slot)
    local current = quotient(now, slot)
    local kept = {}
    for _, one in ipairs(slots) do
      local number = math.min(one.number, current)
      if one.number < current - SLOTS_KEPT then
        -- Past.
      elseif #kept > 0 and kept[#kept].number == number then
        kept[#kept].used = kept[#kept].used + one.used
      else
        kept[#kept + 1] = { number = number, used = one.used }
      end
    end
    if #kept > 0 and kept[#kept].number == current then
      kept[#kept].used = kept[#kept].used + 1
    else
      kept[#kept + 1] = { number = current, used = 1 }
    end
    local texts = { 's' .. text(slot) }
    for index, one in ipairs(kept) do
      slots[index] = one
      texts[#texts + 1] = text(one.number) .. ':' .. text(one.used)
    end
    for index = #slots, #kept + 1, -1 do
      slots[index] = nil
    end
    return table.concat(texts, ','), slot + length + MARGIN
  end,
}

local held = {}
local answer = { 0 }
local kept = redis.call('MGET', unpack(KEYS))
for index = 1, #KEYS do
  local at = 4 * index - 1
  local one = {
    form = forms[ARGV[at]],
    a = tonumber(ARGV[at + 1]), b = tonumber(ARGV[at + 2]), c = tonumber(ARGV[at + 3]),
  }
  one.count = one.form.read(kept[index], one.a, one.b, one.c)
  local calls, whole, wait = one.form.room(one.count, one.a, one.b, one.c)
  held[index] = one
  answer[3 * index - 1], answer[3 * index], answer[3 * index + 1] = calls, whole, wait
  if wait > 0 then
    answer[1] = 1
  end
end

if answer[1] == 1 or ARGV[1] ~= 'charge' then
  return answer
end

for index, one in ipairs(held) do
  local value, counts = one.form.take(one.count, one.a, one.b, one.c)
  redis.call('SET', KEYS[index], value, 'PX', text(quotient_up(counts, 1000)))
  local calls, whole, wait = one.form.room(one.count, one.a, one.b, one.c)
  answer[3 * index - 1], answer[3 * index], answer[3 * index + 1] = calls, whole, wait
end
return answer
