"""Ten ways to tamper with a log, at random places; and a daemon's log of several files and epochs to tamper with."""

import hashlib
import hmac
import json
import os
import random
import re
import shutil

import load
import daemon

PLACES = 60
CHAIN = re.compile(rb',"chain":"([0-9a-f]{64})"\}$')
ROTATED = 'rotate_size = "128KiB"\nkeep = 10000\nreserve = "128KiB"\n'


def chain_key(first, epoch):
    key = bytes.fromhex(first)
    for _ in range(epoch):
        key = hmac.new(key, b"luminous-healing/2 audit key\n", hashlib.sha256).digest()
    return key


class Copy:
    """The log as lines in their files, to be changed and written out. Each way to tamper returns the head that a witness
    had kept, where only a witness can know."""

    def __init__(self, logs, rng):
        self.logs, self.random = logs, rng
        self.files = {name: list(lines) for name, lines in logs.ours.items()}

    def names(self):
        return list(self.files)

    def place(self, least=0, spare=0):
        """A file and the number of one of its lines, of all lines alike."""
        places = [(name, at) for name, lines in self.files.items() for at in range(least, len(lines) - spare)]
        return self.random.choice(places)

    def modify(self):
        name, at = self.place()
        line = bytearray(self.files[name][at])
        where = self.random.randrange(len(line))
        line[where] = self.random.choice([byte for byte in range(0x20, 0x7F) if byte != line[where]])
        self.files[name][at] = bytes(line)

    def insert(self):
        """A record as an attacker without the key would forge it."""
        name, at = self.place()
        record = json.loads(self.files[name][at])
        record["request_id"], record["chain"] = "forged", f"{self.random.getrandbits(256):064x}"
        self.files[name].insert(at, json.dumps(record, separators=(",", ":")).encode())

    def delete(self):
        name, at = self.place()
        newest = name == self.names()[-1] and at == len(self.files[name]) - 1
        del self.files[name][at]
        return self.logs.head if newest else None  # only a witness knows of the newest

    def reorder(self):
        name, at = self.place(spare=1)
        other = self.random.randrange(at + 1, len(self.files[name]))
        lines = self.files[name]
        lines[at], lines[other] = lines[other], lines[at]

    def duplicate(self):
        name, at = self.place()
        other, where = self.place()
        self.files[other].insert(where, self.files[name][at])
        # In front of itself a duplicate stands where it belongs, and the true one is what stands twice.

    def cut_the_tail(self):
        name, at = self.place()
        later = self.names()[self.names().index(name) + 1:]
        del self.files[name][at:]
        for gone in later + ([name] if at == 0 else []):
            del self.files[gone]
        if not self.files:
            self.files["audit.json"] = [self.logs.ours[self.logs.names[0]][0]]
        return self.logs.head

    def cut_and_sign_again(self):
        """With the stolen current key everything from some record on is written anew; the witness has the true head."""
        name, at = self.place()
        while not any(b'"allow"' in line for line in self.files[name][at:]):
            name, at = self.place()  # the rest, written anew, would be what it was
        key = chain_key(self.logs.key, self.logs.epoch)
        before = at > 0 and self.files[name][at - 1]
        previous = CHAIN.search(before)[1] if before else b"0" * 64
        for i in range(at, len(self.files[name])):
            body = CHAIN.sub(b"}", self.files[name][i]).replace(b'"allow"', b'"deny"')
            previous = hmac.new(key, previous + body, hashlib.sha256).hexdigest().encode()
            self.files[name][i] = body[:-1] + b',"chain":"' + previous + b'"}'
        for gone in self.names()[self.names().index(name) + 1:]:
            del self.files[gone]
        return self.logs.head

    def drop_a_file(self):
        dropped = self.random.choice(self.names())
        newest = dropped == self.names()[-1]
        del self.files[dropped]
        return self.logs.head if newest else None

    def swap_two(self):
        one, other = self.random.sample(self.names(), 2)
        self.files[one], self.files[other] = self.files[other], self.files[one]

    def splice(self):
        """Records of another host in the place of ours, from some record on or one alone."""
        name, at = self.place()
        theirs = [line for lines in self.logs.theirs.values() for line in lines]
        by_seq = {json.loads(line)["seq"]: line for line in theirs}
        end = self.random.choice((at + 1, len(self.files[name])))
        for i in range(at, end):
            seq = json.loads(self.files[name][i])["seq"]
            self.files[name][i] = by_seq.get(seq, self.random.choice(theirs))

    def write(self, folder):
        os.mkdir(folder)
        for name, lines in self.files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b"".join(line + b"\n" for line in lines))


KINDS = {"modify": Copy.modify, "insert": Copy.insert, "delete": Copy.delete, "reorder": Copy.reorder,
         "duplicate": Copy.duplicate, "cut the tail": Copy.cut_the_tail,
         "cut and sign again": Copy.cut_and_sign_again, "drop a file": Copy.drop_a_file, "swap two": Copy.swap_two,
         "splice two hosts": Copy.splice}


class Tampering(daemon.Scenario):
    def write_log(self, requests):
        """A daemon's log of several files and epochs; (lines by file, first key, head)."""
        d = load.configured(self, audit=ROTATED).start()
        d.log_was_harmed = True  # rotated, that is
        with d.connect() as connection:
            for n in range(requests):
                if n % 100 == 0:
                    daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)  # it gets on
                self.assertCode(connection.ask(d.request("mark", {"n": n}, reason="r" * 200)), "ok")
        audit = d.ask("status")["result"]["audit"]
        self.assertEqual(d.stop(), 0)
        files = {}
        for path in load.log_files(d):
            with open(path, "rb") as file:
                files[os.path.basename(path)] = file.read().split(b"\n")[:-1]
        with open(load.first_key(d), encoding="ascii") as file:
            return d, files, file.read().strip(), audit

    def write_logs(self):
        """Ours, with several files and epochs, and another host's. The daemon that wrote ours, which has ended."""
        d, self.ours, self.key, audit = self.write_log(640)
        _, self.theirs, _, _ = self.write_log(640)
        self.names, self.epoch = list(self.ours), audit["epoch"]
        self.assertGreaterEqual(len(self.ours), 4, "the log must have several files")
        self.assertGreaterEqual(self.epoch, 1, "the log must have several epochs")
        last = json.loads(self.ours["audit.json"][-1])
        self.head = f"{last['seq']}:{last['chain']}"
        return d

    def verdicts(self, d, kind, places=PLACES):
        """What healctl audit verify says of so many copies of the log, each tampered with in this way elsewhere."""
        rng = random.Random(f"{load.SEED} {kind}")
        for _ in range(places):
            copy = Copy(self, rng)
            head = KINDS[kind](copy)
            folder = os.path.join(d.folder, "copy")
            copy.write(folder)
            yield load.verify([folder], load.first_key(d), head)
            shutil.rmtree(folder)
