#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# The installed daemon on a real systemd: socket activation, the actions, who may ask, reload.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
configure <<'ACTIONS'
[actions.restart_service]
units = ["*.service"]
[actions.start_service]
units = ["*.service"]
[actions.kill_process]
[actions.adjust_swappiness]
[actions.clear_system_cache]
ACTIONS

story "systemd-analyze verify finds nothing to say"
verified=$(systemd-analyze verify --man=no luminous-healing.service luminous-healing.socket 2>&1)
expect_true [ -z "$verified" ]; echo -n "$verified"
story "the unit's exposure is at most 2.0"
exposure=$(systemd-analyze security --no-pager $service | sed -n 's/.*level for [^:]*: \([0-9.]*\).*/\1/p')
echo "    exposure $exposure"
expect_true awk "BEGIN { exit !(\"$exposure\" != \"\" && $exposure <= 2.0) }"

story "the first connection starts the daemon"
systemctl start luminous-healing.socket
expect_true inactive $service
old=$(systemctl show -P MainPID nginx)
heal restart_service service=nginx
expect ok healed
expect_true active $service
expect_true exit_status 0
story "restart_service of a running service: a new main process in the result, NRestarts steady"
systemctl start nginx; old=$(systemctl show -P MainPID nginx)
heal restart_service service=nginx
expect ok healed
expect_true active nginx
expect_true [ "$(systemctl show -P MainPID nginx)" != "$old" ]
expect_true fact main_pid "$(systemctl show -P MainPID nginx)"
expect_true [ "$(systemctl show -P NRestarts nginx)" = 0 ]
story "the socket is systemd's: mode 0660 of the group, adopted and not made anew"
expect_true [ "$(stat -c '%a %U %G' /run/luminous-healing.sock)" = "660 root luminous-healing" ]
inode=$(stat -c %i /run/luminous-healing.sock)
systemctl restart $service
expect_true [ "$(stat -c %i /run/luminous-healing.sock)" = "$inode" ]
systemctl stop $service
story "A17: the socket outlives the daemon, and a request that comes meanwhile starts it"
expect_true [ "$(stat -c %i /run/luminous-healing.sock)" = "$inode" ]
heal clear_system_cache level=1
expect ok
story "the log is where the prototype's was, and neither it nor the keys can be read by others"
expect_true [ "$(readlink -f /var/log/luminous-healing-audit.json)" = "$log" ]
expect_true [ "$(stat -c '%a %U' "$log" /var/log/luminous-healing | tr '\n' ,)" = "640 luminous-healing,750 luminous-healing," ]
expect_true [ "$(stat -c '%a %U' /etc/luminous-healing/keys)" = "700 root" ]

story "executor and gate hold what the unit and the gate's rule say"
expect_true [ "$(capabilities_of "$(main_pid)" Eff)" = 00000000000001e0 ]
expect_true [ "$(capabilities_of "$(main_pid)" Bnd)" = 00000000000001e0 ]
expect_true [ "$(capabilities_of "$(main_pid)" Amb)" = 0000000000000000 ]
expect_true [ "$(capabilities_of "$(gate_pid)" Prm)" = 0000000000000000 ]
expect_true [ "$(capabilities_of "$(gate_pid)" Amb)" = 0000000000000000 ]
expect_true grep -q "^NoNewPrivs:.1" "/proc/$(main_pid)/status"

unit loops.service <<'UNIT'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=sh -c "sleep 0.3; exit 1"
Restart=always
RestartSec=100ms
UNIT
story "A40: a service that does not come back is not healed, and healctl's exit status is 6"
heal restart_service service=loops
expect not_healed
expect_true exit_status 6
systemctl stop loops
story "an unknown unit is refused"
heal restart_service service=no-such-thing
expect parameters_invalid "" "there is no unit"
expect_true exit_status 3
story "a masked unit is told as such"
systemctl mask --runtime --quiet e2scrub_reap.service
heal start_service service=e2scrub_reap
expect action_failed "" masked
expect_true exit_status 5
unit 'tick@.service' <<<$'[Service]\nExecStart=sleep 999%i'
story "A07: an instance is started, a template is refused"
heal start_service service=tick@7
expect ok healed
expect_true active tick@7.service
heal start_service service=tick@
expect parameters_invalid
escaped='tick@dev-disk-by\x2dlabel.service'
unit 'tock@.service' <<<$'[Service]\nExecStart=sleep 999'
story "A07: an escaped name is taken as it is written"
heal start_service "service=${escaped/tick/tock}"
expect ok healed
expect_true active "${escaped/tick/tock}"
story "A06 A08: what is no unit name is refused before anything is asked of systemd"
for name in -Hevil --no-block 'a b.service' '../x.service' $'nginx.service\nssh.service'; do
    heal restart_service "service=$name"
    expect parameters_invalid
    expect_true exit_status 3
done
story "a protected unit is out of a wildcard's reach"
heal restart_service service=systemd-logind
expect parameters_not_allowed

story "a process of another user is ended"
runuser -u eve -- sleep 9999 & await pgrep -u eve -x sleep >/dev/null; victim=$(pgrep -u eve -x sleep)
heal kill_process "pid=$victim"
expect ok healed
expect_true [ ! -e "/proc/$victim" ]
story "A05: no process that keeps the machine or the daemon alive is killed"
for pid in 0 -1 1 2 "$(main_pid)" "$(gate_pid)" 4294967297; do
    heal kill_process "pid=$pid"
    expect_true [ "$(field .code)" != ok ]
done
expect_true active $service

story "swappiness is written by uid 0 without a capability, and put back"
before=$(cat /proc/sys/vm/swappiness); wanted=$((before == 42 ? 43 : 42))
heal adjust_swappiness "value=$wanted"
expect ok healed
expect_true [ "$(cat /proc/sys/vm/swappiness)" = "$wanted" ]
expect_true fact old_value "$before"
heal adjust_swappiness "value=$before"
expect ok healed
expect_true [ "$(cat /proc/sys/vm/swappiness)" = "$before" ]
story "the caches are dropped"
cat /usr/bin/* >/dev/null
heal clear_system_cache level=3
expect_true [ "$(field .code)" = ok ] || expect not_healed

story "a member of the group without a key of its own is refused by the daemon"
as otto restart_service service=nginx
expect peer_not_allowed
expect_true exit_status 3
story "A15: the right key used by a wrong uid is recorded with the uid of the kernel"
expect_true recorded ".code == \"peer_not_allowed\" and .peer.uid == $(id -u otto)"
story "whoever is not in the group cannot open the socket"
as eve restart_service service=nginx
expect_true grep -q "no permission to use" /lab/progress
expect_true exit_status 1
story "a wrong key is refused"
echo 0123456789abcdef0123456789abcdef0123456789abcdef >/home/otto/wrong; chown otto /home/otto/wrong; chmod 0400 /home/otto/wrong
runuser -u otto -- healctl --caller mona --key-file /home/otto/wrong --json run clear_system_cache >/lab/answer 2>/lab/progress
expect_true recorded '.code == "bad_signature"'

story "a reload takes over the new configuration without a new process"
old=$(main_pid)
configure <<<$'[actions.clear_system_cache]'
expect_true systemctl reload $service
heal restart_service service=nginx
expect action_unknown
expect_true [ "$(main_pid)" = "$old" ]
story "A19: a reload of a wrong configuration fails on the terminal, and the old one stays in force"
echo '[actions.nonsense]' >>/etc/luminous-healing/config.toml
expect_true not systemctl reload $service
heal clear_system_cache level=1
expect ok
story "a start with a wrong configuration ends with its own exit status and is not tried again"
systemctl stop luminous-healing.socket $service
expect_true not systemctl start $service
expect_true [ "$(systemctl show -P ExecMainStatus $service)" = 78 ]
expect_true [ "$(systemctl show -P ActiveState $service)" = failed ]
finish
