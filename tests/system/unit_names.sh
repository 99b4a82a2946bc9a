#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2154
# Our rule for unit names against the running systemd's own, over some thousand names: every kind of character in every
# place, every type, each length around the bound, and random ones.
source "$(dirname "$(readlink -f "$0")")/common.sh"

cat >/lab/names.py <<'PYTHON'
import random
import sys

TYPES = ["service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope",
         "snapshot", "conf", "SERVICE", "service ", ""]
GOOD = "abcXYZ019:-_.\\@"
CHARACTERS = [chr(code) for code in range(1, 128)] + ["ä", "é", "日", "\u2028", "\U0001f600", "\u0301"]

names = ["", ".", "..", "@", "@.service", "a@.service", "a@b.service", "a@b@c.service", "a@@.service", "@a.service",
         ".service", "a", "a.", "a..service", "a.b.service", "a.service.service", "-.slice", "-.mount", "--.service",
         "-Hevil", "-Hevil.service", "a/b.service", "../a.service", "/etc/a.service", "a b.service", "a.service\n",
         "a.service b.service", "a*.service", "%i.service", "$(x).service", "dev-sda.device", "a@.", "a@.target"]
names += [f"a.{kind}" for kind in TYPES] + [f"x@1.{kind}" for kind in TYPES] + [f"x@.{kind}" for kind in TYPES]
for character in CHARACTERS:
    names += [f"{character}.service", f"{character}a.service", f"a{character}b.service", f"a{character}.service",
              f"a@{character}.service", f"a.serv{character}ice", f"a.service{character}", f"a{character}"]
for length in [*range(240, 260), 1000]:
    names += ["x" * length, "x" * length + ".service", "x" * length + "@.service", "y@" + "x" * length + ".timer"]
rng = random.Random(20261121)
while len(names) < 4000:
    alphabet = GOOD if rng.random() < 0.7 else GOOD + "".join(CHARACTERS)
    stem = "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 12)))
    names.append(stem + rng.choice(["", ".", "@"]) + rng.choice(["." + kind for kind in TYPES] + [""]))
sys.stdout.buffer.write(b"".join(name.encode() + b"\0" for name in names))
PYTHON

python3 /lab/names.py >/lab/names && "$LAB_BUILD/tests/system/unit_names" </lab/names >/lab/verdicts
count() { awk "$1 { n++ } END { print n + 0 }" /lab/verdicts; }
echo "$(wc -l </lab/verdicts) names: systemd takes $(count '$2 == "name"'), $(count '$2 == "template"') are templates," \
    "$(count '$2 == "none"') are refused, $(count '$2 == "unasked"') cannot be asked"

story "some thousand names were asked, with enough of each verdict"
expect_true [ "$(wc -l </lab/verdicts)" -ge 4000 ]
for verdict in name template none; do expect_true [ "$(count "\$2 == \"$verdict\"")" -ge 30 ]; done

story "a name is one that a unit can have for us exactly when it is for systemd"
awk '$2 != "unasked" && ($1 == "name") != ($2 == "name")' /lab/verdicts >/lab/report
expect_true [ ! -s /lab/report ]

story "what we call a template, systemd does too"
# Not the other way round: to x@.mount it says that the instance is missing, to x@1.mount that there is no such thing.
awk '$1 == "template" && $2 != "template" || $2 == "template" && $1 == "name"' /lab/verdicts >/lab/report
expect_true [ ! -s /lab/report ]

story "what cannot even be asked is no name for us"
awk '$2 == "unasked" && ($1 != "none" || $3 != "-")' /lab/verdicts >/lab/report
expect_true [ ! -s /lab/report ]

story "a full name that we would pass on is one that systemd takes, and is its own full name"
awk '$3 != "-" { print $3 }' /lab/verdicts | sort -u | tr '\n' '\0' >/lab/full
"$LAB_BUILD/tests/system/unit_names" </lab/full | awk '$1 != "name" || $2 != "name" || $3 == "-"' >/lab/report
expect_true [ ! -s /lab/report ]
expect_true [ "$(tr -cd '\0' </lab/full | wc -c)" -ge 100 ]

story "and is what systemctl would make of what was written (systemd-escape --mangle)"
# A name for each line, written by the caller and completed by us; those with a NUL, space or newline are never accepted.
python3 - >/lab/pairs <<'PYTHON'
names = open("/lab/names", "rb").read().split(b"\0")[:-1]
full = [line.split(b" ")[2] for line in open("/lab/verdicts", "rb").read().split(b"\n")[:-1]]
pairs = {(name, given) for name, given in zip(names, full) if given != b"-"}
import sys
sys.stdout.buffer.write(b"".join(name + b" " + given + b"\n" for name, given in sorted(pairs)))
PYTHON
cut -d' ' -f1 /lab/pairs | xargs -d '\n' systemd-escape --mangle -- | tr ' ' '\n' >/lab/mangled
cut -d' ' -f2 /lab/pairs | diff - /lab/mangled >/lab/report
expect_true [ ! -s /lab/report ]

finish
