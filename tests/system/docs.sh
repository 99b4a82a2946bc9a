#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# Every command of the README and of the man pages' EXAMPLES, as it is written there: those of the README on a machine
# without the package, those of the pages on one where it is just installed. `./dev …` is what builds and tests this very
# thing and is not run here: tests/docs/docs_test.py says by what.
source "$(dirname "$(readlink -f "$0")")/common.sh"
source "$(dirname "$(readlink -f "$0")")/package.sh"
cd "$project" || exit 1
: >/lab/progress; echo '{}' >/lab/report
useradd --create-home --shell /bin/bash alice
systemctl start nginx
commands=0

# Each block by a shell that ends at the first command that fails; where the text before it says so, as alice.
run_blocks() { # FILE [LANGUAGE HEADING]
    local block text as=()
    while read -r block; do
        text=$(jq -r .text <<<"$block" | grep -v '^\./dev ')
        [[ -n $text ]] || continue
        as=()
        [[ $(jq -r .before <<<"$block") == "As alice"* ]] && as=(runuser -u alice --)
        story "$(basename "$1"): $(tr '\n' ';' <<<"$text")"
        if printf '%s\n' "$text" >/lab/block && chmod 0755 /lab/block &&
            ${as[@]+"${as[@]}"} bash -euo pipefail /lab/block >/lab/shown 2>&1 </dev/null; then echo "ok: $story"
        else told "exit status $?"; sed 's/^/    /' /lab/shown; fi
        commands=$((commands + $(grep -c . <<<"$text")))
    done < <(python3 -B tests/docs/commands.py "$@")
}

# As after `apt install`, with nothing added.
as_installed() {
    cp /usr/share/luminous-healing/config.toml /etc/luminous-healing/config.toml
    find /etc/luminous-healing/keys -type f ! -name root -delete
    rm -rf /home/alice/.config /etc/systemd/system/$service.d
    gpasswd --delete alice luminous-healing >/dev/null 2>&1
    systemctl daemon-reload
    systemctl restart $service
}

chmod 0777 /lab
for heading in "Install on Debian" "First healing"; do run_blocks README.md sh "$heading"; done
for page in docs/man/*.scd; do
    as_installed
    run_blocks "$page"
done
story "the migration guide's commands run"
as_installed
run_blocks docs/migrating-from-the-prototype.md
echo "$commands commands"
story "there were commands to run"
expect_true [ $commands -ge 20 ]
finish
