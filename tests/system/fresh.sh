#!/usr/bin/env bash
# Tries the project in a Debian 12 that has nothing but apt, from a clean clone of HEAD, because a developer's own
# machine hides what is missing. usage: fresh.sh [DEV-COMMAND...], default: demo. As root.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "fresh.sh needs root: it makes a Debian root directory and enters it" >&2; exit 1; }
repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
cache=${XDG_CACHE_HOME:-/var/cache}/luminous-healing-fresh
template=$cache/bookworm.tar
work=$(mktemp -d /var/tmp/luminous-fresh.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT

# The mirrors that this machine itself uses for Debian; a list of another vendor's would need its keys.
debian_sources() {
    if [ -f /etc/apt/sources.list.d/debian.sources ]; then cat /etc/apt/sources.list.d/debian.sources
    else cat /etc/apt/sources.list; fi
}

mkdir -p "$cache"
if [ ! -f "$template" ]; then
    echo "making a minimal Debian 12 (once, about 20 s)" >&2
    debian_sources >"$work/sources"
    mmdebstrap --quiet --variant=apt bookworm "$work/template.tar" - <"$work/sources"
    mv "$work/template.tar" "$template"
fi
mkdir "$work/root"
tar -C "$work/root" -xf "$template"
# Proxies and pins of this machine hold for the fresh one too.
cp -a /etc/apt/apt.conf.d/. "$work/root/etc/apt/apt.conf.d/"
rm -f "$work/root"/etc/apt/sources.list.d/*
if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    rm -f "$work/root/etc/apt/sources.list"
    cp /etc/apt/sources.list.d/debian.sources "$work/root/etc/apt/sources.list.d/"
else
    cp /etc/apt/sources.list "$work/root/etc/apt/sources.list"
fi
git clone --quiet --no-hardlinks "$repository" "$work/root/root/luminous-healing"
# nspawn's own filter refuses Landlock, which is not what any machine outside a container does.
systemd-nspawn -q -D "$work/root" --register=no \
    --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" --keep-unit --resolv-conf=copy-host --pipe \
    --chdir=/root/luminous-healing /usr/bin/env -i PATH="$PATH" HOME=/root LANG=C.UTF-8 ./dev "${@:-demo}" </dev/null
