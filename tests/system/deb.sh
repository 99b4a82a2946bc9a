#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# The .deb that ./dev package makes, as a Debian user meets it: installed, used, upgraded while an action runs, removed,
# installed again, purged.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
deb=$(find "$project/build/release" -maxdepth 1 -name 'luminous-healing_*.deb' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
[[ -f $deb ]] || { echo "there is no package: ./dev package makes one"; exit 1; }
export DEBIAN_FRONTEND=noninteractive
: >/lab/progress; echo '{}' >/lab/report
version_of() { dpkg-query -W -f '${Version} ${db:Status-Abbrev}' luminous-healing 2>/dev/null; }
answer() { jq -r "(.response // .) | $1" /lab/answer; }
quietly() { "$@" >/lab/progress 2>&1 || { cat /lab/progress; return 1; }; }

story "it installs without a question and without a word of warning"
expect_true quietly dpkg --install "$deb"
expect_true not grep -iE 'warning|error' /lab/progress
story "what is installed is in order: every file belongs to root, doctor finds nothing wrong"
expect_true [ -z "$(dpkg --verify luminous-healing)" ]
expect_true [ -z "$(dpkg -L luminous-healing | xargs stat -c '%U %n' | grep -v '^root ')" ]
expect_true quietly healctl doctor
story "socket and service run, also after the next boot"
expect_true active luminous-healing.socket
expect_true active $service
expect_true systemctl is-enabled --quiet luminous-healing.socket $service
story "nothing is enabled: root may ask for status, and that is all"
expect_true quietly healctl status
healctl --json run clear_system_cache >/lab/answer 2>/dev/null
expect_true [ "$(answer .code)" = action_unknown ]
expect_true [ "$(stat -c '%a %U' /etc/luminous-healing/keys/root)" = "400 root" ]
story "a member of nothing cannot connect"
useradd --create-home eve
expect_true not runuser -u eve -- healctl status
story "manual pages, completion and examples are there"
for file in man/man8/luminous-healingd.8.gz man/man1/healctl.1.gz man/man5/luminous-healing.toml.5.gz \
            man/man5/luminous-healing-audit.5.gz man/man7/luminous-healing-protocol.7.gz \
            bash-completion/completions/healctl zsh/vendor-completions/_healctl fish/vendor_completions.d/healctl.fish; do
    expect_true grep -qx "/usr/share/$file" <(dpkg -L luminous-healing)
done

story "a caller is added with one command, and heals"
useradd --create-home mona
cat >>/etc/luminous-healing/config.toml <<'ACTION'

[actions.slow]
command = ["/usr/bin/sleep", "{seconds}"]
parameters.seconds = { type = "integer", min = 0, max = 60 }
timeout = "90s"
ACTION
expect_true quietly healctl caller add mona --user mona --action slow --action clear_system_cache --give
usermod --append --groups luminous-healing mona
expect_true [ "$(stat -c '%a %U' /home/mona/.config/luminous-healing/key)" = "400 mona" ]
runuser -u mona -- healctl --json run clear_system_cache level=1 >/lab/answer 2>/lab/progress
expect_true [ "$(answer .success)" = true ]
story "the same caller a second time, an unknown user, an unknown action: nothing is changed"
cp /etc/luminous-healing/config.toml /lab/before
for line in "mona --user mona" "otto --user nobody-here" "otto --user eve --action no_such_thing" \
            "otto --user eve --action restart_service" "../otto --user eve" 'a]b --user eve'; do
    expect_true not healctl caller add $line
    expect_true cmp -s /lab/before /etc/luminous-healing/config.toml
done
expect_true [ "$(ls /etc/luminous-healing)" = $'config.toml\nkeys' ]
expect_true [ "$(ls /etc/luminous-healing/keys)" = $'mona\nroot' ]
story "a configuration that NixOS made is not written to, but told where to change it"
mkdir -p /nix/store/lab-etc && cp /lab/before /nix/store/lab-etc/config.toml && ln -s /nix/store/lab-etc/config.toml /etc/lab.toml
expect_true not healctl caller add otto --user eve --config /etc/lab.toml
expect_true grep -q 'services.luminous-healing.callers.otto' <(healctl caller add otto --user eve --config /etc/lab.toml 2>&1)
expect_true cmp -s /lab/before /nix/store/lab-etc/config.toml
story "a symlink to the configuration stays one"
ln -sfn /etc/luminous-healing/config.toml /etc/lab.toml
expect_true quietly healctl caller add otto --user eve --config /etc/lab.toml --no-restart
expect_true [ -L /etc/lab.toml ]
expect_true grep -q '^\[callers.otto\]' /etc/luminous-healing/config.toml
systemctl restart $service
story "the administrator's configuration is in order and in force"
expect_true quietly healctl check
expect_true quietly healctl doctor

story "an upgrade lets a 20 s action run to its end, and keeps the configuration that was changed"
dpkg-deb --raw-extract "$deb" /lab/next
sed -i 's/^Version: .*/&+next/' /lab/next/DEBIAN/control
dpkg-deb --root-owner-group --build /lab/next /lab/next.deb >/dev/null
cp /etc/luminous-healing/config.toml /lab/before
inode=$(stat -c %i /run/luminous-healing.sock) old=$(main_pid)
runuser -u mona -- healctl --json run slow seconds=20 --id=over-the-upgrade >/lab/answer 2>/lab/progress &
asked=$!
await pgrep -P "$old" -x sleep >/dev/null
expect_true quietly dpkg --install /lab/next.deb
expect_true [ "$(version_of | cut -d' ' -f1)" = "$(dpkg-deb -f /lab/next.deb Version)" ]
wait $asked
expect_true [ "$(answer .code)" = ok ]
expect_true [ "$(answer ".duration_ms >= 19000")" = true ]
expect_true [ "$(records '.event == "outcome" and .request_id == "over-the-upgrade"' | jq -r .code)" = ok ]
story "after it the new version runs, on the same socket, with the same configuration and keys"
await active $service
expect_true [ "$(main_pid)" != "$old" ]
expect_true [ "$(stat -c %i /run/luminous-healing.sock)" = "$inode" ]
expect_true cmp -s /lab/before /etc/luminous-healing/config.toml
runuser -u mona -- healctl --json run clear_system_cache level=1 >/lab/answer 2>/lab/progress
expect_true [ "$(answer .success)" = true ]
expect_true quietly healctl doctor
story "the log goes on over the upgrade without a gap"
expect_true [ "$(jq -s 'map(.seq) | . == [range(.[0]; .[0] + length)]' $log)" = true ]

story "removal stops it, and leaves configuration, keys and log"
lines=$(wc -l <$log)
expect_true quietly dpkg --remove luminous-healing
expect_true inactive luminous-healing.socket
expect_true inactive $service
expect_true [ ! -e /run/luminous-healing.sock ]
expect_true [ ! -e /usr/sbin/luminous-healingd ]
expect_true [ ! -e /usr/libexec/luminous-healing ]
expect_true cmp -s /lab/before /etc/luminous-healing/config.toml
expect_true [ -s /etc/luminous-healing/keys/mona ]
expect_true [ "$(wc -l <$log)" -ge "$lines" ]
story "installed again it is as it was"
expect_true quietly dpkg --install "$deb"
runuser -u mona -- healctl --json run clear_system_cache level=1 >/lab/answer 2>/lab/progress
expect_true [ "$(answer .success)" = true ]
story "purging leaves nothing but the user"
expect_true quietly dpkg --purge luminous-healing
for left in /etc/luminous-healing /var/log/luminous-healing /var/log/luminous-healing-audit.json \
            /run/luminous-healing.sock /etc/logrotate.d/luminous-healing /usr/share/doc/luminous-healing; do
    expect_true [ ! -e $left ] && expect_true [ ! -L $left ]
done
expect_true [ -z "$(find /etc/systemd /var/lib/systemd/deb-systemd-helper-enabled -name '*luminous*' 2>/dev/null)" ]
expect_true getent passwd luminous-healing
finish
