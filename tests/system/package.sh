# shellcheck shell=bash
# Sourced after common.sh by the stories of the whole daemon: installs it as a package would, and says what a user says.
# Nothing here goes past the units: the daemon runs as systemd starts it.
project=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
log=/var/log/luminous-healing/audit.json
service=luminous-healing.service

install_package() {
    install -m 0755 "$LAB_BUILD/executor/luminous-healingd" "$project/systemd/luminous-healing-drop-in" /usr/sbin/
    install -D -m 0755 -t /usr/libexec/luminous-healing "$LAB_BUILD/executor/luminous-healing-launcher"
    install -m 0755 "$LAB_BUILD/healctl/healctl" /usr/bin/
    install -m 0644 "$project"/systemd/luminous-healing.{service,socket} /usr/lib/systemd/system/
    install -m 0644 "$project/systemd/luminous-healing.sysusers" /usr/lib/sysusers.d/luminous-healing.conf
    install -m 0644 "$project/systemd/luminous-healing.tmpfiles" /usr/lib/tmpfiles.d/luminous-healing.conf
    systemd-sysusers luminous-healing.conf
    systemd-tmpfiles --create luminous-healing.conf
    systemctl daemon-reload
}

# The users of the stories: mona may ask and has a key, otto is in the group without one, eve is in no group.
make_users() {
    local name
    for name in mona otto; do useradd --create-home --groups luminous-healing "$name"; done
    useradd --create-home eve
    new_key mona
    install -D -m 0400 -o mona /etc/luminous-healing/keys/mona /home/mona/key
    for name in otto eve; do install -D -m 0400 -o "$name" /etc/luminous-healing/keys/mona "/home/$name/key"; done
}
new_key() { healctl keygen "/etc/luminous-healing/keys/$1" >/dev/null; }

# What follows on standard input are the [actions.…] tables; the caller may have all of them.
configure() {
    local tables names
    tables=$(cat)
    names=$(sed -n 's/^\[actions\.\([a-z_]*\)\].*/"\1"/p' <<<"$tables" | paste -sd,)
    printf '%s\n' '[rate_limit]' 'limit = 1000' '[callers.mona]' 'key = "mona"' 'users = ["mona"]' \
        "actions = [$names]" "$tables" >/etc/luminous-healing/config.toml
}

# as USER ACTION [name=value…]: the report is where probe leaves its own, and so is the exit status of healctl.
as() {
    local user=$1
    shift
    runuser -u "$user" -- healctl --caller mona --key-file "/home/$user/key" --timeout 60s --json run "$@" \
        >/lab/answer 2>/lab/progress </dev/null
    echo $? >/lab/exit
    jq -e '(.response // .) | .facts = .result' /lab/answer >/lab/report 2>/dev/null || cp /lab/answer /lab/report
}
heal() { as mona "$@"; }
exit_status() { [[ $(cat /lab/exit) == "$1" ]]; }

main_pid() { systemctl show -P MainPID $service; }
gate_pid() { pgrep -P "$(main_pid)" -f -- --gate; }
capabilities_of() { sed -n "s/^Cap$2:\t//p" "/proc/$1/status"; }
records() { jq -c "select($1)" "$log"; }
recorded() { [[ -n $(records "$1") ]]; }
await() { until "$@"; do read -rt 0.05 _ <>/lab/never; done; }  # bounded by the time limit of the lab
not() { ! "$@" >/dev/null 2>&1; }
