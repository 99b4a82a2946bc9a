"""The log as evidence: no manipulation passes, and rotation loses nothing at its exact limits."""

import json
import os
import shutil

import attack
import daemon
import load
import tampering

MAX_LINE = 128 * 1024  # bytes of a record with its newline (audit/record.h)
ROTATE_SIZE = 128 * 1024


class Tampering(tampering.Tampering):
    def test_A25_every_manipulation_at_sixty_places_is_found(self):
        """Ten ways to tamper, also with the stolen current key, at 60 places each: all found; the true log passes."""
        d = self.write_logs()
        status, report, said = load.verify([d.log_folder], load.first_key(d), self.head)
        self.assertEqual((status, report["ok"]), (0, True), said)
        places = 15 if daemon.SANITIZED else tampering.PLACES  # slower, and looking for other mistakes
        for kind in tampering.KINDS:
            daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)
            for place, (status, report, said) in enumerate(self.verdicts(d, kind, places)):
                self.assertNotEqual(status, 0, f"{kind}, place {place}, seed {load.SEED}: not found")
                self.assertIs(report["ok"], False, said)
        self.leave_out_an_epoch(d)

    def leave_out_an_epoch(self, d):
        """All of the first epoch gone, up to the record that ends it, as if the log had begun with the second."""
        copy = tampering.Copy(self, None)
        ends = {name: [n for n, line in enumerate(lines) if b'"event":"key_epoch"' in line]
                for name, lines in copy.files.items()}
        (name, at), = [(name, found[0]) for name, found in ends.items() if found][:1]
        for earlier in copy.names()[:copy.names().index(name)]:
            del copy.files[earlier]
        del copy.files[name][:at + 1]
        folder = os.path.join(d.folder, "copy")
        copy.write(folder)
        status, report, _ = load.verify([folder], load.first_key(d), self.head)
        shutil.rmtree(folder)
        self.assertNotEqual(status, 0, "an epoch left out was not found")
        self.assertIs(report["ok"], False)


class Rotation(attack.Attack):
    def setUp(self):
        super().setUp()
        self.d = self.start(attack.MARK, audit='rotate_size = "128KiB"\nkeep = 100\nreserve = "128KiB"')
        self.d.log_was_harmed = True  # rotated, that is
        self.connection = self.d.connect()
        self.addCleanup(self.connection.close)

    def lines_with(self, text):
        """The newest lines of the log that hold this text."""
        found = []
        for path in load.log_files(self.d)[-2:]:
            with open(path, "rb") as file:
                found += [line for line in file if text in line]
        return found

    def mark(self, reason):
        """(the lengths of intent and outcome, the answer) of one request with a reason of that many bytes."""
        request = self.d.request("mark", reason="r" * reason)
        answer = self.assertCode(self.connection.ask(request), "ok")
        return [len(line) for line in self.lines_with(request.id.encode())], answer

    def fill_up_to(self, spare):
        """Fills the file so far that an intent with the reason that is returned leaves `spare` bytes, to the byte."""
        reason = 1
        while True:
            (intent, outcome), answer = self.mark(reason)
            longer_seq = len(str(answer["audit_seq"] + 1)) - len(str(answer["audit_seq"] - 1))
            left = ROTATE_SIZE - os.path.getsize(self.d.log_path) - (intent - reason + longer_seq) - spare
            if 1 <= left <= 512:
                return left
            pair = intent + outcome - 2 * reason
            steps = max(1, -((256 - left) // (pair + 1000)))  # so many more, all of them as long
            reason = min(500, max(1, ((left - 256) // steps - pair) // 2))

    def assertWhole(self):
        status, report, said = load.verify([self.d.log_folder], load.first_key(self.d))
        self.assertEqual((status, report["ok"]), (0, True), f"{report} {said}")
        records = load.all_records(self.d)
        self.assertEqual([r["seq"] for r in records], list(range(1, len(records) + 1)))
        self.d.kill9()
        self.d.start()

    def test_A26_a_record_that_fits_to_the_byte_fills_the_file_and_one_byte_more_begins_another(self):
        """A file is filled to rotate_size and never beyond; nothing is lost where one ends and the next begins."""
        for over in 0, 1:
            reason = self.fill_up_to(-over)
            before = len(load.log_files(self.d))
            _, answer = self.mark(reason)
            files = load.log_files(self.d)
            self.assertEqual(len(files), before + 1)
            with open(files[-2], "rb") as full, open(files[-1], "rb") as fresh:
                last = json.loads(full.read().split(b"\n")[-2])
                first = [json.loads(line)["event"] for line in fresh]
            self.assertEqual(last["event"] == "decision", over == 0)
            if over == 0:
                self.assertEqual(os.path.getsize(files[-2]), ROTATE_SIZE)
            self.assertLessEqual(os.path.getsize(files[-2]), ROTATE_SIZE)
            self.assertEqual(first, ["rotate", "outcome"] if over == 0 else ["rotate", "decision", "outcome"])
            self.assertEqual(self.d.records()[-1]["seq"], answer["audit_seq"])
        self.assertWhole()

    def test_A26_rotation_overwrites_no_file_that_is_there(self):
        """A file that has the name of the next segment already is not overwritten, and recording goes on."""
        taken = self.d.log_path + ".00000000000000000001"
        with open(taken, "w", encoding="ascii") as file:
            file.write("precious\n")
        while os.path.getsize(self.d.log_path) < ROTATE_SIZE + 4096:
            self.assertCode(self.connection.ask(self.d.request("mark", reason="r" * 500)), "ok")
        with open(taken, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious\n")
        records = self.d.records()
        self.assertEqual([r["seq"] for r in records], list(range(1, len(records) + 1)))

    def test_A26_the_longest_record_is_one_that_the_reader_accepts(self):
        """Around the longest line, byte by byte: each record is whole or bounded, and the daemon starts on it again."""
        name = self.d.CALLER
        lengths = []
        self.assertCode(self.ask_much(name, 1000, 0), "parameters_invalid")
        base = self.longest() - 6 * 1000
        for more in (-40, -6, -3, -2, -1, 0, 1, 2, 3):
            wide, narrow = divmod(MAX_LINE + more - base, 6)
            self.assertCode(self.ask_much(name, wide, narrow), "parameters_invalid")
            lengths.append(self.longest())
            self.d.kill9()
            self.d.start()
        self.assertLessEqual(max(lengths), MAX_LINE)
        self.assertGreaterEqual(max(lengths), MAX_LINE - 48, "no record came near the limit")
        truncated = [r for r in load.all_records(self.d) if r["parameters"].get("truncated")]
        self.assertTrue(truncated, "no record went beyond the limit")
        self.assertWhole()

    def ask_much(self, caller, wide, narrow):
        """A request that is denied, with characters that take two bytes here and six in the log, and narrow ones."""
        body = '{"id":"%s","action":"mark","parameters":{"n":"%s"},"timestamp":"@TIME@"}' % (
            os.urandom(4).hex(), "é" * wide + "x" * narrow)
        return self.d.repeat(self.signed(self.d, body, caller))

    def longest(self):
        """The length of the newest record of a denial."""
        return len(self.lines_with(b'"deny"')[-1])


if __name__ == "__main__":
    daemon.main()
