#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# The gate holds nothing, and whoever takes it over gets nothing: a daemon whose gate does what a file says.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
cat >/usr/local/bin/until-told <<'SCRIPT'
#!/bin/sh
until [ -e /run/lab-enough ]; do sleep 0.1; done
SCRIPT
chmod 0755 /usr/local/bin/until-told
mkdir -p /run/systemd/system/$service.d
printf '%s\n' '[Service]' WatchdogSec=6s >/run/systemd/system/$service.d/lab.conf  # a gate has two thirds of it
systemctl daemon-reload
configure <<'ACTIONS'
[actions.until_told]
command = ["/usr/local/bin/until-told"]
timeout = "90s"
[actions.restart_service]
units = ["*.service"]
[actions.slow]
command = ["/usr/bin/sleep", "{seconds}"]
parameters.seconds = { type = "integer", min = 0, max = 60 }
timeout = "90s"
ACTIONS
systemctl start luminous-healing.socket $service nginx
# Children with orders: neither the gate nor who waits for some (executor/worker.h; a launcher has the name of a
# descriptor at first). None is a failure, to be awaited.
workers() {
    pgrep -l -P "$(main_pid)" |
        awk '$2 !~ /^(luminous-healin|healing-spare|healing-keeper|[0-9]+)$/ { print $1; some = 1 } END { exit !some }'
}
status_of() { sed -n "s/^$2:\t*//p" "/proc/$1/status"; }
search() { python3 "$(dirname "$(readlink -f "$0")")/memory_search.py" /etc/luminous-healing/keys/mona "$1"; }

story "the gate holds no capability, no privilege to come, and lives under its list of system calls"
gate=$(gate_pid)
for set in Inh Prm Eff Amb; do expect_true [ "$(status_of "$gate" Cap$set)" = 0000000000000000 ]; done
expect_true [ "$(status_of "$gate" CapBnd)" = 0000000000000000 ]
expect_true [ "$(status_of "$gate" NoNewPrivs) $(status_of "$gate" Seccomp)" = "1 2" ]
expect_true [ "$(status_of "$gate" Seccomp_filters)" -gt "$(status_of "$(main_pid)" Seccomp_filters)" ]
expect_true [ "$(chrt -p "$gate" | sed -n 's/.*policy: //p')" = SCHED_BATCH ]
story "the gate has its channel, its epoll and the journal, and no file"
links=$(for fd in /proc/"$gate"/fd/*; do readlink "$fd"; done | sed 's/:.*//; s#/dev/null#null#' | sort -u | paste -sd' ')
expect_true [ "$links" = "anon_inode null socket" ]; echo "    $links"
expect_true [ ! -s <(tr -d '\0' <"/proc/$gate/environ" | sed 's/JOURNAL_STREAM=1//') ]

story "the search finds the key where it is: in the executor"
heal slow seconds=0
expect ok
found=$(search "$(main_pid)"); echo "    executor: $(paste -sd, <<<"$found")"
expect_true [ -n "$found" ]
story "A39: neither the key nor what is made of it lies in the gate"
found=$(search "$gate") searched=$?
expect_true [ "$searched:$found" = "0:" ]
story "A30 A39: nor in a worker, although it is a fork of the executor"
# It stands still until told, and the worker that restarts it waits with it.
printf '%s\n' '[Service]' 'ExecStart=/usr/bin/sleep infinity' 'ExecStop=/usr/local/bin/until-told' \
    >/run/systemd/system/lab-lingers.service
systemctl daemon-reload; systemctl start lab-lingers
heal restart_service service=lab-lingers & patient=$!
lingers() { [[ $(systemctl is-active lab-lingers) == deactivating ]]; }
await lingers
expect_true [ -n "$(workers)" ]
for pid in $(workers); do
    expect_true [ "$(readlink "/proc/$pid/exe")" = /usr/sbin/luminous-healingd ]
    found=$(search "$pid") searched=$?
    expect_true [ "$searched:$found" = "0:" ]
done
touch /run/lab-enough; wait "$patient"; rm /run/lab-enough
expect ok

# --- a gate that has been taken over ----------------------------------------------------------------------------------
systemctl stop $service
install -m 0755 "$LAB_BUILD/tests/system/hostile_gate" /usr/sbin/luminous-healingd
gate_mode=/usr/sbin/luminous-healingd.mode  # hostile_gate.cpp
echo good >$gate_mode
systemctl start $service
main=$(main_pid)
lost() { records '.event == "gate_lost"' | wc -l; }
lost_more_than() { [[ $(lost) -gt $1 ]]; }
ready() { echo '{"type":"ping"}' | timeout 1 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("/run/luminous-healing.sock"); s.sendall(sys.stdin.buffer.read())
sys.exit(b"pong" not in s.recv(4096))' 2>/dev/null; }
# A gate of that mind takes over; the connection is for those who wait for one.
kill_gate() { local gate; gate=$(gate_pid) && kill -KILL "$gate" 2>/dev/null; }
turn() { echo "$1" >$gate_mode; await kill_gate; }
other_gate() { local now; now=$(gate_pid) && [[ -n $now && $now != "$1" ]]; }
take_over() { local old; old=$(gate_pid); turn "$1"; await other_gate "$old"; }
connect() { runuser -u "$1" -- python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.connect("/run/luminous-healing.sock"); time.sleep(60)' & }
better() { echo good >$gate_mode; await ready; }

heal until_told --id=undisturbed &
patient=$!
await workers >/dev/null
worker=$(workers)
runs() { [[ $(ps -o ppid= -p "$worker") -eq $main && $(main_pid) == "$main" ]]; }
for mode in garbage lengths oversize backwards descriptor stranger; do
    story "A44: $mode from the gate: it is killed and replaced, and that is recorded"
    before=$(lost)
    turn $mode
    await lost_more_than $((before + 1))  # the one we killed, and the one that misbehaved
    better
    expect_true recorded '.event == "gate_lost" and (.error | test("no gate of ours|longer than any"))'
    expect_true runs
done
story "A44: a flood of requests ends the gate, not the executor"
before=$(lost); take_over flood; connect mona; await lost_more_than $((before + 1)); better
expect_true runs
story "A44: a request that nobody signed is refused and recorded, and no more"
take_over unsigned; connect mona; forged() { recorded '.code == "bad_signature"'; }; await forged
expect_true not recorded '.request_id == "forged" and .decision == "allow"'
better_after() { await kill_gate; better; }
echo good >$gate_mode; better_after
expect_true runs
story "A15 A44: a signed request as if another client had sent it is refused for that client's uid"
take_over swapped; heal restart_service service=nginx --id=stolen & connect otto
stolen() { recorded ".code == \"peer_not_allowed\" and .peer.uid == $(id -u otto)"; }; await stolen
expect_true not recorded '.request_id == "stolen" and .decision == "allow" and .peer.uid == '"$(id -u otto)"
echo good >$gate_mode; better_after
expect_true runs
story "A44: a silent gate is replaced"
before=$(lost); turn silence; await lost_more_than $((before + 1)); better
expect_true recorded '.event == "gate_lost" and (.error | test("did not answer"))'
expect_true runs
story "A44: what ran all the while has ended well, in the same daemon, and its client has the answer"
touch /run/lab-enough; wait $patient
expect_true [ "$(records '.event == "outcome" and .request_id == "undisturbed"' | jq -r .code)" = ok ]
expect_true [ "$(main_pid)" = "$main" ]
finish
