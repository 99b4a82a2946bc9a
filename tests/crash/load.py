"""Clients that keep a daemon busy while it is being killed, and what must be true of its log afterwards."""

import json
import os
import random
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenario"))

import daemon  # noqa: E402
import wire  # noqa: E402

HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
ROUNDS = int(os.environ.get("LUMINOUS_ROUNDS", "100"))
SEED = int(os.environ.get("LUMINOUS_SEED", str(random.SystemRandom().randrange(2**32))))

# The command's one write(2) to a file opened with O_APPEND is the proof that it ran.
ACTIONS = """
[actions.mark]
command = ["/bin/sh", "@WORK@/../mark", "{n}"]
writes = ["@WORK@"]
parameters.n = { type = "integer", max = 1000000000 }
rate_limit = { limit = 100000, window = "1min" }
"""
SCRIPT = """#!/bin/sh
[ $(($1 % 4)) = 1 ] && sleep 0.01
echo $1 >> @WORK@/ran
[ $(($1 % 4)) = 2 ] && sleep 0.01
exit 0
"""
AUDIT = 'rotate_size = "256KiB"\nkeep = 10000\nreserve = "128KiB"\n'


def configured(scenario, audit=AUDIT, **options):
    """A daemon whose action `mark` leaves a line in work/ran."""
    made = scenario.make(ACTIONS, audit=audit, **options)
    scenario.script(made, "mark", SCRIPT.replace("@WORK@", made.work))
    return made


def ran(made):
    """The numbers that were written, as often as they were."""
    try:
        with open(os.path.join(made.work, "ran"), encoding="ascii") as file:
            return [int(line) for line in file.read().split()]
    except FileNotFoundError:
        return []


def is_log_file(name):
    """Written to now, rotated by the daemon, or renamed by logrotate."""
    return re.fullmatch(r"audit\.json(?:[.-]\d+)?", name) is not None


def _first_seq(path):
    with open(path, "rb") as file:
        line = file.readline()
    if not line:
        return sys.maxsize
    return json.loads(line)["seq"] if line.startswith(b"{") else -1  # somebody else's file comes first


def log_files(made):
    """The files of the log, oldest first."""
    return sorted((os.path.join(made.log_folder, name) for name in os.listdir(made.log_folder) if is_log_file(name)),
                  key=_first_seq)


def all_records(made):
    records = []
    for path in log_files(made):
        with open(path, "rb") as file:
            records += [json.loads(line) for line in file.read().split(b"\n")[:-1]]
    return records


def first_key(made):
    return made.log_path + ".first-key"


def verify(paths, key, head=None):
    """(exit status, report) of healctl audit verify."""
    command = [HEALCTL, "--json", "audit", "verify", *paths, "--first-key", key]
    if head is not None:
        command += ["--head", head]
    done = subprocess.run(command, capture_output=True, check=False)
    report = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, report, done.stderr.decode()


class Client(threading.Thread):
    """Asks one request after the other, and each again with the same bytes until it is answered, on whatever connection
    there is. Now and then something that was answered long ago, or something that is denied."""

    def __init__(self, made, numbers, seed):
        super().__init__(daemon=True)
        self.made, self.numbers = made, numbers
        self.random = random.Random(seed)
        self.answers = {}   # n: code
        self.requests = {}  # n: Request
        self.replays = 0
        self.error = None
        self.up = threading.Event()
        self._end = threading.Event()
        self._connection = None

    def run(self):
        try:
            while not self._end.is_set():
                self._one()
        except BaseException as error:  # told to the test, which fails
            self.error = error
        finally:
            self._drop()

    def finish(self):
        """After its present request."""
        self._end.set()
        self.up.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _one(self):
        dice = self.random.random()
        if dice < 0.1 and self.answers:
            n = self.random.choice(list(self.answers))
            answer = self._ask(self.requests[n])
            too_old = "no longer kept" in (answer["error"] or "")  # answers are kept for ten minutes, ids for longer
            if self.answers[n] == "ok" and answer["code"] not in ("ok", "stale") and not too_old:
                raise AssertionError(f"{n} was ok, and asked again {answer}")
            self.replays += 1
        elif dice < 0.15:
            self._ask(self.made.request("nonsense"))
        elif dice < 0.2:
            self._ask(self.made.request("status"))
        else:
            n = next(self.numbers)
            self.requests[n] = self.made.request("mark", {"n": n})
            self.answers[n] = self._ask(self.requests[n])["code"]

    def _ask(self, request):
        while True:
            self.up.wait()
            try:
                if self._connection is None:
                    self._connection = self.made.connect()
                self._connection.send(request.frame)
                line = self._connection.line()
                if line.endswith(b"\n"):
                    answer = wire.Answer(line, request)
                    if not (answer["code"] == "busy" and answer["request_id"] == "unknown"):
                        return answer
            except OSError:
                pass
            self._drop()

    def _drop(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def check_evidence(test, made, clients=(), head=None):
    """What must hold after any crash, once a daemon has started again."""
    records = all_records(made)
    test.assertEqual([r["seq"] for r in records], list(range(1, len(records) + 1)), "gaps or repeats in seq")
    status, report, said = verify([made.log_folder], first_key(made), head)
    test.assertEqual((status, report.get("ok")), (0, True), f"{report} {said}")
    test.assertEqual(report["records"], len(records))
    intents, ends = {}, {}
    for record in records:
        if record["event"] == "decision" and record["decision"] == "allow" and record["action"] == "mark":
            test.assertNotIn(record["request_id"], intents, "two intents for one request")
            intents[record["request_id"]] = record
        elif record["event"] in ("outcome", "interrupted", "aborted"):
            test.assertIn(record["request_id"], intents, "an end before its intent")
            test.assertNotIn(record["request_id"], ends, "two ends of one request")
            ends[record["request_id"]] = record
    test.assertEqual(set(intents) - set(ends), set(), "orphans that are not marked")
    by_number = {r["parameters"]["n"]: r for r in intents.values()}
    test.assertEqual(len(by_number), len(intents))
    marks = ran(made)
    test.assertEqual(len(marks), len(set(marks)), "started twice")
    test.assertEqual(set(marks) - set(by_number), set(), "started without an intent")
    for client in clients:
        for n, code in client.answers.items():
            recorded = ends.get(by_number[n]["request_id"], {}) if n in by_number else None
            if code == "ok":
                test.assertIn(n, marks)
                test.assertEqual(recorded["code"], "ok", f"{n} was answered ok and recorded {recorded}")
            elif recorded is None:
                test.assertNotIn(n, marks, f"{n} was answered {code}")
    return records
