"""What the clients' tests share: the clients, and a relay that stands between one of them and the real daemon."""

import asyncio
import logging
import os
import select
import shutil
import socket
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", "scenario"), os.path.join(ROOT, "clients", "python", "src")]

import daemon  # noqa: E402
import wire  # noqa: E402
import luminous_healing  # noqa: E402

logging.disable(logging.CRITICAL)  # what clients log is not what is looked at here
HEAL_SH = os.path.join(ROOT, "examples", "heal.sh")
HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
PATIENCE = 20.0  # seconds that a client waits for a daemon to be back; only a test that fails takes them


class Last(bytes):
    """What a relay sends before it hangs up."""


class Relay:
    """Passes bytes between clients and the daemon, and keeps what the clients sent. `change` is called with the number
    of the connection and each line from the daemon; it returns what the client gets instead, as Last to hang up after
    it. A version 1 answer has no newline; it is passed on as it came."""

    def __init__(self, folder, upstream, change=None):
        self.path, self._upstream = os.path.join(folder, "relay"), upstream
        self._change = change or (lambda number, line: line)
        self.sent = []  # by connection
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self):
        os.close(self._ended)
        self._thread.join()
        self._listener.close()
        os.close(self._end)

    def _run(self):
        while True:
            ready, _, _ = select.select([self._listener, self._end], [], [])
            if self._end in ready:
                return
            client, _ = self._listener.accept()
            with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
                self.sent.append(b"")
                try:
                    server.connect(self._upstream)
                    self._pass(client, server)
                except OSError:  # one of the two is gone; then both shall be
                    pass

    def _pass(self, client, server):
        answers = b""
        while True:
            ready, _, _ = select.select([client, server, self._end], [], [])
            if self._end in ready:
                return
            if client in ready:
                data = client.recv(65536)
                if not data:
                    return
                self.sent[-1] += data
                server.sendall(data)
            if server in ready:
                data = server.recv(65536)
                answers += data
                while b"\n" in answers or (answers and not data):
                    line, newline, answers = answers.partition(b"\n")
                    changed = self._change(len(self.sent), line + newline)
                    client.sendall(changed)
                    if isinstance(changed, Last):
                        return
                if not data:
                    return


class Asyncio:
    """An AsyncHealingClient with the words of a HealingClient, so that one test holds both to the same rules."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        found = getattr(self.client, name)
        if asyncio.iscoroutinefunction(found):
            return lambda *args, **kwargs: asyncio.run(found(*args, **kwargs))
        return found

    def with_options(self, **options):
        return Asyncio(self.client.with_options(**options))

    def stream(self, action, /, **parameters):
        async def drain():
            progress = self.client.stream(action, **parameters)
            events = [event async for event in progress]
            return events, await progress.result()

        return asyncio.run(drain())


class Blocking(luminous_healing.HealingClient):
    def stream(self, action, /, **parameters):
        progress = super().stream(action, **parameters)
        return list(progress), progress.result()


class ClientScenario(daemon.Scenario):
    def relay(self, d, change=None):
        relay = Relay(d.folder, d.socket_path, change)
        self.addCleanup(relay.close)
        return relay

    def settings(self, d, **settings):
        return {"socket_path": d.socket_path, "caller": d.CALLER, "key": d.keys[d.CALLER], "timeout": daemon.PATIENCE,
                "patience": PATIENCE, **settings}

    def blocking(self, d, **settings):
        return Blocking(**self.settings(d, **settings))

    def asyncio(self, d, **settings):
        return Asyncio(luminous_healing.AsyncHealingClient(**self.settings(d, **settings)))

    def in_thread(self, function, *args, **kwargs):
        """Runs it beside the test; call what is returned to wait for it and get its result or exception."""
        outcome = []

        def run():
            try:
                outcome.append((function(*args, **kwargs), None))
            except Exception as error:  # handed to the test
                outcome.append((None, error))

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)

        def result():
            thread.join()
            value, error = outcome[0]
            if error is not None:
                raise error
            return value

        return result

    def environment(self, d, socket_path=None, **more):
        return {"PATH": os.environ["PATH"], "HOME": d.folder, "LANG": "C.UTF-8",
                "LUMINOUS_HEALING_SOCKET": socket_path or d.socket_path, **more}

    def key_file(self, d, caller=None):
        return os.path.join(d.key_folder, caller or d.CALLER)

    def run_program(self, *command, env, stdin=""):
        return subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, timeout=daemon.PATIENCE,
                              check=False)

    def heal_sh(self, d, action, parameters="{}", socket_path=None, **env):
        return self.run_program(HEAL_SH, d.CALLER, self.key_file(d), action, parameters,
                                env=self.environment(d, socket_path, **env))

    def healctl(self, d, *arguments, socket_path=None, **env):
        return self.run_program(HEALCTL, "--caller", d.CALLER, "--key-file", self.key_file(d), *arguments,
                                env=self.environment(d, socket_path, **env))
