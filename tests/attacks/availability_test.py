"""Who tries to keep others from being served: by work, by slowness, by exhaustion, by answers that are too large."""

import asyncio
import contextlib
import errno
import os
import resource
import select
import signal
import sys

import attack
import daemon
import wire

sys.path.append(os.path.join(daemon.SOURCE, "clients", "python", "src"))
import luminous_healing  # noqa: E402

ACCEPT_FAULTS = os.path.join(daemon.BUILD, "tests", "support", "libaccept_faults.so")
WAIT = """
[actions.wait]
command = ["/bin/sh", "@SCRIPT@", "{n}"]
parameters.n = { type = "integer", max = 100 }
rate_limit = { limit = 100, window = "5min" }
"""
# Whatever an answer may hold at its largest, in the characters that become the longest when they are escaped.
FLOOD = """
[actions.flood]
command = ["/bin/sh", "@SCRIPT@"]
writes = ["@WORK@"]
"""
FLOOD_SCRIPT = """#!/bin/sh
echo ran >>@WORK@/ran
yes '"\\"\\' | head -c 300000
"""


class Availability(attack.Attack):
    def test_A34_others_are_served_while_actions_run(self):
        """While fifteen actions run, status and a sixteenth are answered; none of the fifteen has to end for it."""
        d = self.make()
        holds = [self.hold(d, f"hold{n}") for n in range(15)]
        script = self.script(d, "wait", f"#!/bin/sh\n[ $1 = 99 ] || exec cat {d.work}/hold$1\n")
        d.configure(WAIT.replace("@SCRIPT@", script)).start()
        running = [d.request("wait", {"n": n}) for n in range(15)]
        with d.connect() as connection:
            connection.send(b"".join(request.frame for request in running))
            for hold in holds:
                hold.await_start()
            for _ in range(20):
                self.assertEqual(self.assertCode(d.ask("status"), "ok")["result"]["running"], 15)
            self.assertCode(d.ask("wait", {"n": 99}), "ok")
            self.assertEqual(d.events("outcome")[-1]["parameters"], {"n": 99})
            for hold in holds:
                hold.release()
            ids = {request.id: request for request in running}
            for _ in running:
                answer = connection.answer()
                answer.check_mac(ids.pop(answer["request_id"]))
                self.assertCode(answer, "ok")

    def slow(self, d, count):
        """Connections of a user who is not root, where we may choose."""
        made = d.connect_as(daemon.NOBODY, count=count)[0] if daemon.ROOT else [d.connect() for _ in range(count)]
        for connection in made:
            self.addCleanup(connection.close)
        return made

    def test_A35_a_thousand_slow_clients_do_not_hurt_a_good_one(self):
        """A thousand clients with half a frame: few are let in, all sent away, a good one is served all the while."""
        count = 1000 if daemon.ROOT else 30  # a user's own connections are limited, and only root has another
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        d = self.start(attack.MARK, daemon='socket_group = "nogroup"' if daemon.ROOT else "")
        half = d.request("mark").bare[:100]
        with d.connect() as good:
            slow = self.slow(d, count)
            for n, connection in enumerate(slow):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.send(half)
                if n % 100 == 0:
                    self.assertCode(good.ask(d.request("mark")), "ok")
            endings = [connection.rest() for connection in slow]  # blocks until the daemon has closed each of them
            self.assertLessEqual(endings.count(b""), 64, "so many were let in")  # 32 at a time
            for ending in filter(None, endings):
                self.assertCode(wire.Answer(ending), "busy")
            self.assertCode(good.ask(d.request("mark")), "ok")
        self.assertEqual(len(d.events("decision", decision="allow")), len(d.events("outcome")))

    def test_A35_a_client_that_never_reads_is_held_back_and_then_sent_away(self):
        """For a client that reads nothing little is buffered, and at last it is hung up on; others are served."""
        d = self.start(attack.MARK)
        deaf = d.connect()
        self.addCleanup(deaf.close)
        deaf.sock.setblocking(False)
        sent, held_back, hung_up = 0, False, False
        ready = select.poll()
        ready.register(deaf.sock, select.POLLOUT)  # POLLHUP and POLLERR are always reported
        while not hung_up:
            happened = dict(ready.poll(1000))
            if not happened and not held_back:  # nothing more is taken from it, for now
                held_back = True
                self.assertCode(d.ask("mark"), "ok")
            hung_up = bool(happened.get(deaf.sock.fileno(), 0) & (select.POLLHUP | select.POLLERR))
            with contextlib.suppress(OSError):
                while happened and not hung_up and sent < 16 << 20:
                    sent += deaf.sock.send(d.request("status").frame)
            self.assertLess(sent, 16 << 20, "16 MiB were taken from a client that reads nothing")
        self.assertTrue(held_back)
        self.assertCode(d.ask("mark"), "ok")

    def test_A36_whatever_accept_says_the_daemon_goes_on(self):
        """EINTR, EMFILE, ENFILE, ENOMEM, ENOBUFS and others at accept: it lives, and serves who comes next."""
        d = self.make(attack.MARK)
        plan = os.path.join(d.folder, "faults")
        d.env.update(LD_PRELOAD=ACCEPT_FAULTS, LUMINOUS_ACCEPT_FAULTS=plan, ASAN_OPTIONS="verify_asan_link_order=0")
        d.start()
        for error in (errno.EINTR, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS,
                      errno.EPERM, errno.EPROTO, errno.ENETDOWN):
            for times in 1, 3:
                with open(plan, "w", encoding="ascii") as file:
                    file.write(f"{error} {times}")
                self.served(d)
                self.assertFalse(os.path.exists(plan), "the fault was never met")
                self.assertTrue(daemon.is_alive(d.pid))
        self.assertEqual(d.events("gate_lost"), [])

    def served(self, d):
        """Asks until it is answered: an accept that fails for want of something may cost a client its connection."""
        for _ in range(10):
            with d.connect() as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(d.request("mark").frame)
                if connection.line():
                    return
        self.fail("nobody is served any more")

    def test_A36_without_descriptors_it_refuses_and_with_some_again_it_serves(self):
        """RLIMIT_NOFILE met by the executor: connections are sent away, and with the limit lifted all are served."""
        d = self.start(attack.MARK)
        limit = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (4, limit[1]))
        with d.connect():
            d.await_journal("accept: ")
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, limit)
        self.served(d)

    def test_A36_signals_disturb_no_request(self):
        """A storm of signals while requests are served: each is answered, and the daemon ends well."""
        d = self.start(attack.MARK)
        with d.connect() as connection:
            for n in range(100):
                d.signal((signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH)[n % 4])
                if n % 20 == 0:
                    d.reload()
                self.assertCode(connection.ask(d.request("mark")), "ok")
        self.assertEqual(len(self.lines(d)), 100)

    def test_A37_without_its_folders_it_says_which_and_leaves_nothing(self):
        """The folder of log, keys or socket missing: an exit status, a line with its name, no socket, no process."""
        for missing in "log", "keys", "run":
            d = self.make(attack.MARK)
            folder = os.path.join(d.folder, missing)
            if missing == "run":
                d.write_config(d.read_config().replace(d.socket_path, os.path.join(folder, "s")))
            else:
                os.rename(folder, folder + ".gone")
            before = sorted(os.listdir(d.folder))
            status = d.spawn().wait()
            self.assertIn(status, (1, 78), d.journal())
            self.assertRegex(d.journal(), f"(?m)^.*{folder}.*$")
            self.assertNotIn("ready", d.journal())
            self.assertEqual(sorted(os.listdir(d.folder)), before)

    def test_A38_the_largest_answer_fits_a_reader_of_64_kib_and_the_action_ran_once(self):
        """Much output, all of it to be escaped: one answer within 64 KiB, and asking again runs nothing."""
        d = self.start_flood()
        request = d.request("flood")
        with d.connect() as connection:
            connection.send(request.frame)
            line = connection.line()
        self.assertLessEqual(len(line), wire.MAX_FRAME)
        answer = wire.Answer(line, request)
        self.assertIs(answer["output_truncated"], True)
        self.assertIs(d.repeat(request)["replayed"], True)
        self.assertEqual(self.lines(d), ["ran"])

    def test_A38_a_client_of_version_1_reads_it_and_falls_back_to_nothing(self):
        """Over version 1, where the reader takes 65,536 bytes in one go: a whole answer, no fallback, one execution."""
        d = self.start_flood(daemon="legacy_v1 = true")
        client = luminous_healing.PrivilegedHealingClient(d.socket_path, d.keys[d.CALLER], caller=d.CALLER, protocol=1)
        told = asyncio.run(client.execute_privileged_action("flood", {}))
        self.assertEqual(told["method"], "privileged_service")
        self.assertIsNot(told.get("fallback_required"), True)
        self.assertGreater(len(told["output"]), 10000)
        self.assertEqual(self.lines(d), ["ran"])

    def start_flood(self, **options):
        d = self.make()
        script = self.script(d, "flood", FLOOD_SCRIPT.replace("@WORK@", d.work))
        return d.configure(FLOOD.replace("@SCRIPT@", script), **options).start()


if __name__ == "__main__":
    daemon.main()
