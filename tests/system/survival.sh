#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# What happens when each of our processes is killed or stands still, and what the daemon holds when little is enabled.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
configure <<'ACTIONS'
[actions.clear_system_cache]
[actions.slow]
command = ["/usr/bin/sleep", "{seconds}"]
parameters.seconds = { type = "integer", min = 0, max = 60 }
timeout = "90s"
[actions.slow_as_root]
command = ["/usr/bin/sleep", "{seconds}"]
run_as = "root"
parameters.seconds = { type = "integer", min = 0, max = 60 }
timeout = "90s"
ACTIONS
mkdir -p /run/systemd/system/$service.d
printf '%s\n' '[Service]' WatchdogSec=3s RestartSec=100ms '[Unit]' StartLimitIntervalSec=0 >/run/systemd/system/$service.d/lab.conf
systemctl daemon-reload
systemctl start luminous-healing.socket $service
restarts() { systemctl show -P NRestarts $service; }
worker_pid() { pgrep -P "$(main_pid)" -x sleep; }
has_worker() { worker_pid >/dev/null; }
lost_gates() { records '.event == "gate_lost"' | wc -l; }
other_gate() { local now; now=$(gate_pid) && [[ -n $now && $now != "$1" ]]; }
other_main() { local now; now=$(main_pid) && [[ $now != 0 && $now != "$1" ]] && active $service; }
started() { heal "$@" & await has_worker; }

story "a killed gate is replaced and recorded, and what runs is not disturbed"
started slow seconds=2 --id=through-a-gate
old=$(gate_pid) main=$(main_pid); kill -KILL "$old"
await other_gate "$old"
wait
expect ok
expect_true [ "$(lost_gates)" = 1 ]
expect_true [ "$(main_pid)" = "$main" ]
expect_true [ "$(records '.event == "outcome" and .request_id == "through-a-gate"' | jq -r .code)" = ok ]
story "a gate that stands still is replaced"
old=$(gate_pid); kill -STOP "$old"
await other_gate "$old"
heal clear_system_cache level=1
expect_true [ "$(field .code)" = ok ]
expect_true [ "$(lost_gates)" = 2 ]
expect_true [ "$(main_pid)" = "$main" ]
expect_true [ "$(restarts)" = 0 ]

for action in slow slow_as_root; do
    story "a killed worker of $action is a failed action and no more"
    started $action seconds=50
    kill -KILL "$(worker_pid)"
    wait
    expect action_failed "" "signal 9"
    expect_true exit_status 5
    expect_true [ "$(main_pid)" = "$main" ]
done

story "a killed executor takes its gate and workers with it, and systemd starts another"
started slow_as_root seconds=50 --id=cut-off
gate=$(gate_pid) worker=$(worker_pid); kill -KILL "$main"
await other_main "$main"
expect_true [ ! -e "/proc/$worker" ]
expect_true [ ! -e "/proc/$gate" ]
wait
story "A10: what it was doing is interrupted, and never run again"
expect interrupted
expect_true exit_status 7
expect_true recorded '.event == "interrupted" and .request_id == "cut-off"'
expect_true not has_worker
story "A27: the log goes on without a gap"
expect_true [ "$(jq -s 'map(.seq) | . == [range(.[0]; .[0] + length)]' "$log")" = true ]

story "an executor that stands still is ended by the watchdog and started again"
main=$(main_pid) before=$(restarts); kill -STOP "$main"
await other_main "$main"
expect_true [ "$(restarts)" -gt "$before" ]
expect_true grep -q "Watchdog timeout" <(journalctl --no-pager -u $service)
heal clear_system_cache level=1
expect_true [ "$(field .code)" = ok ]

story "TERM lets what runs end, and the socket keeps what comes meanwhile"
started slow seconds=2 --id=last-wish
systemctl restart $service
wait
expect_true [ "$(records '.event == "outcome" and .request_id == "last-wish"' | jq -r .code)" = ok ]
expect_true recorded '.event == "stop"'

story "only kill_process enabled: CAP_KILL alone, and no way to become uid 0"
configure <<<$'[actions.kill_process]'
luminous-healing-drop-in >/run/systemd/system/$service.d/50-least-privilege.conf
systemctl daemon-reload && systemctl restart $service
for set in Prm Eff Bnd; do expect_true [ "$(capabilities_of "$(main_pid)" $set)" = 0000000000000020 ]; done
for set in Inh Amb; do expect_true [ "$(capabilities_of "$(main_pid)" $set)" = 0000000000000000 ]; done
expect_true [ "$(systemctl show -P ProtectKernelTunables $service)" = yes ]
story "the drop-in leaves systemd-analyze with nothing to say"
verified=$(systemd-analyze verify --man=no $service 2>&1)
expect_true [ -z "$verified" ]
echo "    exposure $(systemd-analyze security --no-pager $service | sed -n 's/.*level for [^:]*: \([0-9.]*\).*/\1/p')"
story "with CAP_KILL alone the process of another user is ended"
runuser -u eve -- sleep 9999 & await pgrep -u eve -x sleep >/dev/null; victim=$(pgrep -u eve -x sleep)
heal kill_process "pid=$victim"
expect ok healed
story "an action enabled since then is unavailable, and says what it lacks"
configure <<<$'[actions.clear_system_cache]'
systemctl restart $service
heal clear_system_cache
expect unavailable "" "CAP_SETUID"
finish
