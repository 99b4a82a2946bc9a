"""A request that was good once, sent again: inside its time, after a restart, when its time comes round again."""

import collections
import hashlib
import hmac
import os
import re
import signal
import threading

import attack
import clocks
import daemon
import wire

ENTRIES = 131072  # ids that are remembered at a time (policy/journal.h)


class Replay(attack.Attack):
    def assertRanOnce(self, d):
        self.assertEqual(self.lines(d), ["ran"])
        self.assertEqual(len(d.events("outcome")), 1)

    def test_A10_a_repeated_request_inside_its_time_runs_once(self):
        """The same bytes again, on any connection, in one write or many, start nothing and get the recorded answer."""
        d = self.start(attack.MARK)
        request = d.request("mark")
        with d.connect() as connection:
            connection.send(request.frame * 5)
            answers = [connection.answer(request) for _ in range(5)]
        answers += [d.repeat(request) for _ in range(3)]
        self.assertEqual({answer["code"] for answer in answers}, {"ok"})
        self.assertEqual([answer.get("replayed", False) for answer in answers].count(False), 1)
        self.assertCode(d.ask("mark", id=request.id), "id_reused")
        self.assertRanOnce(d)

    def test_A10_a_restart_does_not_make_a_request_new(self):
        """After kill -9, an orderly stop, and a rotation between them, the old bytes run nothing, nor does their id."""
        d = self.start(attack.MARK)
        request = d.request("mark")
        self.assertCode(d.repeat(request), "ok")
        d.kill9()
        d.start()
        self.assertIs(self.assertCode(d.repeat(request), "ok")["replayed"], True)
        self.assertEqual(d.stop(), 0)
        d.start()
        self.assertIs(self.assertCode(d.repeat(request), "ok")["replayed"], True)
        self.assertCode(d.ask("mark", id=request.id), "id_reused")
        self.assertRanOnce(d)
        os.rename(d.log_path, d.log_path + ".1")
        seen = len(d.stderr)
        d.signal(signal.SIGUSR1)
        d.await_journal("reopened", after=seen)
        d.log_was_harmed = True  # by us: its first records are in the other file
        d.kill9()
        d.start()
        self.assertIn(d.repeat(request)["code"], ("ok", "stale"))
        self.assertEqual(self.lines(d), ["ran"])

    def test_A10_a_request_that_a_crash_cut_short_is_not_run_again(self):
        """What ran when the daemon was killed is answered interrupted ever after, and not started a second time."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.hold]\ncommand = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; cat {hold.path}"]\n'
                    'writes = ["@WORK@"]').start()
        request = d.request("hold")
        with d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            d.kill9()
        d.start()
        for _ in range(2):
            self.assertCode(d.repeat(request), "interrupted")
        self.assertEqual(self.lines(d), ["ran"])

    def test_A11_a_full_nonce_store_refuses_and_forgets_nothing(self):
        """So many ids and not one more: then new requests are refused, and what ran before is still known."""
        d = self.start(attack.MARK, daemon='max_clock_skew = "1h"')  # nothing expires meanwhile
        request = d.request("mark")
        self.assertCode(d.repeat(request), "ok")
        beyond = 300
        codes = self.flood(d, ENTRIES - 1 + beyond)
        self.assertEqual(codes, {b"action_unknown": ENTRIES - 1, b"busy": beyond})
        for answer in d.ask("mark"), d.ask("mark", mode="plan"), d.ask("status"):
            self.assertCode(answer, "busy")
        self.assertCode(d.repeat(request), "interrupted")  # known, though its answer has made room for later ones
        self.assertCode(d.ask("mark", id=request.id), "id_reused")
        self.assertEqual(self.lines(d), ["ran"])

    def flood(self, d, count):
        """{code: how often} of so many signed requests for an action that there is not, each with an id of its own."""
        key, stamp = d.keys["tester"].encode(), wire.timestamp().encode()
        frame = b'{"v":2,"caller":"tester","mac":"%s","request":%s}\n'

        def send(connection):
            for start in range(0, count, 1000):
                frames = []
                for n in range(start, min(start + 1000, count)):
                    raw = b'{"id":"f%d","action":"none","timestamp":"%s"}' % (n, stamp)
                    mac = hmac.digest(key, wire.REQUEST + raw, hashlib.sha256).hex().encode()
                    frames.append(frame % (mac, raw))
                connection.send(b"".join(frames))

        codes, rest = collections.Counter(), b""
        with d.connect() as connection:
            sender = threading.Thread(target=send, args=(connection,), daemon=True)
            sender.start()
            while codes.total() < count:
                signal.setitimer(signal.ITIMER_REAL, daemon.PATIENCE)  # it gets on
                lines, newline, rest = (rest + connection.sock.recv(2**20)).rpartition(b"\n")
                codes.update(re.findall(rb'"code":"(\w+)"', lines + newline))
            sender.join()
        return codes


class Clocks(clocks.SetClocks):
    def test_A10_a_clock_set_back_does_not_make_a_request_new(self):
        """A request whose timestamp becomes fresh once more, since the clock was set back, does not run again."""
        self.start_with_clocks(attack.MARK)
        request = self.d.request("mark", timestamp=self.timestamp())
        self.assertCode(self.d.repeat(request), "ok")
        self.pass_time(7200)
        self.set_clocks(wall=-7200)
        self.d.repeat(request)
        self.pass_time(86400)
        self.restart()
        self.set_clocks(wall=-86400)
        self.d.repeat(request)
        self.restart()
        self.d.repeat(request)
        self.reboot(off=30)
        self.set_clocks(wall=-30)
        self.d.repeat(request)
        self.assertEqual(self.lines(self.d), ["ran"])

    def test_A10_a_captured_request_is_stale_when_its_time_is_over(self):
        """A request that was captured and held back runs neither later nor, with the clock ahead, sooner."""
        self.start_with_clocks(attack.MARK)
        self.d.confined_gate()  # which has shown that it lives, and is not asked again within the time that passes
        held = self.d.request("mark", timestamp=self.timestamp())
        self.pass_time(31)
        self.assertCode(self.d.repeat(held), "stale")
        early = self.d.request("mark", timestamp=wire.timestamp(self.wall + 3600))
        self.assertCode(self.d.repeat(early), "stale")
        self.assertEqual(self.lines(self.d), [])


if __name__ == "__main__":
    daemon.main()
