//! What must happen in one step of the server. A script that fails in its middle is not undone, so each first looks
//! whether everything can be written, and answers -1 with the key that cannot.

use redis::Script;

/// Whether a key is of a kind, or absent; and whether `INCR` takes what a value is now, with room for as much again.
const CHECKS: &str = "
local function is(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == kind or found == 'none'
end
local function number(value)
  return not value or value == '0' or (#value <= 18 and string.match(value, '^%-?[1-9]%d*$') ~= nil)
end
";

/// `KEYS`: generation, revision, touched, organisations, then for each event its mark and its counters.
/// `ARGV`: milliseconds to remember an event, random text, organisation, most values of a kind, then for each event its
/// day, how many counters follow, and for each of these how many fields follow, and these with what is added. Answers for
/// each event 1, or 0 when it was counted before, or -1 with the key that cannot be written, or -2 with the key of a
/// counter that has no room for another value.
///
/// Each event is looked at as a whole before anything of it is written. A server that is full refuses the first write of
/// a script, and none of its later ones.
const COUNT: &str = "
local function crowded(key, name)
  local kind = string.match(name, '^%a+:')
  local most = tonumber(ARGV[4])
  if not kind or redis.call('HLEN', key) < most then return false end
  local found = 0
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, #kind) == kind then found = found + 1 end
  end
  return found >= most
end
local broken = nil
for i, kind in ipairs({'string', 'string', 'zset', 'set'}) do
  if not broken and not is(KEYS[i], kind) then broken = KEYS[i] end
end
if not broken and not number(redis.call('GET', KEYS[2])) then broken = KEYS[2] end
local answers, announced, key, at = {}, false, 5, 5
while key <= #KEYS do
  local mark, day, counters = KEYS[key], ARGV[at], tonumber(ARGV[at + 1])
  local answer, found, field = nil, {}, at + 2
  if redis.call('EXISTS', mark) == 1 then answer = {0, ''} elseif broken then answer = {-1, broken} end
  for i = 1, counters do
    local name, fields = KEYS[key + i], tonumber(ARGV[field])
    if not answer and not is(name, 'hash') then answer = {-1, name} end
    if not answer then
      local names = {}
      for f = 1, fields do names[f] = ARGV[field + 2 * f - 1] end
      found[i] = redis.call('HMGET', name, unpack(names))
      for f = 1, fields do
        if not number(found[i][f]) then answer = {-1, name}
        elseif not answer and not found[i][f] and crowded(name, names[f]) then answer = {-2, name} end
      end
    end
    field = field + 1 + 2 * fields
  end
  if not answer then
    redis.call('SET', mark, '1', 'PX', ARGV[1])
    if not announced then
      redis.call('SET', KEYS[1], ARGV[2], 'NX')
      redis.call('SADD', KEYS[4], ARGV[3])
      announced = true
    end
    local revision = redis.call('INCR', KEYS[2])
    redis.call('ZADD', KEYS[3], revision, day)
    field = at + 2
    for i = 1, counters do
      local name, fields = KEYS[key + i], tonumber(ARGV[field])
      for f = 1, fields do
        local added = ARGV[field + 2 * f]
        if added ~= '0' or not found[i][f] then
          redis.call('HINCRBY', name, ARGV[field + 2 * f - 1], added)
        end
      end
      redis.call('HSET', name, 'rev', revision)
      field = field + 1 + 2 * fields
    end
    answer = {1, ''}
  end
  answers[#answers + 1] = answer
  key, at = key + 1 + counters, field
end
return answers
";

/// `KEYS`: generation, then each counter. `ARGV`: random text, the name of the repair or nothing, then for each counter
/// how many fields follow, and these with what is added. Answers how many counters changed, and the generation.
const RESTORE: &str = "
if not is(KEYS[1], 'string') then return {-1, KEYS[1]} end
local generation = redis.call('GET', KEYS[1]) or ARGV[1]
local once = ARGV[2]
if once == '' then once = generation end
local at = 3
for i = 2, #KEYS do
  if not is(KEYS[i], 'hash') then return {-1, KEYS[i]} end
  local fields = tonumber(ARGV[at])
  for field = 1, fields do
    local name, added = ARGV[at + 2 * field - 1], ARGV[at + 2 * field]
    if not (number(redis.call('HGET', KEYS[i], name)) and number(added)) then return {-1, KEYS[i]} end
  end
  at = at + 1 + 2 * fields
end
redis.call('SET', KEYS[1], generation, 'NX')
at = 3
local changed = 0
for i = 2, #KEYS do
  local fields = tonumber(ARGV[at])
  if redis.call('HGET', KEYS[i], 'restored') ~= once then
    for field = 1, fields do
      redis.call('HINCRBY', KEYS[i], ARGV[at + 2 * field - 1], ARGV[at + 2 * field])
    end
    redis.call('HSETNX', KEYS[i], 'rev', 0)
    redis.call('HSET', KEYS[i], 'restored', once)
    changed = changed + 1
  end
  at = at + 1 + 2 * fields
end
return {changed, generation}
";

/// `KEYS`: generation, revision, touched. `ARGV`: random text, generation and revision of the mark. Answers generation,
/// revision and the days. A mark from the future is one of a server that has lost its last writes: as good as none.
const TOUCHED: &str = "
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local generation = redis.call('GET', KEYS[1])
local revision = redis.call('GET', KEYS[2]) or '0'
local from = '-inf'
if ARGV[2] == generation and tonumber(ARGV[3]) <= tonumber(revision) then from = '(' .. ARGV[3] end
return {generation, revision, redis.call('ZRANGEBYSCORE', KEYS[3], from, '+inf')}
";

/// The scripts with their digests.
pub(super) struct Scripts {
    pub(super) count: Script,
    pub(super) restore: Script,
    pub(super) touched: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let checked = |code| Script::new(&format!("{CHECKS}{code}"));
        Self { count: checked(COUNT), restore: checked(RESTORE), touched: Script::new(TOUCHED) }
    }
}
