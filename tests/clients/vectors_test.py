"""One file of 200 requests, signed by C++, Python and shell: all verify, and all say the same."""

import contextlib
import datetime
import json
import os
import re
import socket
import subprocess

import support
import wire
from support import daemon

import luminous_healing as lh

with open(os.path.join(support.ROOT, "tests", "vectors", "requests.json"), encoding="ascii") as file:
    VECTORS = json.load(file)
KEY, CALLER, REQUESTS = VECTORS["key"], VECTORS["caller"], VECTORS["requests"]
TOOL = os.path.join(daemon.BUILD, "tests", "clients", "vector_tool")
OPTIONS = ("mode", "audience", "deadline_ms", "stream", "reason")
PLAIN = re.compile(r"[A-Za-z0-9_-]+")  # the names that a command line can give


def microseconds(timestamp):
    time = datetime.datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (time - epoch) // datetime.timedelta(microseconds=1)


def can_be_typed(vector):
    """No command line holds a NUL, and healctl's takes an empty --reason= for the word after it."""
    names_are_plain = all(PLAIN.fullmatch(name) for name in json.loads(vector["parameters"]))
    return names_are_plain and "\0" not in vector.get("reason", "") and vector.get("reason") != ""


def exact(value):
    """Comparable, with 1 and 1.0 and True told apart."""
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return type(value).__name__, value


class Vectors(support.ClientScenario):
    def signed_by_python(self):
        key = lh._wire.Key(KEY)
        return b"".join(lh._wire.sign(
            key, CALLER, v["action"], json.loads(v["parameters"]), request_id=v["id"], timestamp=v["timestamp"],
            **{name: v.get(name) for name in OPTIONS}).frame for v in REQUESTS)

    def signed_by_cpp(self):
        with open(os.path.join(support.ROOT, "tests", "vectors", "requests.json"), "rb") as vectors:
            return subprocess.run([TOOL, "sign"], stdin=vectors, stdout=subprocess.PIPE, check=True).stdout

    def read_by_cpp(self, frames):
        """What the daemon's own code reads in them."""
        ran = subprocess.run([TOOL, "verify", KEY], input=frames, stdout=subprocess.PIPE, check=True)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def assert_same(self, found, vector, **expected):
        self.assertNotIn("error", found, vector["id"])
        self.assertIs(found["proven"], True, vector["id"])
        self.assertEqual((found["caller"], found["action"]), (CALLER, vector["action"]))
        self.assertEqual(exact(found["parameters"]), exact(json.loads(vector["parameters"])), vector["id"])
        for name, value in expected.items():
            self.assertEqual(found[name], value, (vector["id"], name))

    def assert_all_said(self, frames):
        found = self.read_by_cpp(frames)
        self.assertEqual(len(found), 200)
        for read, vector in zip(found, REQUESTS):
            self.assert_same(read, vector, id=vector["id"], time_us=microseconds(vector["timestamp"]),
                             plan="mode" in vector, stream="stream" in vector, audience=vector.get("audience"),
                             reason=vector.get("reason"), deadline_ms=vector.get("deadline_ms"))

    def serve(self):
        d = self.make('[actions.true]\ncommand = ["/bin/true"]\n')
        d.add_key(CALLER, KEY)
        return d.start()

    def assert_daemon_proves(self, frames, code):
        """The daemon answers each with a MAC that only who knows the key and this request can make."""
        d = self.serve()
        with d.connect() as connection:
            for frame in frames.splitlines(keepends=True):
                self.assertEqual(connection.ask(Sent(frame))["code"], code)

    def test_the_file(self):
        """200 different ids; big integers, Unicode, control characters and nesting are among them."""
        self.assertEqual(len({v["id"] for v in REQUESTS}), 200)
        everything = json.dumps([json.loads(v["parameters"]) for v in REQUESTS], ensure_ascii=False)
        for part in (str(2**63 - 1), str(2**64), "123456789012345678901234567890", "日本語", "😀", "\\u0000", "[[", "{}"):
            self.assertIn(part, everything)

    def test_the_same_bytes_have_the_same_mac(self):
        """Python's, openssl's and C++'s MAC of each exact text is the one in the file."""
        frames = b""
        for vector in REQUESTS:
            signed = lh._wire.sign_bytes(lh._wire.Key(KEY), CALLER, vector["bytes"].encode(), vector["id"], "")
            self.assertEqual(signed.mac, vector["mac"])
            frames += signed.frame
        self.assert_all_said(frames)
        for vector in REQUESTS[::10]:
            ran = subprocess.run(["openssl", "dgst", "-sha256", "-hmac", KEY], check=True, stdout=subprocess.PIPE,
                                 input=b"luminous-healing/2 request\n" + vector["bytes"].encode())
            self.assertEqual(ran.stdout.split()[-1].decode(), vector["mac"])

    def test_a_changed_byte_is_noticed(self):
        """The verifier can say no: one byte changed anywhere in a request, and it is not proven."""
        for vector in REQUESTS[::7]:
            raw = vector["bytes"].encode()
            at = raw.index(b'"id":"') + 6
            frame = wire.Request(KEY, CALLER, "", raw=raw).frame.replace(raw, raw[:at] + b"Z" + raw[at + 1:])
            (read,) = self.read_by_cpp(frame)
            self.assertIs(read["proven"], False)

    def test_signed_by_python(self):
        """The Python client's frames verify and say what was meant."""
        frames = self.signed_by_python()
        self.assert_all_said(frames)
        self.assert_daemon_proves(frames, "stale")  # after the MAC and every member; the timestamps are old

    def test_signed_by_cpp(self):
        """The C++ library's frames verify and say what was meant."""
        frames = self.signed_by_cpp()
        self.assert_all_said(frames)
        self.assert_daemon_proves(frames, "stale")

    def test_signed_by_healctl(self):
        """healctl sign, from a command line: what it can express, it expresses exactly."""
        d = self.serve()
        frames, signed = b"", [v for v in REQUESTS if can_be_typed(v)]
        self.assertGreater(len(signed), 150)
        for vector in signed:
            words = [f"{name}:={json.dumps(value)}" for name, value in json.loads(vector["parameters"]).items()]
            options = [f"--{name}={vector[name]}" for name in ("audience", "reason") if name in vector]
            ran = self.healctl(d, "sign", f"--id={vector['id']}", *options, vector["action"], *words)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.give_time(d)
            frames += ran.stdout.encode()
        for read, vector in zip(self.read_by_cpp(frames), signed):
            self.assert_same(read, vector, id=vector["id"], audience=vector.get("audience"),
                             reason=vector.get("reason"))
        with d.connect() as connection:
            for frame in frames.splitlines(keepends=True):
                self.assertNotIn(connection.ask(Sent(frame))["code"], ("bad_request", "bad_signature", "stale"))

    def test_signed_by_shell(self):
        """heal.sh with each of the 200: the daemon proves them, and each says what was meant, to the last digit."""
        d = self.serve()
        relay = self.relay(d)
        for vector in REQUESTS:
            self.give_time(d)
            ran = self.heal_sh(d, vector["action"], vector["parameters"], socket_path=relay.path)
            self.assertIn('"code":"action_unknown"', ran.stdout, (vector["id"], ran.stderr))
        found = self.read_by_cpp(b"".join(relay.sent))
        self.assertEqual(len(found), 200)
        for read, vector in zip(found, REQUESTS):
            self.assert_same(read, vector)


    def give_time(self, d):
        """Three times 200 programs take longer than one test may: the alarm is set anew for each. And the daemon's
        watchdog messages are taken, as systemd does, or sd_notify(3) would block it at the eleventh."""
        daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)
        with contextlib.suppress(BlockingIOError):
            while True:
                d._notify.recv(4096, socket.MSG_DONTWAIT)


class Sent(wire.Request):
    """What is needed to check the answer to a frame that a client made."""

    def __init__(self, frame):
        envelope = json.loads(frame)
        self.key, self.id, self.mac = KEY, envelope["request"]["id"], envelope["mac"]
        self._frame = frame

    @property
    def frame(self):
        return self._frame


if __name__ == "__main__":
    daemon.main()
