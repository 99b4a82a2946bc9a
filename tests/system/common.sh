# shellcheck shell=bash
# Sourced by the scripts that tests/system/lab.sh runs: small words to write a story with. A failed expectation is
# counted and told; the script ends with `finish`.
failures=0
probe() { "$LAB_BUILD/tests/system/action_probe" "$@" 2>/lab/progress >/lab/report; }
field() { jq -r "$1 // empty" /lab/report; }
told() { echo "not ok: $story: $*"; sed 's/^/    /' /lab/report; failures=$((failures + 1)); }
story() { story=$1; }

# expect CODE [VERDICT [PATTERN]]: of the last probe; the pattern is looked for in error and output.
expect() {
    local code verdict text
    code=$(field .code) verdict=$(field .verdict) text=$(field '(.error // "") + (.output // "")')
    if [[ $code == "$1" && ( -z ${2:-} || $verdict == "$2" ) && $text == *${3:-}* ]]; then echo "ok: $story"
    else told "expected $*, got $code $verdict $text"; fi
}
expect_true() { if "$@"; then echo "ok: $story"; else told "not true: $*"; fi; }
fact() { [[ $(field ".facts.\"$1\"") == "$2" ]]; }
active() { systemctl is-active --quiet "$1"; }
inactive() { ! active "$1"; }
unit() { cat >"/run/systemd/system/$1"; systemctl daemon-reload; }
finish() { echo "$failures failed"; [[ $failures -eq 0 ]]; exit; }
