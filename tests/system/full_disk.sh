#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# The disk of the log is full: what frees space runs on systemd all the same, and is recorded from the reserve.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
configure <<'ACTIONS'
[actions.nothing]
command = ["/usr/bin/true"]
[actions.clean_nix_store]
[audit]
reserve = "128KiB"
ACTIONS
mount -t tmpfs -o size=512k,mode=0750 lab /var/log/luminous-healing
chown luminous-healing:luminous-healing /var/log/luminous-healing
# Garbage, and a system with one generation, which stays.
mkdir -p /tmp/kept/bin /nix/store /nix/var/nix/profiles /nix/var/nix/gcroots
ln -sfn /nix/var/nix/profiles /nix/var/nix/gcroots/profiles
head -c 8000000 /dev/urandom >/tmp/garbage
garbage=$(nix-store --add /tmp/garbage)
nix-env --quiet --profile /nix/var/nix/profiles/system --set "$(nix-store --add /tmp/kept)"
systemctl start luminous-healing.socket $service

story "A24: at 100 % full an action that frees nothing is refused"
heal nothing
expect ok
cat /dev/zero >/var/log/luminous-healing/filler 2>/dev/null
expect_true [ "$(df --output=avail /var/log/luminous-healing | tail -1 | tr -d ' ')" = 0 ]
refused() { heal nothing && [[ $(field .code) == audit_unavailable ]]; }
await refused
story "A24: clean_nix_store runs there, and its intent and outcome are in the log"
heal clean_nix_store --id=freed
expect ok healed
expect_true [ ! -e "$garbage" ]
expect_true [ "$(records '.request_id == "freed"' | jq -r .event | paste -sd' ')" = "decision outcome" ]
story "A24: with space again everything runs"
rm /var/log/luminous-healing/filler
granted() { heal nothing && [[ $(field .code) == ok ]]; }
await granted
expect_true [ "$(jq -s 'map(.seq) | . == [range(.[0]; .[0] + length)]' "$log")" = true ]
finish
