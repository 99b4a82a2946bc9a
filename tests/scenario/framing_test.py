"""How bytes become frames: split, joined, spaced, too long, never ending."""

import json
import os
import time

import daemon
import wire

CONFIG = """
[actions.greet]
command = ["/bin/echo", "hello", "{name}"]
parameters.name = { type = "string", pattern = "[a-z]+" }
rate_limit = { limit = 1000, window = "5min" }
"""


class Framing(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.d = self.start(CONFIG)

    def padded(self, size):
        """A signed frame of exactly that many bytes, without newline."""
        def make(padding):
            raw = json.dumps({"id": "padded", "action": "status", "parameters": {}, "timestamp": stamp}).encode()
            return wire.Request(self.d.keys["tester"], "tester", None, raw=raw[:-1] + b" " * padding + b"}")
        stamp = wire.timestamp()
        request = make(size - len(make(0).bare))
        assert len(request.bare) == size
        return request

    def test_32_requests_in_one_write_are_all_answered(self):
        """32 requests pipelined in one write each get their own answer."""
        requests = {r.id: r for r in (self.d.request("status") for _ in range(32))}
        with self.d.connect() as connection:
            connection.send(b"".join(r.frame for r in requests.values()))
            for _ in range(32):
                answer = connection.answer()
                answer.check_mac(requests.pop(answer["request_id"]))
                self.assertCode(answer, "ok")
        self.assertEqual(requests, {})

    def test_more_than_32_are_held_back_and_not_lost(self):
        """100 requests in one write are all answered: beyond 32 in flight reading waits, nothing is dropped."""
        requests = {r.id: r for r in (self.d.request("status") for _ in range(100))}
        with self.d.connect() as connection:
            connection.send(b"".join(r.frame for r in requests.values()))
            for _ in range(100):
                answer = connection.answer()
                answer.check_mac(requests.pop(answer["request_id"]))

    def test_a_frame_byte_by_byte(self):
        """A frame that comes one byte at a time is a frame."""
        request = self.d.request("greet", {"name": "slow"})
        with self.d.connect() as connection:
            for byte in request.frame:
                connection.send(bytes([byte]))
            self.assertCode(connection.response(request), "ok")

    def test_a_frame_needs_no_newline(self):
        """A frame ends with its closing brace; the newline is only customary."""
        request = self.d.request("greet", {"name": "bare"})
        with self.d.connect() as connection:
            connection.send(request.bare)
            self.assertCode(connection.response(request), "ok")

    def test_two_frames_in_one_write(self):
        """Two frames in one write, with nothing between them, are two requests."""
        first, second = self.d.request("greet", {"name": "a"}), self.d.request("status")
        with self.d.connect() as connection:
            connection.send(first.bare + second.bare)
            answers = {a["request_id"]: a for a in (connection.answer(), connection.answer())}
        for request in first, second:
            answers[request.id].check_mac(request)
            self.assertCode(answers[request.id], "ok")

    def test_white_space_between_frames_is_ignored(self):
        """Any white space before, between and after frames is ignored."""
        first, second = self.d.request("status"), self.d.request("status")
        with self.d.connect() as connection:
            connection.send(b" \r\n\t\n" + first.bare + b"\n\n   \t\r\n" + second.bare + b" " * 70000)
            self.assertCode(connection.response(first), "ok")
            self.assertCode(connection.response(second), "ok")
            connection.end_of_requests()
            self.assertEqual(connection.rest(), b"")

    def test_white_space_inside_the_signed_bytes_is_signed(self):
        """What was signed is what was sent: white space inside the request is kept and covered by the MAC."""
        raw = b'{ "id" : "sp", "action":"status" ,\n\t"timestamp": "%s"}' % wire.timestamp().encode()
        request = wire.Request(self.d.keys["tester"], "tester", None, raw=raw)
        with self.d.connect() as connection:
            self.assertCode(connection.ask(request), "ok")

    def test_braces_in_strings_do_not_end_a_frame(self):
        """Braces, brackets and escaped quotes inside strings do not end a frame."""
        request = self.d.request("status", reason='}]{["\\"}\\')
        with self.d.connect() as connection:
            self.assertCode(connection.ask(request), "ok")

    def test_a_frame_of_64_kib_is_accepted(self):
        """A frame of exactly 65,536 bytes is accepted."""
        request = self.padded(wire.MAX_FRAME)
        with self.d.connect() as connection:
            self.assertCode(connection.ask(request), "ok")

    def test_a_frame_of_64_kib_and_one_byte_is_refused(self):
        """A frame of 65,537 bytes is a bad request, and the connection closes."""
        request = self.padded(wire.MAX_FRAME + 1)
        with self.d.connect() as connection:
            connection.send(request.bare)
            answer = connection.answer()
            self.assertCode(answer, "bad_request")
            self.assertIsNone(answer.mac)
            self.assertEqual(connection.rest(), b"")
        self.assertEqual(self.d.events("decision", decision="allow"), [])

    def test_garbage_is_refused_and_ends_the_connection(self):
        """What does not begin with a brace is a bad request; nothing after it is looked at."""
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"[1]", b'"x"', b"\x00", b"\xff\xfe", b"}"):
            with self.subTest(garbage=garbage), self.d.connect() as connection:
                connection.send(garbage + self.d.request("greet", {"name": "a"}).frame)
                self.assertCode(connection.answer(), "bad_request")
                self.assertEqual(connection.rest(), b"")
        self.assertEqual(self.d.events("outcome"), [])

    def test_answers_come_after_the_client_has_finished_sending(self):
        """A client that shuts down its sending side still gets its answers, as with nc -N."""
        requests = [self.d.request("greet", {"name": name}) for name in ("a", "b", "c")]
        with self.d.connect() as connection:
            connection.send(b"".join(r.frame for r in requests))
            connection.end_of_requests()
            answers = [wire.Answer(line + b"\n") for line in connection.rest().splitlines()]
        self.assertEqual({a["request_id"] for a in answers}, {r.id for r in requests})
        self.assertEqual({a["code"] for a in answers}, {"ok"})

    def test_a_client_that_leaves_disturbs_nobody(self):
        """A client that closes before its answer costs the daemon nothing; the action is carried out and recorded."""
        request = self.d.request("greet", {"name": "gone"}, id="gone")
        connection = self.d.connect()
        connection.send(request.frame)
        connection.close()
        again = self.d.repeat(request)  # comes after it, or waits for it
        self.assertCode(again, "ok")
        self.assertEqual(len(self.d.events("outcome", request_id="gone")), 1)

    def test_an_unfinished_frame_closes_the_connection(self):
        """A35: a frame begun and not finished within 5 s ends the connection; trickling bytes do not prolong it."""
        silent, trickling, good = self.d.connect(), self.d.connect(), self.d.connect()
        with silent, trickling, good:
            began = time.monotonic()
            silent.send(b'{"v":2')
            request = self.d.request("status")
            trickling.send(request.frame[:1])
            trickling.sock.settimeout(0.2)
            sent, closed = 1, False
            while not closed and sent < len(request.frame) - 1:
                try:
                    trickling.send(request.frame[sent:sent + 1])
                    sent += 1
                    closed = not trickling.sock.recv(1, 0)
                except TimeoutError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    closed = True
            self.assertTrue(closed, "trickling bytes kept the connection open")
            self.assertGreater(time.monotonic() - began, 4.5)
            self.assertNotIn(b'"ok"', silent.rest())
            self.assertGreater(time.monotonic() - began, 4.5)
            self.assertCode(good.ask(self.d.request("status")), "ok")

    def test_a_half_frame_at_the_end_is_dropped(self):
        """Half a frame and then the end of the stream: nothing runs, the connection closes."""
        request = self.d.request("greet", {"name": "half"})
        with self.d.connect() as connection:
            connection.send(request.bare[:-1])
            connection.end_of_requests()
            connection.rest()
        self.assertCode(self.d.ask("status"), "ok")
        self.assertEqual(self.d.events("outcome"), [])

    def test_a_client_that_never_reads_is_held_back(self):
        """A35: a client that sends and never reads is held back, and a good one is served meanwhile."""
        with self.d.connect() as deaf:
            deaf.sock.setblocking(False)
            sent = 0
            try:
                while sent < 16 << 20:
                    sent += deaf.sock.send(self.d.request("status").frame)
            except BlockingIOError:
                pass
            self.assertLess(sent, 16 << 20, "16 MiB were taken from a client that reads nothing")
            self.assertCode(self.d.ask("greet", {"name": "good"}), "ok")


if __name__ == "__main__":
    daemon.main()
