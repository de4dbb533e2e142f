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

/// `KEYS`: event, generation, revision, touched, organisations, then each counter.
/// `ARGV`: milliseconds to remember the event, random text, organisation, then for each counter its day, how many
/// fields follow, and these with what is added. Answers 1, or 0 when the event was counted before.
const COUNT: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return {0, ''} end
for i, kind in ipairs({'string', 'string', 'zset', 'set'}) do
  if not is(KEYS[i + 1], kind) then return {-1, KEYS[i + 1]} end
end
if not number(redis.call('GET', KEYS[3])) then return {-1, KEYS[3]} end
local at = 4
for i = 6, #KEYS do
  if not is(KEYS[i], 'hash') then return {-1, KEYS[i]} end
  local fields = tonumber(ARGV[at + 1])
  for field = 1, fields do
    if not number(redis.call('HGET', KEYS[i], ARGV[at + 2 * field])) then return {-1, KEYS[i]} end
  end
  at = at + 2 + 2 * fields
end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'NX')
local revision = redis.call('INCR', KEYS[3])
at = 4
for i = 6, #KEYS do
  local fields = tonumber(ARGV[at + 1])
  for field = 1, fields do
    redis.call('HINCRBY', KEYS[i], ARGV[at + 2 * field], ARGV[at + 2 * field + 1])
  end
  redis.call('HSET', KEYS[i], 'rev', revision)
  redis.call('ZADD', KEYS[4], revision, ARGV[at])
  at = at + 2 + 2 * fields
end
redis.call('SADD', KEYS[5], ARGV[3])
return {1, ''}
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
