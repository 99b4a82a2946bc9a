"""What a third party has of the log: witnessed heads, the first key, and a log that outlives what strangers do to it."""

import json
import os
import re
import socket
import subprocess

import daemon
import wire

HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
MARK = """
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
rate_limit = { limit = 100, window = "1h" }
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
"""
HEAD = re.compile(r"audit head (\d+:[0-9a-f]{64}) epoch (\d+) \((\w+)\)")


def heads(d):
    """[(SEQ:CHAIN, occasion)] that the journal was told."""
    return [(found[1], found[3]) for found in map(HEAD.search, d.stderr) if found]


def head_of(record):
    return f"{record['seq']}:{record['chain']}"


def verify(d, head=None):
    command = [HEALCTL, "--json", "audit", "verify", d.log_folder, "--first-key", d.log_path + ".first-key"]
    done = subprocess.run(command + (["--head", head] if head else []), capture_output=True, check=False)
    return json.loads(done.stdout)


class Evidence(daemon.Scenario):
    def test_the_journal_is_told_the_head(self):
        """The journal has the head at start and stop; with it a cut off end of the log is found."""
        d = self.start(MARK)
        d.await_journal("(start)")
        self.assertEqual(heads(d), [(head_of(d.records()[-1]), "start")])
        self.assertCode(d.ask("mark"), "ok")
        self.assertEqual(d.stop(), 0)
        (_, (last, occasion)) = heads(d)
        self.assertEqual((last, occasion), (head_of(d.records()[-1]), "stop"))
        self.assertIs(verify(d, last)["ok"], True)
        with open(d.log_path, "rb+") as file:
            lines = file.read().splitlines(keepends=True)
            file.truncate(sum(map(len, lines[:-1])))
        self.assertIs(verify(d)["ok"], True)  # without the head nobody can know
        self.assertEqual(verify(d, last)["damage"], "truncated")

    def test_a_new_epoch_is_told(self):
        """Each replacement of the key tells the journal the record that it was made at."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]\nrate_limit = { limit = 10000, window = "1h" }')
        with d.connect() as connection:
            while not d.events("key_epoch"):
                for _ in range(100):
                    self.assertCode(connection.ask(d.request("a")), "ok")
        d.await_journal("(epoch)")
        (record,) = d.events("key_epoch")
        self.assertIn((head_of(record), "epoch"), heads(d))

    def test_the_witness_is_told_the_head(self):
        """audit.witness is started with the head in the place of {head}, confined: it reads no key."""
        d = self.make()
        path = os.path.join(d.work, "told")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as told:
            told.bind(path)
            os.chmod(path, 0o777)
            told.listen()
            told.settimeout(daemon.PATIENCE)
            script = self.script(d, "witness", f"#!/bin/sh\n(echo \"$1\"; cat {d.key_folder}/{d.CALLER} {d.log_path}.key 2>&1) | "
                                               f"nc -N -U {path}\n")
            d.configure(MARK, audit=f'witness = ["/bin/sh", "{script}", "{{head}}"]').start()
            connection, _ = told.accept()
            with connection, connection.makefile() as said:
                lines = said.read().splitlines()
        (start,) = d.events("start")
        self.assertEqual(lines[0], head_of(start))
        self.assertEqual(len(lines), 3)
        for line in lines[1:]:
            self.assertIn("Permission denied", line)

    def test_a_witness_that_fails_disturbs_nothing(self):
        """A witness that fails is complained of in the journal; actions run on."""
        d = self.start(MARK, audit='witness = ["/bin/false", "{head}"]')
        d.await_journal("audit.witness was not told")
        self.assertCode(d.ask("mark"), "ok")

    def test_the_first_key_is_erased_only_when_it_was_handed_over(self):
        """healctl audit keys into a full device fails and keeps the key; then it is given once; then there is none."""
        d = self.start(MARK)
        keys = [HEALCTL, "audit", "keys", d.log_path]
        with open("/dev/full", "wb") as full:
            failed = subprocess.run(keys, stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn(b"still in", failed.stderr)
        given = subprocess.run(keys, capture_output=True, check=True)
        self.assertRegex(given.stdout, rb"^[0-9a-f]{64}\n$")
        self.assertFalse(os.path.exists(d.log_path + ".first-key"))
        self.assertNotEqual(subprocess.run(keys, capture_output=True, check=False).returncode, 0)

    def test_a_foreign_line_met_while_it_runs_does_not_stop_the_next_start(self):
        """A line written by somebody else while the daemon ran: the next start leaves it out, says so, and knows all."""
        d = self.start(MARK)
        d.log_was_harmed = True
        request = d.request("mark")
        self.assertCode(d.repeat(request), "ok")
        with open(d.log_path, "ab") as file:
            file.write(b'{"forged":true}\n')
        self.assertCode(d.ask("mark"), "audit_unavailable")
        d.await_journal("can be written again")
        d.kill9()
        d.start()
        self.assertIs(self.assertCode(d.repeat(request), "ok")["replayed"], True)
        self.assertCode(d.ask("mark"), "ok")
        self.assertEqual(d.events("start")[-1]["detail"]["unreadable_lines"], 1)
        self.assertEqual(len(self.lines(d)), 2)
        self.assertIs(verify(d)["ok"], False)  # and a third party still sees it

    def test_a_foreign_line_written_while_it_was_down(self):
        """Lines appended while no daemon ran are set aside with their digest; what they may have hidden is refused."""
        d = self.start(MARK)
        request, before = d.request("mark"), wire.timestamp()
        self.assertCode(d.repeat(request), "ok")
        d.kill9()
        with open(d.log_path, "ab") as file:
            file.write(b'{"forged":true}\n')
        d.start()
        (recovered,) = d.events("recovered")
        with open(recovered["detail"]["kept_as"], "rb") as file:
            self.assertEqual(file.read(), b'{"forged":true}\n')
        self.assertIs(verify(d)["ok"], True)
        self.assertIs(self.assertCode(d.repeat(request), "ok")["replayed"], True)
        self.assertCode(d.ask("mark", timestamp=before), "stale")
        self.assertEqual(len(self.lines(d)), 1)

    def test_a_forged_line_drives_no_terminal(self):
        """`healctl --json audit show` escapes what no record of ours has and a terminal would obey."""
        d = self.start(MARK)
        self.assertEqual(d.stop(), 0)
        with open(d.log_path, encoding="ascii") as file:
            line = file.readline()
        forged = os.path.join(d.folder, "forged.json")
        with open(forged, "w", encoding="utf-8", newline="") as file:
            file.write(line.replace('"host":"', '"host":\t"\u202e\x7f\x9b'))
        shown = subprocess.run([HEALCTL, "--json", "audit", "show", forged], capture_output=True, check=True).stdout
        self.assertIn(b"\\u202e\\u007f\\u009b", shown)
        self.assertTrue(shown[:-1].decode("ascii").isprintable(), shown)

    def test_an_outcome_owed_is_recorded_at_the_end(self):
        """An outcome that could not be recorded while the log was away is recorded when the daemon stops."""
        d = self.make(MARK)
        hold = self.hold(d)
        d.start()
        d.log_was_harmed = True
        request = d.request("hold")
        with d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            os.rename(d.log_path, d.log_path + ".moved")
            os.mkdir(d.log_path)
            hold.release()
            self.assertCode(connection.response(request), "audit_unavailable")
        os.rmdir(d.log_path)
        self.assertEqual(d.stop(), 0)
        self.assertEqual([r["code"] for r in d.events("outcome", request_id=request.id)], ["ok"])


if __name__ == "__main__":
    daemon.main()
