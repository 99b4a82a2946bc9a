#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# examples/self_healing.py, run by an ordinary user on a real systemd: it sees, asks, and believes the verdict.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
install_package
make_users
configure <<'ACTIONS'
[actions.restart_service]
units = ["breaks.service", "hopeless.service"]
[actions.clear_system_cache]
ACTIONS
systemctl start luminous-healing.socket luminous-healing.service
export LUMINOUS_HEALING_CALLER=mona LUMINOUS_HEALING_KEY_FILE=/home/mona/key
healer() { runuser -u mona -- python3 -B "$project/examples/self_healing.py" --memory-pressure 101 "$@" >/lab/said 2>&1; }
status() { [[ $(cat /lab/exit) == "$1" ]]; }
said() { grep -q -- "$1" /lab/said || { sed 's/^/    /' /lab/said; false; }; }
outcomes() { records ".event == \"outcome\" and .parameters.service == \"$1\""; }
asked() { [[ $(outcomes "$1" | wc -l) -ge $2 ]]; }
service_that() {
    unit "$1.service" <<UNIT
[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$2
UNIT
    systemctl start "$1.service" 2>/dev/null
}

story "nothing is wrong: exit status 0, and nothing is asked"
healer --once; echo $? >/lab/exit
expect_true status 0
expect_true [ -z "$(records '.action == "restart_service"')" ]

story "a failed unit is restarted, and the reason stands in the log"
service_that breaks "/usr/bin/test -e /run/cured"
expect_true systemctl is-failed --quiet breaks.service
touch /run/cured
healer --once; echo $? >/lab/exit
expect_true status 0
expect_true said "verdict healed"
expect_true active breaks.service
expect_true [ "$(outcomes breaks.service | jq -r .verdict)" = healed ]
expect_true recorded '.event == "decision" and .reason == "breaks.service has failed" and .caller == "mona"'

story "a plan changes nothing"
rm /run/cured; systemctl restart breaks.service 2>/dev/null; touch /run/cured
healer --once --plan; echo $? >/lab/exit
expect_true status 1
expect_true systemctl is-failed --quiet breaks.service
healer --once
expect_true active breaks.service

story "a unit that stays broken: the verdict is believed, and each time it is asked for later"
service_that hopeless /usr/bin/false
runuser -u mona -- python3 -B "$project/examples/self_healing.py" --memory-pressure 101 --interval 0.2 --cool-down 0.5 \
    >/lab/said 2>&1 &
healer_pid=$!
await asked hopeless.service 4
kill "$healer_pid"; pkill -P "$healer_pid"; wait "$healer_pid"
expect_true said "NotHealed\|ActionFailed"
expect_true [ "$(outcomes hopeless.service | jq -s 'map(.boottime_us) | .[0:4] | [.[1:], .[:-1]] | transpose | map(.[0] - .[1]) | . == sort')" = true ]
expect_true said "may be asked for again"

story "what the policy does not allow is not insisted on"
service_that foreign /usr/bin/false
systemctl stop hopeless.service; systemctl reset-failed hopeless.service
healer --once; echo $? >/lab/exit
expect_true status 1
expect_true said ParametersNotAllowed
expect_true systemctl is-failed --quiet foreign.service
expect_true [ -z "$(outcomes foreign.service)" ]
systemctl reset-failed foreign.service

story "memory pressure: asked for as a plan, with what the kernel says"
healer --once --plan --memory-pressure 0; echo $? >/lab/exit
expect_true said "memory pressure is"
expect_true recorded '.action == "clear_system_cache" and .mode == "plan" and .decision == "allow"'

story "without the daemon it says what to start, and ends well"
systemctl stop luminous-healing.socket luminous-healing.service
service_that lonely /usr/bin/false
healer --once; echo $? >/lab/exit
expect_true status 1
expect_true said "systemctl start luminous-healing.socket"
finish
