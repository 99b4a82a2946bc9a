#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# restart_service, start_service, stop_service, reload_service and reset_failed on a real systemd.
source "$(dirname "$(readlink -f "$0")")/common.sh"

story "a restart gives a running service a new main process"
systemctl start nginx
old=$(systemctl show -P MainPID nginx)
probe restart_service service=nginx
expect ok healed "Restarted nginx.service"
expect_true [ "$(systemctl show -P MainPID nginx)" != "$old" ]
expect_true fact main_pid "$(systemctl show -P MainPID nginx)"

story "a plan looks and changes nothing, as an unprivileged user"
old=$(systemctl show -P MainPID nginx)
probe restart_service service=nginx --plan
expect ok
expect_true fact main_pid "$old"
expect_true [ "$(systemctl show -P MainPID nginx)" = "$old" ]

story "a reload keeps the main process"
probe reload_service service=nginx.service
expect ok healed
expect_true [ "$(systemctl show -P MainPID nginx)" = "$old" ]

story "a stop ends a service and a start begins it"
probe stop_service service=nginx
expect ok healed
expect_true inactive nginx
story "an inactive service is not reloaded"
probe reload_service service=nginx
expect action_failed "" "nothing runs that could reload"
story "a start begins a service"
probe start_service service=nginx
expect ok healed
expect_true active nginx

story "an unknown unit is refused"
probe restart_service service=no-such-thing
expect parameters_invalid "" "there is no unit"

story "A06: a name that begins with a dash is refused"
for name in -Hevil --no-block; do
    probe restart_service service=$name
    expect parameters_invalid "" "begins with '-'"
done

story "a masked unit is refused for what its administrator did"
systemctl mask --runtime --quiet e2scrub_reap.service
probe start_service service=e2scrub_reap.service
expect action_failed "" "masked"

unit broken.service <<<$'[Service]\nType=nonsense'
story "a unit that systemd cannot read is refused"
probe start_service service=broken
expect action_failed "" "systemd cannot use"

story "a protected unit is refused under its alias"
ln -s /lib/systemd/system/systemd-logind.service /run/systemd/system/harmless.service
systemctl daemon-reload
probe restart_service service=harmless --units=harmless.service
expect parameters_not_allowed "" "systemd-logind.service"
probe restart_service service=dbus-org.freedesktop.login1 --units='*'
expect parameters_not_allowed "" "systemd-logind.service"
story "a protected unit that the policy names in full is allowed"
probe restart_service service=systemd-logind --units=systemd-logind.service
expect ok healed

unit luminous-healing-x.service <<<$'[Service]\nExecStart=sleep 99'
ln -s luminous-healing-x.service /run/systemd/system/innocent.service
systemctl daemon-reload
story "a unit of our own is refused under whatever name"
probe start_service service=innocent --units=innocent.service,luminous-healing-x.service
expect parameters_not_allowed

unit 'tick@.service' <<<$'[Service]\nExecStart=sleep 999%i'
story "A07: an instance of a template is started"
probe start_service service=tick@7
expect ok healed
expect_true active tick@7.service
story "A07: a template without an instance is refused"
probe start_service service=tick@
expect parameters_invalid

unit once.service <<<$'[Service]\nType=oneshot\nExecStart=true'
story "a oneshot service that ran to its end counts as healed"
probe restart_service service=once
expect ok healed "Restarted"

unit fails.service <<<$'[Service]\nType=oneshot\nExecStart=false'
story "a failing oneshot fails the action"
probe restart_service service=fails
expect action_failed unchanged "it failed"
expect_true fact service_result exit-code
story "its failure is forgotten"
probe reset_failed service=fails
expect ok healed
expect_true [ "$(systemctl is-failed fails)" = inactive ]

unit loops.service <<'UNIT'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=sh -c "sleep 0.3; exit 1"
Restart=always
RestartSec=100ms
UNIT
story "A40: a service that dies after its start is not healed, though its job was done"
probe restart_service service=loops
expect not_healed "" "does not stay up"
story "A40: a start that did not help is taken back"
systemctl stop loops
probe start_service service=loops
expect not_healed
expect_true inactive loops

unit ends.service <<<$'[Service]\nExecStart=sleep 0.5'
story "A40: a simple service that ends by itself is not healed"
probe start_service service=ends
expect not_healed "" "again"

unit needs.service <<<$'[Unit]\nRequires=fails.service\nAfter=fails.service\n[Service]\nExecStart=sleep 99'
story "a failed dependency is named"
probe start_service service=needs
expect action_failed "" "depends on failed"

unit slow.service <<<$'[Service]\nType=notify\nExecStart=sleep 99'
story "a job that does not end in time is cancelled and told"
probe start_service service=slow --timeout=6
expect timeout "" "did not end within 3s"
systemctl stop slow

systemd-run --quiet --unit=passing sleep 999
story "a transient service can be stopped"
probe stop_service service=passing
expect ok healed
expect_true inactive passing

story "without a bus the same works on systemd's private socket"
systemctl stop dbus.socket dbus.service 2>/dev/null
mv /run/dbus/system_bus_socket /run/dbus/gone 2>/dev/null
probe restart_service service=nginx
expect ok healed
finish
