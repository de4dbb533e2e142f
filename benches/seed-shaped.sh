#!/usr/bin/env bash
# A call as a shell script makes it: the yardstick of the benchmark for what qs-api-call replaces.
# Usage: seed-shaped.sh <endpoint> [log_file]
set -euo pipefail

token_file="${TOKEN_FILE:-/etc/qs-server/internal-token}"
refresh="${REFRESH_TOKEN_SCRIPT:-/usr/local/bin/qs-refresh-token.sh}"
base="${API_BASE_URL:-http://localhost:8080}"
budget="${TIMEOUT:-300}"

if [ "$#" -lt 1 ]; then
  echo "Usage: $0 <endpoint> [log_file]" >&2
  exit 1
fi
log_file="${2:-/var/log/qs-scheduler/api-call.log}"
mkdir -p "$(dirname "$log_file")"

note() {
  echo "[$(date '+%Y-%m-%d %H:%M:%S')] $1" | tee -a "$log_file"
}

fail() {
  note "ERROR: $1"
  exit 1
}

if [ ! -s "$token_file" ]; then
  note "Token file not found or empty, refreshing token..."
  [ -x "$refresh" ] || fail "$refresh is not there"
  "$refresh" >>"$log_file" 2>&1 || fail "Token not refreshed"
fi
token="$(cat "$token_file")"
[ -n "$token" ] || fail "Token is empty"

url="$base$1"
answer="$(mktemp)"
trap 'rm -f "$answer"' EXIT
note "Calling API: $url"
# The header comes by standard input: a command line is for everyone to read.
curl -sS --max-time "$budget" -X POST --config - -H 'Content-Type: application/json' \
  -w '\n%{http_code}' "$url" >"$answer" <<<"header = \"Authorization: Bearer $token\"" || true
status="$(tail -n 1 "$answer")"
body="$(sed '$d' "$answer")"

case "$status" in
  200 | 201)
    note "API call successful (HTTP $status)"
    [ -z "$body" ] || note "Response: $body"
    ;;
  *) fail "API call failed with HTTP code: $status, response: ${body:-N/A}" ;;
esac
