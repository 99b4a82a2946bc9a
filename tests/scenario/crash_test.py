"""Killed without warning: the daemon, its gate, and what is true afterwards."""

import os
import signal

import daemon

HOLD = """
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
rate_limit = { limit = 2, window = "1h" }
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
"""


class Crash(daemon.Scenario):
    def test_kill_9_in_the_middle_of_an_action(self):
        """kill -9 mid-action: after the restart it is recorded interrupted, answered so, and never run again."""
        d = self.make(HOLD)
        hold = self.hold(d)
        d.start()
        request = d.request("hold")
        with d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            workers = [pid for pid in daemon.descendants_of(d.pid) if pid != d.gate_pid()]
            d.kill9()
            for pid in workers:
                self.assertDied(pid)
            self.assertEqual(connection.rest(), b"")
        hold.release()
        d.start()
        (record,) = d.events("interrupted")
        self.assertEqual((record["request_id"], record["code"], record["success"]), (request.id, "interrupted", False))
        answer = self.assertCode(d.repeat(request), "interrupted")
        self.assertIs(answer["replayed"], True)
        self.assertCode(d.ask("hold", id=request.id), "id_reused")
        self.assertEqual(d.events("outcome"), [])
        self.assertCode(d.ask("mark"), "ok")

    def test_an_interrupted_action_has_used_its_budget(self):
        """What was interrupted counts in its window, and only once however often the daemon starts."""
        d = self.make(HOLD)
        hold = self.hold(d)
        d.start()
        with d.connect() as connection:
            connection.send(d.request("hold").frame)
            hold.await_start()
            d.kill9()
        hold.release()
        for _ in range(2):
            d.start()
            actions = d.ask("status", {"detail": "actions"})["result"]["actions"]
            self.assertEqual([a["remaining"] for a in actions if a["name"] == "hold"], [1])
            d.kill9()
        d.start()
        self.assertEqual(len(d.events("interrupted")), 1)

    def test_several_at_once_are_each_interrupted(self):
        """Each of several running actions is recorded interrupted, those that had ended are not."""
        d = self.make()
        holds = [self.hold(d, f"hold{n}") for n in range(3)]
        script = self.script(d, "wait", f"#!/bin/sh\nexec cat {d.work}/hold$1\n")
        d.configure(f'[actions.wait]\ncommand = ["/bin/sh", "{script}", "{{n}}"]\n'
                    'parameters.n = { type = "integer", max = 9 }').start()
        with d.connect() as connection:
            requests = [d.request("wait", {"n": n}) for n in range(3)]
            connection.send(b"".join(r.frame for r in requests))
            for hold in holds:
                hold.await_start()
            holds[0].release()
            self.assertCode(connection.response(requests[0]), "ok")
            d.kill9()
        for hold in holds:
            hold.release()
        d.start()
        self.assertEqual({r["request_id"] for r in d.events("interrupted")}, {r.id for r in requests[1:]})
        self.assertCode(d.repeat(requests[0]), "ok")

    def test_children_of_a_command_do_not_outlive_the_daemon(self):
        """After kill -9 no child of a running command goes on working behind the restarted daemon's back."""
        d = self.make()
        hold = self.hold(d)
        script = self.script(d, "fork", f"#!/bin/sh\n(cat {hold.path} & wait) &\ncat {hold.path} &\nwait\n")
        d.configure(f'[actions.fork]\ncommand = ["/bin/sh", "{script}"]').start()
        with d.connect() as connection:
            connection.send(d.request("fork").frame)
            hold.await_start()
            family = daemon.descendants_of(d.pid)
            self.assertGreaterEqual(len(family), 3)
            d.kill9()
            for pid in family:
                self.assertDied(pid)

    def test_kill_9_of_the_gate_disturbs_no_action(self):
        """A44: a killed gate is started again and audited; the running action ends undisturbed and is recorded."""
        d = self.make(HOLD)
        hold = self.hold(d)
        d.start()
        request = d.request("hold")
        with d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            gate = d.gate_pid()
            daemon.kill_as(gate, signal.SIGKILL)
            self.assertEqual(connection.rest(), b"")
        d.await_journal("the gate was lost")
        with d.connect() as connection:  # waits in the queue until the new gate is there
            self.assertCode(connection.ask(d.request("status")), "ok")
            self.assertNotEqual(d.gate_pid(), gate)
            again = d.request("status")
            connection.send(request.frame + again.frame)
            self.assertCode(connection.response(again), "ok")
            hold.release()
            self.assertIs(self.assertCode(connection.response(request), "ok")["replayed"], True)
        self.assertEqual([r["code"] for r in d.events("outcome", request_id=request.id)], ["ok"])
        self.assertEqual(len(d.events("gate_lost")), 1)
        self.assertEqual(d.ask("status")["result"]["gate_restarts"], 1)

    def test_a_gate_lost_again_and_again(self):
        """The gate may be killed any number of times; each loss is audited and service returns."""
        d = self.start(HOLD)
        for lost in range(1, 4):
            daemon.kill_as(d.gate_pid(), signal.SIGKILL)
            d.await_journal("the gate was lost", after=len([line for line in d.stderr if "gate was lost" in line]))
            self.assertCode(self.ask_until_served(d), "ok")
            self.assertEqual(len(d.events("gate_lost")), lost)

    def ask_until_served(self, d):
        """A connection that came before the loss was noticed is gone with the gate: then a client connects again."""
        request = d.request("status")
        while True:
            with d.connect() as connection:
                try:
                    connection.send(request.frame)
                except BrokenPipeError:
                    continue
                line = connection.line()
                if line:
                    return daemon.wire.Answer(line, request)

    def test_a_stopped_gate_is_replaced(self):
        """A gate that no longer answers is killed and replaced."""
        d = self.start(HOLD)
        gate = d.gate_pid()
        daemon.kill_as(gate, signal.SIGSTOP)
        self.addCleanup(daemon.kill_as, gate, signal.SIGKILL)
        d.await_journal("the gate was lost")
        daemon.await_end(gate)
        self.assertCode(self.ask_until_served(d), "ok")
        self.assertEqual(len(d.events("gate_lost")), 1)

    def test_a_torn_last_line_is_set_aside(self):
        """A line torn by a crash is kept aside and recorded; everything before it is still known."""
        d = self.start(HOLD)
        request = d.request("mark")
        self.assertCode(d.repeat(request), "ok")
        d.kill9()
        with open(d.log_path, "ab") as file:
            file.write(b'{"timestamp":"2026-')
        d.start()
        self.assertEqual(len(d.events("recovered")), 1)
        self.assertCode(d.repeat(request), "ok")
        self.assertEqual(len(self.lines(d)), 1)

    def test_a_stale_socket_is_replaced(self):
        """The socket that a killed daemon left behind does not keep the next one from starting."""
        d = self.start(HOLD)
        d.kill9()
        self.assertTrue(os.path.exists(d.socket_path))
        d.start()
        self.assertCode(d.ask("mark"), "ok")


if __name__ == "__main__":
    daemon.main()
