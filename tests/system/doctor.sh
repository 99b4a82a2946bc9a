#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# Broken installations, each made on purpose: doctor finds it, names it, and what it prints as mend mends it.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
deb=$(find "$project/build/release" -maxdepth 1 -name 'luminous-healing_*.deb' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
[[ -f $deb ]] || { echo "there is no package: ./dev package makes one"; exit 1; }
: >/lab/progress; echo '{}' >/lab/report
dpkg --install "$deb" >/lab/progress 2>&1 || { cat /lab/progress; exit 1; }
useradd --create-home mona && usermod --append --groups luminous-healing mona
healctl caller add mona --user mona --action clear_system_cache --action kill_process --give 2>/lab/progress || cat /lab/progress
unit=/etc/systemd/system/$service.d
keys=/etc/luminous-healing/keys
config=/etc/luminous-healing/config.toml
broken=0

doctor_as() { # USER
    if [[ $1 == root ]]; then healctl --json doctor; else runuser -u "$1" -- healctl --json doctor; fi >/lab/findings 2>/lab/progress
}
names() { jq -r '.findings[] | select(.health == "bad") | .name' /lab/findings | sort -u | paste -sd,; }
# Each command that doctor printed, in its order, by sh as root, as a person would paste them.
mend() { jq -r '.findings[] | select(.health == "bad") | .mend | select(. != "")' /lab/findings | while read -r line; do
    echo "\$ $line" >>/lab/mended; sh -c "$line" >>/lab/mended 2>&1 </dev/null; done; }

# breaks NAMES PATTERN [USER]: the break was just made. The first name is what doctor must call it; the pattern is in what it
# says. Two rounds of mending are allowed: a daemon that could not start shows the rest only when it does.
breaks() {
    local name=$1 pattern=$2 user=${3:-root}
    broken=$((broken + 1))
    doctor_as $user
    expect_true [ $? = 1 ]
    expect_true grep -qE "(^|,)$name(,|$)" <<<"$(names)"
    expect_true grep -qE "$pattern" <<<"$(jq -r ".findings[] | select(.name == \"$name\" and .health == \"bad\") | .what" /lab/findings)"
    expect_true [ -n "$(jq -r ".findings[] | select(.name == \"$name\" and .health == \"bad\") | .mend" /lab/findings)" ]
    : >/lab/mended
    mend
    doctor_as $user || { mend; doctor_as $user; }
    if [[ -n $(names) ]]; then
        told "$name was not mended: $(names)"
        jq -c '.findings[] | select(.health == "bad")' /lab/findings
        sed 's/^/    /' /lab/mended
    else echo "ok: $story: mended by $(grep -c '^\$' /lab/mended) commands"; fi
    usermod --append --groups luminous-healing mona  # the group may be a new one
    expect_true runuser -u mona -- healctl --json status >/lab/answer 2>/lab/progress
}

story "an installation in order is called so"
doctor_as root; expect_true [ $? = 0 ]; expect_true [ -z "$(names)" ]
doctor_as mona; expect_true [ $? = 0 ]; expect_true [ -z "$(names)" ]
cp $config /lab/config

story "the configuration can be written by others"
chmod 0666 $config
breaks configuration "changed by others"
story "the configuration belongs to a user"
chown mona $config
breaks configuration "belongs to uid"
story "the folder of the configuration can be written by others"
chmod 0777 /etc/luminous-healing
breaks folder "open to others"
story "the folder of the keys is open"
chmod 0755 $keys
breaks keys-folder "open to others"
story "a key is missing"
mv $keys/root /lab/root-key
breaks keys "there is no key file"
story "a key can be read by everybody"
chmod 0444 $keys/root
breaks keys "read or changed by others"
story "a key belongs to a user"
chown mona $keys/root
breaks keys "belongs to uid"
story "a key is a symlink"
mv $keys/root /lab/root-key && ln -s /lab/root-key $keys/root
breaks keys "symlink"
story "a key is too short"
chmod u+w $keys/root && echo short >$keys/root && chmod 0400 $keys/root
breaks keys "fewer than 32"
story "two callers have the same key"
rm -f $keys/root && install -m 0400 $keys/mona $keys/root
breaks keys "same key"
story "a key was changed since the service started"
rm -f $keys/root && healctl keygen $keys/root 2>/dev/null
breaks key-copies "since the service started"
story "the configuration was changed and not reloaded"
echo '# changed' >>$config
breaks reload "has not read"
story "the user of the service is gone"
systemctl stop $service luminous-healing.socket
userdel luminous-healing 2>/dev/null; groupdel luminous-healing 2>/dev/null
breaks user "no (user|group) luminous-healing"
story "the audit log belongs to root"
systemctl stop $service; chown root:root $log
breaks audit-file "does not belong"
story "the audit log can be read by everybody"
chmod 0644 $log
breaks audit-file "open to others"
story "the folder of the audit log belongs to root"
systemctl stop $service; chown root:root /var/log/luminous-healing
breaks audit-folder "does not belong"
story "the prototype's path of the log is gone"
rm /var/log/luminous-healing-audit.json
breaks audit-link "does not exist"
story "the socket unit was stopped"
systemctl stop luminous-healing.socket $service
breaks socket-unit "inactive"
story "the socket unit was disabled"
systemctl disable --quiet --now luminous-healing.socket $service
breaks socket-unit "not enabled"
story "the socket unit was masked"
systemctl stop luminous-healing.socket $service; systemctl mask --quiet luminous-healing.socket
breaks socket-unit "masked"
story "somebody removed the socket"
rm /run/luminous-healing.sock
breaks socket-unit "is gone"
story "the socket is open to every user"
chmod 0666 /run/luminous-healing.sock
breaks socket "open to every user"
story "the socket is closed to its group"
chmod 0600 /run/luminous-healing.sock
breaks socket "closed to its group"
story "the service was masked"
systemctl stop $service; systemctl mask --quiet $service
breaks service-unit "masked"
story "the program lost its execute bit, and the service failed"
chmod 0644 /usr/sbin/luminous-healingd; systemctl restart $service 2>/dev/null
breaks program "not executable"
story "the service failed too often"
systemctl stop $service; mv $config /lab/away; systemctl start $service 2>/dev/null; mv /lab/away $config
breaks service-unit "failed"
story "a drop-in takes from the unit what enabled actions need"
mkdir -p $unit; printf '[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_KILL\nAmbientCapabilities=\nAmbientCapabilities=CAP_KILL\n' >$unit/50-less.conf
systemctl daemon-reload; systemctl restart $service
breaks capabilities "lacks cap_setgid"
rm -rf $unit; systemctl daemon-reload; systemctl restart $service
story "a unit was changed and systemd was not told"
mkdir -p $unit; printf '[Service]\nNice=1\n' >$unit/10-nice.conf; systemctl daemon-reload; systemctl restart $service
printf '[Service]\nNice=2\n' >$unit/10-nice.conf
breaks service-unit "has not read it"
story "a user is not in the group"
gpasswd --delete mona luminous-healing >/dev/null
breaks socket "only members of luminous-healing" mona
story "a user's key is open to everybody"
chmod 0644 /home/mona/.config/luminous-healing/key
breaks key "open to every user" mona
story "there is no configuration at all: what is installed instead enables nothing"
rm $config
doctor_as root
expect_true grep -q configuration <<<"$(names)"
mend; doctor_as root || { mend; doctor_as root; }
expect_true [ -z "$(names)" ]
broken=$((broken + 1))

echo "$broken broken installations"
expect_true [ $broken -ge 15 ]
finish
