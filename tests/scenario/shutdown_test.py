"""How the daemon ends."""

import os
import signal

import daemon

HOLD = """
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
"""


class Shutdown(daemon.Scenario):
    def running(self, text=HOLD):
        """A daemon with an action that runs until `hold` is released."""
        d = self.make(text)
        hold = self.hold(d)
        d.start()
        connection = d.connect()
        self.addCleanup(connection.close)
        request = d.request("hold")
        connection.send(request.frame)
        hold.await_start()
        return d, hold, connection, request

    def test_an_idle_daemon_ends_at_once(self):
        """TERM or INT to an idle daemon: exit status 0, stop is the last record, the socket is gone."""
        for number in signal.SIGTERM, signal.SIGINT:
            d = self.start(HOLD)
            self.assertCode(d.ask("mark"), "ok")
            d.signal(number)
            self.assertEqual(d.wait(), 0)
            self.assertEqual(d.records()[-1]["event"], "stop")
            self.assertFalse(os.path.exists(d.socket_path))

    def test_a_running_action_ends_before_the_daemon(self):
        """TERM during an action: it ends by itself, is recorded and answered, new ones get shutting_down, exit 0."""
        d, hold, connection, request = self.running()
        d.terminate()
        self.assertCode(d.ask("mark"), "shutting_down")
        self.assertCode(d.ask("hold"), "shutting_down")
        self.assertCode(d.ask("mark", mode="plan"), "shutting_down")
        status = self.assertCode(d.ask("status"), "ok")
        self.assertEqual(status["result"]["running"], 1)
        hold.release()
        self.assertCode(connection.response(request), "ok")
        self.assertEqual(d.wait(), 0)
        self.assertEqual([r["code"] for r in d.events("outcome")], ["ok"])
        self.assertEqual([r["code"] for r in d.events("decision", decision="deny")], ["shutting_down"] * 3)
        self.assertEqual(d.records()[-1]["event"], "stop")
        self.assertEqual(self.lines(d), [])

    def test_the_last_answers_are_delivered(self):
        """Every client of an action that ends while the daemon stops gets its answer, the waiting ones too."""
        for _ in range(10):
            d, hold, connection, request = self.running()
            waiting = [d.connect() for _ in range(5)]
            for other in waiting:
                self.addCleanup(other.close)
                status = d.request("status")
                other.send(request.frame + status.frame)
                self.assertCode(other.response(status), "ok")
            d.terminate()
            hold.release()
            for other in connection, *waiting:
                self.assertCode(other.response(request), "ok")
            self.assertEqual(d.wait(), 0)

    def test_a_second_term_cancels(self):
        """A second TERM ends what runs, cancelled is recorded and answered, and nothing is left."""
        d, hold, connection, request = self.running()
        workers = daemon.descendants_of(d.pid)
        d.terminate()
        d.signal(signal.SIGTERM)
        self.assertCode(connection.response(request), "cancelled")
        self.assertEqual(d.wait(), 0)
        self.assertEqual([r["code"] for r in d.events("outcome")], ["cancelled"])
        for pid in workers:
            self.assertDied(pid)
        hold.release()

    def test_a_command_that_ignores_term_is_killed_with_its_children(self):
        """A second TERM ends a command that ignores TERM, and its child that ignores it too."""
        d = self.make()
        hold = self.hold(d)
        script = self.script(d, "deaf", f"#!/bin/sh\ntrap '' TERM\n(trap '' TERM; cat {hold.path}) &\nwait\nwait\n")
        d.configure(f'[actions.deaf]\ncommand = ["/bin/sh", "{script}"]\ntimeout = "1h"').start()
        request = d.request("deaf")
        with d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            workers = daemon.descendants_of(d.pid)
            self.assertGreaterEqual(len(workers), 3)  # gate, shell, cat
            d.terminate()
            d.signal(signal.SIGTERM)
            self.assertCode(connection.response(request), "cancelled")
        self.assertEqual(d.wait(), 0)
        for pid in workers:
            self.assertDied(pid)

    def test_an_action_past_its_deadline_does_not_hold_up_the_end(self):
        """After one TERM a running action still has no longer than its timeout."""
        d, _, connection, request = self.running(HOLD.replace('hold"]\n', 'hold"]\ntimeout = "700ms"\n', 1))
        d.terminate()
        self.assertCode(connection.response(request), "timeout")
        self.assertEqual(d.wait(), 0)
        self.assertEqual([r["code"] for r in d.events("outcome")], ["timeout"])

    def test_idle_and_unfinished_connections_do_not_hold_up_the_end(self):
        """Open connections, idle or in the middle of a frame, do not keep the daemon from ending."""
        d = self.start(HOLD)
        with d.connect() as idle, d.connect() as half:
            self.assertCode(idle.ask(d.request("status")), "ok")
            half.send(b'{"v":2')
            self.assertEqual(d.stop(), 0)
            self.assertEqual(idle.rest(), b"")
            self.assertEqual(half.rest(), b"")

    def test_it_starts_again_where_it_ended(self):
        """seq goes on over restarts without a gap, and boots of the daemon are framed by start and stop."""
        d = self.start(HOLD)
        for _ in range(3):
            self.assertCode(d.ask("mark"), "ok")
            self.assertEqual(d.stop(), 0)
            d.start()
        self.assertEqual(d.stop(), 0)
        frame = [r["event"] for r in d.records() if r["event"] in ("start", "stop")]
        self.assertEqual(frame, ["start", "stop"] * 4)
        d.check_log()


if __name__ == "__main__":
    daemon.main()
