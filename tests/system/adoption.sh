#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# Work in a transient unit goes on while the daemon is restarted, by a kill, by systemctl or by itself, and its outcome is
# recorded and answered afterwards. nix is Debian's; NixOS cannot be had here, so the systems that a rollback switches
# between are made of one script each, on the paths of NixOS.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
configure <<'ACTIONS'
[actions.rollback_generation]
timeout = "60s"
[actions.vacuum_journal]
ACTIONS
profile=/nix/var/nix/profiles/system
mkdir -p /nix/var/nix/profiles
system() {  # NUMBER [COMMAND]: what its switch does
    local tree=/nix/store/lab-system-$1
    mkdir -p "$tree/bin"
    printf '%s\n' '#!/bin/sh' "${2:-:}" "ln -sfn $tree /run/current-system" >"$tree/bin/switch-to-configuration"
    chmod 0755 "$tree/bin/switch-to-configuration"
    ln -sfn "$tree" "$profile-$1-link"
}
is_generation() { ln -sfn "system-$1-link" $profile && ln -sfn "/nix/store/lab-system-$1" /run/current-system; }
restarted() { [[ -e /lab/restarted ]]; }
running() { [[ $(systemctl is-active "luminous-healing-run-mona:$1.service") == activating ]]; }
outcome_of() { records ".event != \"decision\" and .request_id == \"$1\"" | jq -r '"\(.event) \(.code)"' | paste -sd,; }
system 1 'sleep 3'
system 2
system 3 'systemctl restart luminous-healing.service; touch /lab/restarted'
systemctl start luminous-healing.socket
old=0
other_main() { local now; now=$(main_pid) && [[ $now != 0 && $now != "$old" ]] && active $service; }

for how in "kill -KILL" "systemctl restart"; do
    id=roll-${how%% *}
    is_generation 2
    story "A31: rolling back goes on when the daemon is ended by $how, and its outcome is answered"
    heal rollback_generation generation=1 --id="$id" &
    await running "$id"
    old=$(main_pid)
    if [[ $how == kill* ]]; then kill -KILL "$old"; else systemctl restart $service; fi
    await other_main
    expect_true running "$id"
    wait $!
    cp /lab/report "/lab/report-$id"
    await recorded ".event == \"outcome\" and .request_id == \"$id\""
    expect_true [ "$(outcome_of "$id")" = "outcome ok" ]
    expect_true [ "$(readlink $profile)" = system-1-link ]
    expect_true [ "$(records ".event == \"outcome\" and .request_id == \"$id\"" | jq -r .result.adopted)" = true ]
    story "A31: nothing of it is left, and it ran once"
    expect_true not running "$id"
    expect_true [ "$(journalctl --no-pager | grep -c "Starting luminous-healing-run-mona:$id")" -le 1 ]
done

story "A31: a switch that restarts this very daemon neither waits for ever nor is lost"
is_generation 2
heal rollback_generation generation=3 --id=roll-self
await restarted
await recorded '.event == "outcome" and .request_id == "roll-self"'
expect_true [ "$(outcome_of roll-self)" = "outcome ok" ]
expect_true [ "$(readlink $profile)" = system-3-link ]

story "whoever may no longer have it is not answered by it"
is_generation 2; rm -f /lab/restarted
heal rollback_generation generation=1 --id=roll-revoked &
await running roll-revoked
configure <<<$'[actions.vacuum_journal]'
old=$(main_pid); kill -KILL "$old"
await other_main
expect_true [ "$(outcome_of roll-revoked)" = "interrupted interrupted" ]
wait
finish
