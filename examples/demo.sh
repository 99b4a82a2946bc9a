#!/usr/bin/env bash
# ./dev demo: a private daemon, without root, heals two real things and refuses four requests, each for its own reason.
# usage: examples/demo.sh BUILD_DIRECTORY
set -euo pipefail

build=$(readlink -f "$1")
home=$(mktemp -d /tmp/luminous-demo.XXXXXX)
daemon_pid='' runaway_pid=''

clean_up() {
    trap - EXIT
    for pid in $runaway_pid $daemon_pid; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    rm -rf "$home"
}
trap clean_up EXIT INT TERM

# Root demonstrates it as nobody, with copies that nobody can reach.
as_user=()
cp "$build"/executor/luminous-healing{d,-launcher} "$build/healctl/healctl" "$home/"
if [ "$(id -u)" = 0 ]; then
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chown -R 65534:65534 "$home"
fi
user=$("${as_user[@]}" id -u)

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '  $ %s\n' "$*"; }
indent() { sed 's/^/    /'; }
healctl() { "${as_user[@]}" "$home/healctl" --socket "$home/socket" --caller demo --key-file "$home/keys/demo" "$@"; }
# Shows the command, runs it, and insists on its exit status.
expect() {
    local wanted=$1 status=0
    shift
    show "healctl $*"
    healctl "$@" 2>&1 | indent || status=${PIPESTATUS[0]}
    [ "$status" = "$wanted" ] || { echo "  exit status $status instead of $wanted" >&2; exit 1; }
}
# One frame to the socket, the answer's code and reason back.
send() { "${as_user[@]}" nc -U -N "$home/socket"; }

say "1. A key, a policy and a cache that has grown stale, in $home"
"${as_user[@]}" mkdir -m 700 "$home/keys" "$home/log" "$home/cache"
"${as_user[@]}" "$home/healctl" keygen "$home/keys/demo" 2>&1 | indent
"${as_user[@]}" sh -c "head -c 5000000 /dev/zero > '$home/cache/stale'"
"${as_user[@]}" tee "$home/config.toml" <<POLICY | indent
[daemon]
socket = "$home/socket"
key_directory = "$home/keys"
[audit]
path = "$home/log/audit.json"
[callers.demo]
key = "demo"
users = [$user]
actions = ["kill_process", "empty_cache"]
[actions.kill_process]
processes = ["yes"]
[actions.empty_cache]
command = ["/usr/bin/truncate", "--size=0", "$home/cache/stale"]
writes = ["$home/cache"]
verify = ["/usr/bin/test", "!", "-s", "$home/cache/stale"]
POLICY

say "2. The daemon starts as uid $user, and has no privilege at all"
"${as_user[@]}" "$home/luminous-healingd" --config "$home/config.toml" >"$home/daemon.log" 2>&1 &
daemon_pid=$!
for _ in $(seq 100); do
    [ -S "$home/socket" ] && healctl status >/dev/null 2>&1 && break
    kill -0 "$daemon_pid" 2>/dev/null || { cat "$home/daemon.log" >&2; exit 1; }
    sleep 0.1
done
expect 0 actions

say "3. A process runs away; a monitor finds it and asks for its end"
"${as_user[@]}" yes >/dev/null &
runaway_pid=$!
found=''
until [ -n "$found" ]; do # the shell has forked; it is `yes` when it has executed it
    found=$(ps -u "$user" -o pid=,pcpu=,comm= --sort=-pcpu | awk '$3 == "yes" {print $1; exit}')
done
ps -p "$found" -o pid,user,pcpu,stat,comm | indent
expect 0 run kill_process "pid=$found" --reason "100 % of a core for nothing"
if kill -0 "$runaway_pid" 2>/dev/null; then echo "it still runs" >&2; exit 1; fi
wait "$runaway_pid" 2>/dev/null || true
runaway_pid=''

say "4. A configured command runs, and is believed only because its check agrees"
expect 0 run empty_cache
[ ! -s "$home/cache/stale" ]

say "5. A signed request that was changed on its way: the MAC covers every byte"
healctl sign empty_cache >"$home/frame"
sed 's/empty_cache/Empty_cache/' "$home/frame" | send | jq -c '.response | {code, error}' | indent

say "6. A replay: the very bytes that healed the machine a moment ago, and again with an old timestamp"
send <"$home/frame" | jq -c '.response | {code, audit_seq}' | indent
echo "    once more: the recorded answer, nothing runs a second time"
send <"$home/frame" | jq -c '.response | {code, audit_seq, replayed}' | indent
request=$(jq -cn --arg t "$(date -u -d '-10 minutes' +%FT%TZ)" \
    '{id: "captured", action: "empty_cache", parameters: {}, timestamp: $t}')
mac=$(printf 'luminous-healing/2 request\n%s' "$request" |
    openssl dgst -sha256 -hmac "$("${as_user[@]}" cat "$home/keys/demo")" | sed 's/.*= //')
echo "    captured ten minutes ago, never sent:"
printf '{"v":2,"caller":"demo","mac":"%s","request":%s}' "$mac" "$request" | send |
    jq -c '.response | {code, error}' | indent

say "7. An action that the policy does not give to this caller"
expect 3 run clean_nix_store

say "8. The eleventh request inside five minutes"
for i in $(seq 3 10); do healctl run empty_cache >/dev/null 2>&1 || { echo "request $i was refused" >&2; exit 1; }; done
expect 4 run empty_cache

say "9. What the audit log says, through jq"
show "jq -r '[.seq, .event, .action, .decision, .code, .verdict] | @tsv' audit.json"
jq -r 'select(.event == "decision" or .event == "outcome") |
    [.seq, .event, .action // "-", .decision // "-", .code, .verdict // "-", .error // ""] | @tsv' \
    "$home/log/audit.json" | awk -F'\t' '{printf "%4s  %-9s %-16s %-6s %-15s %-10s %.50s\n", $1, $2, $3, $4, $5, $6, $7}' | indent

say "Done. The daemon stops and nothing is left behind."
