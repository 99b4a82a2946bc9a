#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# Units are asked for over D-Bus: no helper program runs that could open a pager, and what runs in a transient unit has
# neither a terminal nor a pager.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
configure <<'ACTIONS'
[actions.restart_service]
units = ["*.service"]
[actions.reset_failed]
units = ["*.service"]
[actions.rollback_generation]
ACTIONS
# Whoever looks for a helper finds one of these first.
helpers=(systemctl busctl less more pager sh bash)
for name in "${helpers[@]}"; do
    printf '%s\n' '#!/bin/dash' "echo $name >>/lab/helped" >/usr/local/sbin/$name
    chmod 0755 /usr/local/sbin/$name
done
mkdir -p /run/systemd/system/$service.d
printf '%s\n' '[Service]' Environment=PATH=/usr/local/sbin:/usr/bin Environment=SYSTEMD_PAGER=/usr/local/sbin/pager \
    Environment=PAGER=/usr/local/sbin/pager Environment=SYSTEMD_PAGERSECURE=0 >/run/systemd/system/$service.d/lab.conf
hash -p /usr/bin/systemctl systemctl
systemctl daemon-reload
profile=/nix/var/nix/profiles/system
mkdir -p /nix/var/nix/profiles
for number in 1 2; do
    tree=/nix/store/lab-system-$number
    mkdir -p "$tree/bin"
    printf '%s\n' '#!/bin/dash' 'env >/lab/environment' 'readlink /proc/self/fd/0 /proc/self/fd/1 >/lab/descriptors' \
        'cut -d" " -f7 /proc/self/stat >/lab/terminal' "ln -sfn $tree /run/current-system" \
        >"$tree/bin/switch-to-configuration"
    chmod 0755 "$tree/bin/switch-to-configuration"
    ln -sfn "$tree" "$profile-$number-link"
done
ln -sfn system-2-link $profile && ln -sfn /nix/store/lab-system-2 /run/current-system
unit failing.service <<<$'[Service]\nType=oneshot\nExecStart=false'
systemctl start luminous-healing.socket $service nginx
systemctl start failing 2>/dev/null

story "A42: units are restarted and reset without any helper program"
rm -f /lab/helped
heal restart_service service=nginx
expect ok healed
heal reset_failed service=failing
expect ok healed
expect_true [ ! -e /lab/helped ]
story "A42: a transient unit has no terminal, no input and no pager"
heal rollback_generation generation=1
expect ok healed
expect_true [ "$(cat /lab/terminal)" = 0 ]
expect_true [ "$(head -1 /lab/descriptors)" = /dev/null ]
expect_true grep -qx 'SYSTEMD_PAGER=' /lab/environment
expect_true grep -qx 'PAGER=cat' /lab/environment
expect_true [ ! -e /lab/helped ]
(cd /usr/local/sbin && rm "${helpers[@]}")  # the lab's own end needs the true systemctl
finish
