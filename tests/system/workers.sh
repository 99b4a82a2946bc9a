#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# What workers hold, against their rows; and what each can do of what the others are for.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
story "the lab has Landlock"
expect_true python3 -c 'import ctypes; exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1)'
cat >/usr/local/bin/look <<'LOOK'
#!/bin/sh
# What a command action holds, as its output.
while read -r line; do echo "$line"; done </proc/self/status
echo "environment: $(env | sort | paste -sd' ')"
echo "descriptors: $(cd /proc/self/fd && for fd in *; do [ -e "$fd" ] && printf '%s=%s ' "$fd" "$(readlink "$fd")"; done)"
echo "limits: $(ulimit -c) $(ulimit -n)"
echo "input: $(cat)"
for folder in /etc/luminous-healing/keys /var/log/luminous-healing /run/credentials/luminous-healing.service; do
    ls "$folder" >/dev/null 2>&1 && echo "reads: $folder"
done
for file in /srv/allowed/x /srv/other/x /tmp/x; do (echo x >"$file") 2>/dev/null && echo "writes: $file"; done
setsid true 2>/dev/null && echo "escapes: setsid"
unshare --user true 2>/dev/null && echo "escapes: unshare"
python3 -c 'import socket; socket.socket(socket.AF_INET)' 2>/dev/null && echo "escapes: AF_INET"
exit 0
LOOK
chmod 0755 /usr/local/bin/look
mkdir -p /srv/allowed /srv/other && chmod 0777 /srv/allowed /srv/other
configure <<'ACTIONS'
[actions.restart_service]
units = ["*.service"]
[actions.kill_process]
[actions.look_as_daemon]
command = ["/usr/local/bin/look"]
[actions.look_as_root]
command = ["/usr/local/bin/look"]
run_as = "root"
writes = ["/srv/allowed"]
[actions.look_as_eve]
command = ["/usr/local/bin/look"]
run_as = "eve"
capabilities = ["cap_kill"]
ACTIONS
mkdir -p /run/systemd/system/$service.d
luminous-healing-drop-in >/run/systemd/system/$service.d/50-least-privilege.conf
systemctl daemon-reload
systemctl start luminous-healing.socket $service

seen() { field .output | sed -n "s/^$1:[[:space:]]*//p" | tr '\t' ' '; }
holds() { # UID CAPABILITIES INHERITED WRITES
    expect ok
    expect_true [ "$(seen Uid)" = "$1 $1 $1 $1" ]
    for set in Prm Eff Bnd; do expect_true [ "$(seen Cap$set)" = "$2" ]; done
    for set in Inh Amb; do expect_true [ "$(seen Cap$set)" = "$3" ]; done
    expect_true [ "$(seen NoNewPrivs) $(seen Seccomp)" = "1 2" ]
    expect_true [ "$(seen limits)" = "0 1024" ]
    expect_true [ "$(seen reads)$(seen escapes)$(seen input)" = "" ]
    expect_true [ "$(seen writes | paste -sd' ')" = "$4" ]
    expect_true [ "$(seen environment)" = "LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin PWD=/" ]
}
none=0000000000000000 kill=0000000000000020
story "A01 A30: a command as the daemon's user holds its row"
heal look_as_daemon; holds "$(id -u luminous-healing)" $none $none ""
story "A01 A30: a command as root holds its row, and writes what it may"
heal look_as_root; holds 0 $none $none "/srv/allowed/x"
expect_true [ "$(seen Groups)" = "" ]
story "A01 A30: a command of another user with a capability holds its row"
heal look_as_eve; holds "$(id -u eve)" $kill $kill ""

# The built-in rows: the probe runs as the daemon does, by a copy of its unit.
install -m 0755 "$LAB_BUILD/tests/system/worker_probe" /usr/local/sbin/  # the build may lie where PrivateTmp= hides it
runuser -u eve -- sleep 9999 & await pgrep -u eve -x sleep >/dev/null
sleep 9998 & root_victim=$!
for name in victim stoppable bystander; do
    unit lab-$name.service <<<$'[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=sleep 9999\nExecReload=true'
    systemctl start lab-$name
done
# What the other rows need to be able to do their own: a network service, generations, a journal.
systemctl start systemd-networkd
generations=/nix/var/nix/profiles/system
mkdir -p /nix/store /nix/var/nix/profiles /var/log/journal
for number in 1 2 3 4 5 6; do
    mkdir -p /lab/system-$number/bin
    printf '%s\n' '#!/bin/sh' "echo $number >>/lab/switched" >/lab/system-$number/bin/switch-to-configuration
    chmod 0755 /lab/system-$number/bin/switch-to-configuration
    nix-env --quiet --profile $generations --set "$(nix-store --add /lab/system-$number)"
done
ln -sfn /nix/var/nix/profiles /nix/var/nix/gcroots/profiles
untouched() { systemctl show -P InvocationID,MainPID,StateChangeTimestamp lab-bystander; }
before=$(untouched)
sed -e '/^Exec/d; /^Type=/d; /^Watchdog/d; /^Restart/d; /^Requires=/d; /^LogsDirectory/d' \
    -e "s#^\[Service\]#&\nType=oneshot\nExecStart=/usr/local/sbin/worker_probe $(pgrep -u eve -x sleep) $root_victim lab-victim.service lab-stoppable.service lab-bystander.service /etc/luminous-healing/keys /var/log/luminous-healing /run/credentials/lab-probe.service\nStandardOutput=append:/lab/probe\nStandardError=inherit#" \
    "$project/systemd/luminous-healing.service" | unit lab-probe.service
story "A30: every built-in worker holds its row, and none can do what another is for"
systemctl start lab-probe.service; probed=$?
cat /lab/probe
expect_true [ $probed = 0 ]
story "a unit that no request names is as it was"
expect_true [ "$(untouched)" = "$before" ]
finish
