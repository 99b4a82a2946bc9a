"""The prototype's surface, against the real daemon, over version 2 and over version 1 with the same expectations."""

import asyncio
import inspect
import os
import unittest
import unittest.mock

import support
from support import daemon

import luminous_healing as lh

CONFIG = """
[callers.tester]
key = "tester"
users = [@UID@]
actions = ["restart_service", "kill_process", "mark", "hold", "fail", "once", "flood"]
[actions.restart_service]
units = ["no-such-unit-here.service"]
[actions.kill_process]
processes = ["sleep"]
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; echo marked"]
writes = ["@WORK@"]
[actions.hold]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; exec cat @WORK@/hold"]
writes = ["@WORK@"]
[actions.fail]
command = ["/bin/false"]
[actions.once]
command = ["/bin/true"]
rate_limit = { limit = 1, window = "1h" }
[actions.flood]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; exec head -c 300000 /dev/zero"]
writes = ["@WORK@"]
[actions.other]
command = ["/bin/true"]
"""
KEYS = {"success", "output", "error", "duration_ms", "method", "request_id"}


class Surface(unittest.TestCase):
    """Names and arguments, as the prototype's users write them."""

    def test_the_client_is_made_as_before(self):
        """PrivilegedHealingClient(socket_path, secret_key), both with the defaults that they had."""
        parameters = list(inspect.signature(lh.PrivilegedHealingClient).parameters.values())
        self.assertEqual([(p.name, p.default) for p in parameters[:2]],
                         [("socket_path", "/run/luminous-healing.sock"), ("secret_key", None)])
        self.assertTrue(all(p.kind is p.KEYWORD_ONLY for p in parameters[2:]))

    def test_the_wrappers_take_what_they_took(self):
        """Each of the eight wrappers has its parameters' names and defaults."""
        expected = {"restart_service": "(service_name)", "set_cpu_governor": "(governor)", "clear_system_cache": "()",
                    "rollback_generation": "()", "kill_process": "(pid, signal='TERM')", "adjust_swappiness": "(value)",
                    "restart_network": "()", "clean_nix_store": "()",
                    "execute_privileged_action": "(action, parameters)", "is_available": "()"}
        client = lh.PrivilegedHealingClient()
        for name, signature in expected.items():
            method = getattr(client, name)
            self.assertTrue(asyncio.iscoroutinefunction(method), name)
            plain = inspect.signature(method)
            plain = plain.replace(return_annotation=plain.empty, parameters=[
                p.replace(annotation=p.empty) for p in plain.parameters.values()])
            self.assertEqual(str(plain), signature, name)

    def test_the_wrappers_ask_for_what_they_asked_for(self):
        """Action and parameters on the wire are the prototype's."""
        asked = []

        class Recording(lh.PrivilegedHealingClient):
            async def execute_privileged_action(self, action, parameters):
                asked.append((action, dict(parameters)))
                return {}

        async def ask_all(c):
            await c.restart_service("nginx")
            await c.set_cpu_governor("powersave")
            await c.clear_system_cache()
            await c.rollback_generation()
            await c.kill_process(42)
            await c.kill_process(42, "HUP")
            await c.adjust_swappiness(60)
            await c.restart_network()
            await c.clean_nix_store()

        asyncio.run(ask_all(Recording()))
        self.assertEqual(asked, [
            ("restart_service", {"service": "nginx"}), ("set_cpu_governor", {"governor": "powersave"}),
            ("clear_system_cache", {}), ("rollback_generation", {}), ("kill_process", {"pid": 42, "signal": "TERM"}),
            ("kill_process", {"pid": 42, "signal": "HUP"}), ("adjust_swappiness", {"value": 60}),
            ("restart_network", {}), ("clean_nix_store", {})])

    def test_the_functions_are_there(self):
        """The module's functions, and the one that was documented and missing."""
        for function in (lh.check_privileged_service, lh.execute_with_service, lh.get_hybrid_status,
                         lh.has_privileged_access):
            self.assertTrue(asyncio.iscoroutinefunction(function))


class Rules:
    """The same expectations for both versions."""

    version = None

    def setUp(self):
        super().setUp()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LUMINOUS_")}
        patch = unittest.mock.patch.dict(os.environ, clean, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def serve(self):
        return self.start(CONFIG, daemon="legacy_v1 = true")

    def client(self, d, socket_path=None, secret_key=None, **settings):
        return lh.PrivilegedHealingClient(socket_path or d.socket_path, secret_key or d.keys["tester"], caller="tester",
                                          protocol=self.version, **{"timeout": daemon.PATIENCE, **settings})

    def ask(self, d, action, parameters=None, **settings):
        return asyncio.run(self.client(d, **settings).execute_privileged_action(action, parameters or {}))

    def refused(self, result, error):
        self.assertEqual(set(result), KEYS)
        self.assertEqual((result["success"], result["method"]), (False, "privileged_service"))
        self.assertEqual(result["error"], error)

    def test_an_action_runs(self):
        """The six members, with the types that they had."""
        d = self.serve()
        result = self.ask(d, "mark")
        self.assertEqual(set(result), KEYS)
        self.assertEqual((result["success"], result["output"], result["error"], result["method"]),
                         (True, "marked\n", None, "privileged_service"))
        self.assertIsInstance(result["duration_ms"], int)
        (outcome,) = d.events("outcome")
        self.assertEqual(outcome["request_id"], result["request_id"])

    def test_the_wire_is_of_the_version_asked_for(self):
        """One request in the version's form, and nothing of the other."""
        d = self.serve()
        relay = self.relay(d)
        self.ask(d, "mark", socket_path=relay.path)
        (sent,) = relay.sent
        self.assertEqual((b'"signature"' in sent, b'"v":2' in sent), (self.version == 1, self.version == 2))

    def test_a_wrapper_does_what_it_says(self):
        """kill_process ends the process."""
        victim = support.subprocess.Popen(["/bin/sleep", "1000"], stdin=support.subprocess.DEVNULL)
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        result = asyncio.run(self.client(self.serve()).kill_process(victim.pid))
        self.assertTrue(result["success"], result)
        self.assertEqual(victim.wait(), -support.daemon.signal.SIGTERM)

    def test_refusals_in_the_prototype_s_words(self):
        """Invalid signature, Action X not allowed, Rate limit exceeded; none asks for a fallback."""
        d = self.serve()
        self.refused(self.ask(d, "mark", secret_key="x" * 64), "Invalid signature")
        self.refused(self.ask(d, "other"), "Action other not allowed")
        self.refused(self.ask(d, "rm_rf"), "Action rm_rf not allowed")
        self.assertTrue(self.ask(d, "once")["success"])
        self.refused(self.ask(d, "once"), "Rate limit exceeded")
        self.assertEqual(self.lines(d), [])

    def test_a_failed_action_has_an_error_and_no_fallback(self):
        """It ran: nobody may run it again in another way."""
        result = self.ask(self.serve(), "fail")
        self.assertEqual((set(result), result["success"]), (KEYS, False))
        self.assertIn("exit status 1", result["error"])

    def test_a_long_output_is_one_answer(self):
        """Output beyond a frame is cut by the daemon; the prototype's client ran the action a second time then."""
        d = self.serve()
        self.assertTrue(self.ask(d, "flood")["success"])
        self.assertEqual(self.lines(d), ["ran"])

    def test_an_unreachable_service_asks_for_a_fallback(self):
        """Nothing was sent: exactly success, error and fallback_required, in the words that there were."""
        d = self.serve()
        result = self.ask(d, "mark", socket_path=d.folder + "/none")
        self.assertEqual(result, {"success": False, "error": "Service socket not found", "fallback_required": True})
        self.assertEqual(d.stop(), 0)
        self.assertIs(self.ask(d, "mark")["fallback_required"], True)

    @daemon.needs_root
    def test_without_permission_it_asks_for_a_fallback(self):
        """A socket that may not be used says so."""
        d = self.serve()
        os.chmod(d.socket_path, 0o600)
        support.shutil.copytree(os.path.join(support.ROOT, "clients", "python", "src"), d.folder + "/src")
        program = ("import asyncio, json, luminous_healing as lh\n"
                   f"c = lh.PrivilegedHealingClient({d.socket_path!r}, 'x' * 64, protocol={self.version})\n"
                   "print(json.dumps([asyncio.run(c.is_available()), asyncio.run(c.clear_system_cache())]))")
        ran = support.subprocess.run(
            ["/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-B", "-c", program],
            env={"PYTHONPATH": d.folder + "/src"}, capture_output=True, text=True,
            check=True)
        available, result = support.daemon.json.loads(ran.stdout)
        self.assertIs(available, False)
        self.assertEqual(result, {"success": False, "error": "Permission denied to access service",
                                  "fallback_required": True})

    def test_the_environment_can_switch_the_service_off(self):
        """LUMINOUS_DEV_MODE and LUMINOUS_NO_SERVICE, unless empty or 0."""
        d = self.serve()
        for name in "LUMINOUS_DEV_MODE", "LUMINOUS_NO_SERVICE":
            for value, off in (("1", True), ("true", True), ("0", False), ("", False)):
                with self.subTest(name=name, value=value), unittest.mock.patch.dict(os.environ, {name: value}):
                    self.assertIs(asyncio.run(self.client(d).is_available()), not off)
                    if off:
                        self.assertEqual(self.ask(d, "mark"), {"success": False, "fallback_required": True,
                                                               "error": "Privileged service not available"})
        self.assertEqual(self.lines(d), [])

    def test_is_available_only_where_somebody_listens(self):
        """A socket that a dead daemon left behind is not available."""
        d = self.serve()
        self.assertIs(asyncio.run(self.client(d).is_available()), True)
        d.kill9()
        self.assertIs(asyncio.run(self.client(d).is_available()), False)

    def test_a_lost_answer_is_no_reason_to_run_it_again(self):
        """The answer is lost on the way: the same request is sent again, and the action ran once."""
        d = self.serve()
        relay = self.relay(d, lambda number, line: support.Last() if number == 1 else line)
        self.assertTrue(self.ask(d, "mark", socket_path=relay.path)["success"])
        self.assertEqual((len(relay.sent), len(set(relay.sent))), (2, 1))
        self.assertEqual(self.lines(d), ["ran"])

    def test_a_daemon_killed_in_the_middle_is_survived(self):
        """kill -9 and a new daemon: no success, no fallback, and it ran once."""
        d = self.make(CONFIG, daemon="legacy_v1 = true")
        hold = self.hold(d)
        d.start()
        result = self.in_thread(self.ask, d, "hold")
        hold.await_start()
        d.kill9()
        hold.release()
        d.start()
        self.assertIs(result()["success"], False)
        self.assertNotIn("fallback_required", result())
        self.assertEqual(self.lines(d), ["ran"])

    def test_an_answer_that_never_came_is_not_a_fallback(self):
        """Sent and not answered: it may have run, so fallback_required is False and the handler's fallback is left."""
        d = self.make(CONFIG, daemon="legacy_v1 = true")
        hold = self.hold(d)
        d.start()
        fallen = []

        async def fallback(action, parameters):
            fallen.append(action)
            return {"success": True}

        handler = lh.HybridPermissionHandler(fallback, client=self.client(d, patience=0.2))
        result = self.in_thread(lambda: asyncio.run(handler.execute_action("hold", {})))
        hold.await_start()
        d.kill9()
        self.assertIs(result()["fallback_required"], False)
        self.assertIs(result()["success"], False)
        self.assertIn(result()["request_id"], result()["error"])
        self.assertEqual(fallen, [])
        hold.release()
        d.start()
        self.assertEqual([r["request_id"] for r in d.events("interrupted")], [result()["request_id"]])

    def test_the_handler_s_fallback_runs_only_when_nothing_was_sent(self):
        """A refusal is final; an unreachable service is not."""
        d = self.serve()

        async def fallback(action, parameters):
            return {"success": True, "method": "fallback", "asked": (action, parameters)}

        handler = lh.HybridPermissionHandler(fallback, client=self.client(d))
        self.refused(asyncio.run(handler.execute_action("other", {})), "Action other not allowed")
        self.assertEqual(asyncio.run(handler.execute_action("mark", {}))["method"], "privileged_service")
        d.stop()
        self.assertEqual(asyncio.run(handler.execute_action("mark", {"a": 1})),
                         {"success": True, "method": "fallback", "asked": ("mark", {"a": 1})})

    def test_the_handler_without_arguments_as_before(self):
        """HybridPermissionHandler() and the functions find socket and key in the environment."""
        d = self.serve()
        names = {"LUMINOUS_HEALING_SOCKET": d.socket_path, "LUMINOUS_HEALING_SECRET": d.keys["tester"],
                 "LUMINOUS_HEALING_CALLER": "tester", "LUMINOUS_HEALING_PROTOCOL": str(self.version)}
        with unittest.mock.patch.dict(os.environ, names):
            self.assertTrue(asyncio.run(lh.HybridPermissionHandler().execute_action("mark", {}))["success"])
            self.assertTrue(asyncio.run(lh.execute_with_service("mark", {}))["success"])
            self.assertIs(asyncio.run(lh.check_privileged_service()), True)
            self.assertIs(asyncio.run(lh.has_privileged_access()), True)
            status = asyncio.run(lh.get_hybrid_status())
            d.stop()
            self.assertIs(asyncio.run(lh.has_privileged_access()), False)
        self.assertEqual(set(status), {"privileged_service", "socket_path", "fallback_available", "sudo_available",
                                       "passwordless_sudo", "can_execute_privileged"})
        self.assertEqual((status["privileged_service"], status["socket_path"], status["fallback_available"],
                          status["can_execute_privileged"]), (True, d.socket_path, False, True))

    def test_without_a_key_nothing_is_sent(self):
        """There is no default key: the error says how to get one, and nothing falls back."""
        d = self.serve()
        with unittest.mock.patch.dict(os.environ, {"HOME": d.folder}):
            client = lh.PrivilegedHealingClient(d.socket_path, protocol=self.version)
            result = asyncio.run(client.clear_system_cache())
        self.assertIn("healctl keygen", result["error"])
        self.assertIs(result["fallback_required"], False)
        self.assertEqual(d.events("decision"), [])


class Version2(Rules, support.ClientScenario):
    version = 2

    def test_switched_off_version_1_is_not_needed(self):
        """The prototype's surface needs no legacy_v1: its default is version 2."""
        d = self.start(CONFIG)
        client = lh.PrivilegedHealingClient(d.socket_path, d.keys["tester"], caller="tester")
        self.assertTrue(asyncio.run(client.execute_privileged_action("mark", {}))["success"])


class Version1(Rules, support.ClientScenario):
    version = 1


if __name__ == "__main__":
    daemon.main()
