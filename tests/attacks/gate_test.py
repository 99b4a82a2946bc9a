"""A gate that somebody has taken over (tests/system/hostile_gate.cpp), before the real executor."""

import contextlib
import os
import shutil

import attack
import daemon
import watch
import wire

HOSTILE = os.path.join(daemon.BUILD, "tests", "system", "hostile_gate")
LOST = "the gate was lost"
AT_ONCE = "garbage", "lengths", "oversize", "backwards", "descriptor", "stranger"
CONFIG = """
[callers.mona]
key = "mona"
users = [@UID@]
actions = ["mark", "hold"]
[callers.tester]
key = "tester"
users = [@UID@]
actions = ["mark", "hold"]
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
""" + attack.MARK


class HostileGate(attack.Attack):
    def setUp(self):
        super().setUp()
        self.d = self.make(CONFIG, daemon='socket_group = "nogroup"' if daemon.ROOT else "")
        self.d.binary = os.path.join(self.d.folder, "hostile_gate")
        shutil.copy(HOSTILE, self.d.binary)
        os.symlink(daemon.LAUNCHER, os.path.join(self.d.folder, os.path.basename(daemon.LAUNCHER)))
        self.minds("good")
        self.d.start()
        with self.d.connect() as connection:  # once it answers it is the gate, and no fork that is about to become one
            connection.send(b'{"type":"ping"}')
            self.assertIn(b"pong", connection.line())

    def minds(self, mode):
        """What each gate does that is started from now on."""
        draft = os.path.join(self.d.folder, "draft")
        with open(draft, "w", encoding="ascii") as file:
            file.write(mode)
        os.chmod(draft, 0o644)
        os.rename(draft, self.d.binary + ".mode")

    def await_loss(self, after):
        """Returns behind which line of the journal a gate was lost."""
        self.d.await_journal(LOST, after)
        return next(n for n, line in enumerate(self.d.stderr) if n >= after and LOST in line) + 1

    def take_over(self, mode):
        """The gate is replaced by one of that mind. Behind which line of the journal that begins."""
        self.minds(mode)
        said = len(self.d.stderr)
        daemon.kill_as(self.d.gate_pid(), daemon.signal.SIGKILL)
        return self.await_loss(said)

    def heal(self, said):
        """A good gate follows once the hostile one is lost."""
        self.await_loss(said)
        self.minds("good")
        self.served()

    def await_record(self, **members):
        """The first record with these members, as soon as it is there. A hostile gate passes no answer on."""
        with contextlib.closing(watch.Watch(self.d.log_path, events=watch.IN_MODIFY)) as written:
            while not self.d.events(**members):
                written.wait()
        return self.d.events(**members)[0]

    def served(self):
        """A hostile gate may still follow another: then a client asks again."""
        request = self.d.request("mark")
        while True:
            with self.d.connect() as connection:
                try:
                    connection.send(request.frame)
                    line = connection.line()
                except (BrokenPipeError, ConnectionResetError):
                    continue
                if line:
                    return self.assertCode(wire.Answer(line, request), "ok")

    def test_A44_whatever_a_hostile_gate_sends_it_is_killed_and_replaced_and_nothing_runs(self):
        """Garbage, false lengths, too long, one of the executor's own, a descriptor, a connection that is none."""
        hold, running = self.hold(self.d), self.d.request("hold")
        with self.d.connect() as connection:  # it is lost with its gate
            connection.send(running.frame)
            hold.await_start()
        for mode in AT_ONCE:
            daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)
            before = len(self.d.events("gate_lost"))
            self.heal(self.take_over(mode))
            lost = self.d.events("gate_lost")[before:]
            self.assertGreaterEqual(len(lost), 2)  # the one we killed, and that one
            self.assertRegex(lost[1]["error"], "no gate of ours|longer than any", mode)
        hold.release()
        self.assertIs(self.assertCode(self.d.repeat(running), "ok")["replayed"], True)
        self.assertEqual(len(self.lines(self.d)), len(AT_ONCE))  # what was asked by ourselves
        self.assertEqual(self.d.events("decision", decision="deny"), [])

    def test_A44_a_request_that_nobody_signed_is_refused_and_recorded(self):
        """Bytes that the gate made up itself: bad_signature in the log, and nothing runs."""
        self.take_over("unsigned")
        with self.d.connect():
            self.await_record(event="decision", code="bad_signature")
        self.assertEqual([r["code"] for r in self.d.events("decision")], ["bad_signature"])
        self.assertNothingRan(self.d)

    def test_A44_a_gate_that_floods_is_ended_and_not_the_executor(self):
        """Requests without end, more than any client may have in flight: the gate is lost, and a good one follows."""
        said = self.take_over("flood")
        with self.d.connect():
            self.heal(said)
        self.assertTrue(daemon.is_alive(self.d.pid))
        self.assertEqual(self.d.events("decision", decision="allow", action="restart_service"), [])

    def test_A44_a_gate_that_is_silent_is_replaced(self):
        """A gate that reads and answers nothing is lost after the second unanswered sign of life."""
        self.heal(self.take_over("silence"))
        self.assertIn("it did not answer", [r["error"] for r in self.d.events("gate_lost")])

    @daemon.needs_root
    def test_A44_the_id_of_another_connection_brings_no_other_uid(self):
        """A signed request passed on as if another user's client had sent it is refused: the key is not that uid's."""
        self.take_over("swapped")
        request = self.d.request("mark", id="stolen")
        (other,), _ = self.d.connect_as(daemon.NOBODY)
        with other, self.d.connect() as connection:
            connection.send(request.frame)
            record = self.await_record(event="decision", request_id="stolen")
        self.assertEqual((record["code"], record["peer"]["uid"]), ("peer_not_allowed", daemon.NOBODY))
        self.assertNothingRan(self.d)


if __name__ == "__main__":
    daemon.main()
