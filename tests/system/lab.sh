#!/bin/bash
# Boots a throwaway Debian with systemd, D-Bus and polkit, runs a script in it as root, prints the script's output and
# exits with its status. The root is built once and cached; each run gets an overlay in memory, so nothing is kept.
#
#   tests/system/lab.sh [--bind-ro=HOST[:INSIDE]]… [--timeout=SECONDS] [--console] SCRIPT [ARGUMENT…]
#   tests/system/lab.sh --build-only        builds the root if it is not there, prints where it is
#
# Inside, the project and the folder of SCRIPT are at the paths they have outside, read-only; LAB_BUILD is the build
# folder (LUMINOUS_BUILD outside, else build/dev); /lab is a folder to write to, and its content is lost. The network
# is the lab's own, with nothing but lo. /proc/sys and /sys are the outer machine's: put back what a test changes.
# --console shows the boot. Exit status: the script's; 125 when the lab itself failed, 124 after the timeout, 77 when it
# is not run by root.
#
# Needs root, mmdebstrap and systemd-container; no systemd need run outside. Runs side by side with itself.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
project=$(dirname "$(dirname "$here")")
cache=${LUMINOUS_LAB_CACHE:-${XDG_CACHE_HOME:-/var/cache}/luminous-healing-lab}
suite=bookworm
packages=(systemd systemd-sysv dbus dbus-user-session libpam-systemd polkitd libcap2-bin libcap2 jq nginx-light iproute2
          procps python3 libssl3 libseccomp2 libsystemd0 libspdlog1.10 libsimdjson14 libtomlplusplus3 network-manager nix-bin
          netcat-openbsd openssl)

fail() { echo "lab: $*" >&2; exit 125; }

# --- the root -------------------------------------------------------------------------------------------------------

debian_sources() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/*debian*.list; do
        [[ -s $file ]] && echo "$file"
    done
    return 0
}

# What a fresh installation does not do and every test would have to: services that only slow the boot stay off, and
# one boot's journal is small.
prepare_root() {
    local root=$1 unit
    for unit in NetworkManager NetworkManager-wait-online NetworkManager-dispatcher nginx apt-daily.timer \
                apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer console-getty systemd-pstore; do
        systemctl --root="$root" --quiet disable "$unit" 2>/dev/null || true
    done
    mkdir -p "$root/lab" "$root/nix" "$root/var/log/journal"
    chmod 0755 "$root/nix"
}

build_root() {
    local root=$1 building
    building=$(mktemp -d "$cache/.building-XXXXXX")
    trap 'rm -rf --one-file-system "$building"' EXIT
    echo "lab: building the root (about 40 s, once)" >&2
    mapfile -t sources < <(debian_sources)
    mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" --format=directory "$suite" \
        "$building/root" "${sources[@]}" >&2 || fail "mmdebstrap failed"
    prepare_root "$building/root"
    mv "$building/root" "$root"
    rm -rf "$building"
    trap - EXIT
}

# The key: what is in the root, and how it was prepared. Whoever comes second waits for the first.
find_root() {
    local key
    key=$( { echo "$suite ${packages[*]}"; declare -f prepare_root; } | sha256sum | cut -c1-16)
    root=$cache/root-$key
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    [[ -d $root ]] || build_root "$root"
    flock -u 9
    exec 9>&-
}

# --- one run --------------------------------------------------------------------------------------------------------

write_unit() {
    local argument
    {
        echo "#!/bin/bash"
        printf 'exec'
        for argument in "$@"; do printf ' %q' "$argument"; done
        echo
    } >"$work/command"
    cat >"$work/lab.service" <<UNIT
[Unit]
After=multi-user.target dbus.service
[Service]
Type=exec
WorkingDirectory=/lab
Environment=LAB_BUILD=$build HOME=/root LANG=C.UTF-8
StandardOutput=append:/lab/output
StandardError=append:/lab/output
ExecStart=/bin/bash /lab/command
ExecStopPost=/bin/sh -c 'echo "\$EXIT_CODE \$EXIT_STATUS" >/lab/status; exec systemctl --no-block exit 0'
UNIT
}

# A container's systemd takes the cgroup that nspawn was started in for its own; two of them must not share one.
enter_own_cgroup() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [[ -w $hierarchy/cgroup.procs ]] || continue
        mkdir -p "$hierarchy/$machine" && echo "$BASHPID" >"$hierarchy/$machine/cgroup.procs" || return 1
    done
}

# Killing nspawn does not kill what it booted: that is found by its cgroup. The first process is its init, with which
# the kernel ends all others of the PID namespace.
kill_what_is_left() {
    local hierarchy process
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [[ -d $hierarchy/$machine ]] || continue
        while process=$(find "$hierarchy/$machine" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -n | head -1) &&
              [[ -n $process && $process != "$BASHPID" ]]; do
            kill -KILL "$process" 2>/dev/null
            read -rt 0.02 _ <>"$work/never"
        done
    done
}

leave_no_cgroup() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [[ -d $hierarchy/$machine ]] && find "$hierarchy/$machine" -depth -type d -exec rmdir {} + 2>/dev/null
    done
    # Version 2 may be there without being mounted, as on a machine that boots with version 1.
    mkdir -p "$work/cgroup2"
    # shellcheck disable=SC2016  # $1 and $2 are the inner shell's
    unshare --mount sh -c 'mount -t cgroup2 none "$1" && find "$1/$2" -depth -type d -exec rmdir {} +' - \
        "$work/cgroup2" "$machine" 2>/dev/null
}

# nspawn's own filter refuses Landlock, which is not what any machine outside a container does.
boot() {
    local console=$work/console
    [[ -n $show_console ]] && console=/dev/stderr
    enter_own_cgroup || exit 125
    export SYSTEMD_NSPAWN_API_VFS_WRITABLE=1
    exec systemd-nspawn --quiet --directory="$root" --volatile=overlay --boot --register=no --keep-unit \
        --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
        --machine="$machine" --private-network --kill-signal=SIGRTMIN+4 --bind="$work:/lab" \
        --bind-ro="$work/lab.service:/etc/systemd/system/lab.service" "${binds[@]}" \
        systemd.unit=multi-user.target systemd.wants=lab.service systemd.log_level=warning </dev/null >"$console" 2>&1
}

clean_up() {
    set +e
    trap '' INT TERM
    if [[ -n ${container:-} ]] && kill -0 "$container" 2>/dev/null; then
        kill -KILL "$container" 2>/dev/null
        wait "$container" 2>/dev/null
    fi
    kill_what_is_left
    leave_no_cgroup
    rm -rf --one-file-system "$work"
}

run_in_lab() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/luminous-lab-XXXXXX")
    machine=lab-$(basename "$work" | tr -dc 'a-zA-Z0-9')
    mkfifo "$work/never"  # a read from it with a time limit is a sleep without a process of its own
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    write_unit "$@"
    boot &
    container=$!
    ( read -rt "$limit" _ <>"$work/never" || { touch "$work/late"; kill -KILL "$container"; } ) >/dev/null 2>&1 &
    local watchdog=$!
    wait "$container" || true
    kill "$watchdog" 2>/dev/null || true
    [[ -e $work/output ]] && cat "$work/output"
    [[ -e $work/late ]] && { echo "lab: no end within $limit s" >&2; return 124; }
    [[ -e $work/status ]] || { tail -20 "$work/console" >&2 || true; fail "the script was never started"; }
    local how status
    read -r how status <"$work/status"
    [[ $how == exited ]] && return "$status"
    fail "the script was ended by $status"
}

limit=120 show_console='' binds=("--bind-ro=$project") build=$(readlink -f "${LUMINOUS_BUILD:-$project/build/dev}")
while [[ ${1:-} == --* ]]; do
    case $1 in
        --bind-ro=*) binds+=("$1") ;;
        --timeout=*) limit=${1#*=} ;;
        --console) show_console=yes ;;
        --build-only) find_root; echo "$root"; exit 0 ;;
        *) fail "unknown option $1; see the head of $0" ;;
    esac
    shift
done
[[ $# -ge 1 ]] || fail "which script? see the head of $0"
[[ $EUID -eq 0 ]] || { echo "lab: only root can boot a system" >&2; exit 77; }
for program in mmdebstrap systemd-nspawn; do
    command -v "$program" >/dev/null || fail "missing $program: apt-get install mmdebstrap systemd-container"
done
script=$(readlink -f "$1")
[[ -f $script ]] || fail "no such script: $1"
shift
if [[ $build != "$project"/* && -d $build ]]; then binds+=("--bind-ro=$build"); fi
if [[ $script != "$project"/* ]]; then binds+=("--bind-ro=$(dirname "$script")"); fi
find_root
run_in_lab "$script" "$@"
