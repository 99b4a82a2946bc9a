#!/bin/bash
# Asks luminous-healingd for an action with nothing but bash, jq, openssl and nc (or socat).
#   heal.sh CALLER KEY_FILE ACTION [PARAMETERS_AS_JSON]
#   heal.sh self-healing ~/.config/luminous-healing/key restart_service '{"service":"nginx"}'
# Prints the proven `response` object. Exit status: 0 code ok, 1 any other code, 2 no answer that can be trusted.
set -euo pipefail
fail() { echo "heal.sh: $1" >&2; exit 2; }
[ $# -ge 3 ] || fail 'usage: heal.sh CALLER KEY_FILE ACTION [PARAMETERS_AS_JSON]'
caller=$1 key_file=$2 action=$3 parameters=${4:-'{}'} LC_ALL=C
socket=${LUMINOUS_HEALING_SOCKET:-/run/luminous-healing.sock}
key=$(tr -d ' \t\r\n' < "$key_file")

# The key is among openssl's arguments for a moment, where other users of this machine can see it unless /proc is
# mounted with hidepid=2. healctl has no such moment.
hmac() { openssl dgst -sha256 -hmac "$key" | sed 's/^.* //'; }

jq -es 'length == 1 and (.[0] | type == "object")' <<< "$parameters" > /dev/null || fail 'PARAMETERS are no JSON object'
id=$(openssl rand -hex 16)
request=$(jq -cn --arg id "$id" --arg action "$action" \
    --arg timestamp "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" '{id: $id, action: $action, timestamp: $timestamp}')
request="${request%\}},\"parameters\":$parameters}" # as they were written: jq 1.6 would round big numbers
mac=$(printf 'luminous-healing/2 request\n%s' "$request" | hmac)
frame="{\"v\":2,\"caller\":$(jq -n --arg c "$caller" '$c'),\"mac\":\"$mac\",\"request\":$request}"
# The daemon keeps the connection open for further requests, so the answer ends with its line, not with the stream.
if command -v nc > /dev/null; then via=(nc -U "$socket"); else via=(socat - "UNIX-CONNECT:$socket"); fi
coproc NET { exec "${via[@]}"; } && pid=$NET_PID
trap 'kill "$pid" 2> /dev/null || true; wait' EXIT
printf '%s\n' "$frame" >&"${NET[1]}"
IFS= read -r -n 65536 -t "${HEAL_TIMEOUT:-900}" answer <&"${NET[0]}" ||
    fail "no answer from $socket; whether it ran, the audit log says: healctl audit show --id $id"
form='^\{"v":2,"mac":("([0-9a-f]{64})"|null),"response":(\{.*\})\}$' # what is torn or too long is not
[[ $answer =~ $form ]] || fail 'the answer is not in the form of version 2'
their_mac=${BASH_REMATCH[2]} response=${BASH_REMATCH[3]}
# Only refusals of somebody who proved no key come without a MAC: something to read, not something to rely on.
[ -n "$their_mac" ] || { printf '%s\n' "$response" >&2; exit 1; }
our_mac=$(printf 'luminous-healing/2 response\n%s\n%s' "$mac" "$response" | hmac)
[ "$their_mac" = "$our_mac" ] || fail 'the MAC is wrong: the answer is not from this daemon or not to this request'
printf '%s\n' "$response"
[ "$(jq -r .code <<< "$response")" = ok ]
