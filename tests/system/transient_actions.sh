#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# Actions that run as transient units: vacuum_journal, clean_nix_store, rollback_generation, and finding such a unit
# again after the daemon's restart. Nix is Debian's; the systems it switches between are made of a script each.
source "$(dirname "$(readlink -f "$0")")/common.sh"
gone() { [[ -z $(systemctl list-units --all --no-legend --plain "luminous-healing-*$1*") ]]; }

story "the journal is vacuumed to a size and what was freed is reported"
mkdir -p /var/log/journal && systemctl restart systemd-journald && journalctl --flush
for i in 1 2 3 4; do
    head -c 9000000 /dev/urandom | base64 -w 500 | systemd-cat
    journalctl --sync && journalctl --rotate
done
before=$(du -s --block-size=1 /var/log/journal | cut -f1)
probe vacuum_journal keep_size=9MiB --id=vac1
expect ok healed
after=$(du -s --block-size=1 /var/log/journal | cut -f1)
expect_true [ "$after" -lt "$before" ]
expect_true [ "$(field .facts.freed_bytes)" -gt 8000000 ]
story "nothing of the unit is left"
expect_true gone vac1
story "A40: a vacuum that frees nothing is not healed"
probe vacuum_journal keep_days=300 --id=vac2
expect not_healed unchanged
story "one limit must be given and only one"
probe vacuum_journal; expect parameters_invalid
probe vacuum_journal keep_days=3 keep_size=1MiB; expect parameters_invalid
probe vacuum_journal 'keep_size=1 --flush'; expect parameters_invalid
story "a plan reads as an unprivileged user"
probe vacuum_journal keep_days=7 --plan
expect ok

# Four systems whose switch notes who is running, as NixOS's does.
profile=/nix/var/nix/profiles/system
system() {
    local tree=/tmp/system-$1
    mkdir -p "$tree/bin"
    head -c "${2:-1000}" /dev/urandom >"$tree/data"
    printf '%s\n' '#!/bin/sh' 'self=$(dirname "$(dirname "$(readlink -f "$0")")")' "${3:-:}" \
        'ln -sfn "$self" /run/current-system' >"$tree/bin/switch-to-configuration"
    chmod 0755 "$tree/bin/switch-to-configuration"
    nix-env --quiet --profile "$profile" --set "$(nix-store --add "$tree")" 2>/dev/null
    touch --no-dereference --date="$((100 - $1)) days ago" "$profile-$1-link"
}
mkdir -p /nix/var/nix/profiles /nix/var/nix/gcroots && ln -sfn /nix/var/nix/profiles /nix/var/nix/gcroots/profiles
system 1 20000000; system 2; system 3 20000000; system 4; system 5; system 6
"$profile/bin/switch-to-configuration"
ln -sfn "$(readlink "$profile-2-link")" /run/booted-system
for link in current-system booted-system; do ln -sfn /run/$link /nix/var/nix/gcroots/$link; done

story "A32: old generations go and the newest and the booted one stay"
probe clean_nix_store --id=nix1
expect ok healed
numbers() { (cd /nix/var/nix/profiles && echo system-*-link | sed 's/system-//g; s/-link//g'); }
expect_true [ "$(numbers)" = "2 4 5 6" ]
expect_true [ "$(field .facts.freed_bytes)" -gt 30000000 ]
expect_true [ -e "$profile-2-link/bin/switch-to-configuration" ]
expect_true gone nix1
story "A40: cleaning a clean store is not healed"
probe clean_nix_store --id=nix2
expect not_healed unchanged

story "a rollback switches to the generation before"
probe rollback_generation --id=roll1
expect ok healed
expect_true [ "$(readlink $profile)" = system-5-link ]
expect_true [ "$(readlink /run/current-system)" = "$(readlink $profile-5-link)" ]
story "a rollback goes to the generation asked for"
probe rollback_generation generation=6 --id=roll2
expect ok healed
expect_true [ "$(readlink $profile)" = system-6-link ]
story "an unknown generation is refused"
probe rollback_generation generation=77 --id=roll3
expect parameters_invalid "" "no generation 77"

unit victim.service <<<$'[Service]\nType=oneshot\nExecStart=false'
system 7 1000 'systemctl start victim; true'
"$profile/bin/switch-to-configuration"
system 8; "$profile/bin/switch-to-configuration"; systemctl reset-failed
story "A40: a rollback that breaks a unit is taken back"
probe rollback_generation --id=roll4
expect not_healed worse "failed units"
expect_true [ "$(readlink $profile)" = system-8-link ]
expect_true [ "$(field .facts.undone)" = true ]
systemctl reset-failed

system 9 1000 'exit 3'; system 10; "$profile/bin/switch-to-configuration"
story "a switch that fails is told with its exit status and taken back"
probe rollback_generation generation=9 --id=roll5
expect action_failed unchanged "exit status 3"
expect_true [ "$(readlink $profile)" = system-10-link ]
expect_true gone roll5

system 11 1000 'sleep 4'; system 12; "$profile/bin/switch-to-configuration"
story "A31: a run that is killed goes on and its outcome is found later"
"$LAB_BUILD/tests/system/action_probe" rollback_generation generation=11 --id=roll6 >/dev/null 2>&1 &
until systemctl is-active luminous-healing-run-roll6.service 2>/dev/null | grep -q activating; do :; done
pkill -KILL -P $!; wait $!
expect_true [ "$(systemctl is-active luminous-healing-run-roll6.service)" = activating ]
probe rollback_generation generation=11 --id=roll6 --adopt
expect ok healed "while the daemon was away"
expect_true [ "$(readlink $profile)" = system-11-link ]
expect_true fact generation_before 12
story "A31: once told it is forgotten and a unit that never was is interrupted"
expect_true gone roll6
probe rollback_generation generation=11 --id=roll6 --adopt
expect interrupted
story "a second unit of the same request is refused"
systemd-run --quiet --unit=luminous-healing-run-twice sleep 99
probe vacuum_journal keep_days=7 --id=twice
expect action_failed "" "already"
finish
