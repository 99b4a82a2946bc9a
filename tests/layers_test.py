#!/usr/bin/env python3
"""layers.py must find each kind of breach, at its line: a checker that finds nothing proves nothing."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LAYERS = Path(__file__).with_name("layers.py")
CLEAN = {
    "base/text.h": "#pragma once\n#include <string>\n",
    "policy/decide.h": '#include "base/text.h"\n',
    "actions/row.h": '#include "policy/decide.h"\n',
    "audit/log.h": '#include "base/text.h"\n',
    "executor/main.cpp": '#include "actions/row.h"\n#include "audit/log.h"\n#include <spdlog/spdlog.h>\n',
    "clients/cpp/client.h": '#include "base/text.h"\n',
    "protocol/mac.cpp": "#include <openssl/evp.h>\n",
}


def check(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**CLEAN, **files}.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, str(LAYERS), folder], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class Layers(unittest.TestCase):
    def assert_breach(self, place, word, files):
        code, output = check(files)
        self.assertEqual(code, 1, output)
        self.assertIn(place, output)
        self.assertIn(word, output)
        self.assertEqual(len(output.splitlines()), 1, output)

    def test_a_clean_tree_passes(self):
        self.assertEqual(check({}), (0, ""))

    def test_an_include_of_a_higher_folder_is_found(self):
        wrong = "#pragma once\n\n#include \"actions/row.h\"\n"
        self.assert_breach("policy/x.h:3:", "policy/ may not include actions/", {"policy/x.h": wrong})
        self.assert_breach("base/x.h:1:", "base/ may not include", {"base/x.h": '#include "policy/decide.h"\n'})

    def test_actions_and_audit_are_strangers(self):
        self.assert_breach("audit/x.h:1:", "audit/ may not", {"audit/x.h": '#include "actions/row.h"\n'})
        self.assert_breach("actions/x.h:1:", "actions/ may not", {"actions/x.h": '#include "audit/log.h"\n'})

    def test_the_client_library_sees_the_wire_alone(self):
        self.assert_breach("clients/cpp/x.h:1:", "may not", {"clients/cpp/x.h": '#include "policy/decide.h"\n'})

    def test_angle_brackets_and_relative_paths_hide_nothing(self):
        self.assert_breach("base/x.h:1:", "may not", {"base/x.h": "#include <policy/decide.h>\n"})
        self.assert_breach("base/x.h:1:", "may not", {"base/x.h": '  #  include "../policy/decide.h"\n'})
        self.assert_breach("base/x.h:1:", "in no layer",
                           {"base/x.h": '#include "tests/help.h"\n', "tests/help.h": "\n"})

    def test_a_library_outside_its_fence_is_found(self):
        for header in ("simdjson.h", "rapidjson/writer.h", "openssl/hmac.h", "toml++/toml.h", "sys/capability.h",
                       "systemd/sd-bus.h", "spdlog/spdlog.h", "CLI/CLI.hpp", "doctest/doctest.h", "pthread.h", "thread"):
            with self.subTest(header):
                self.assert_breach("policy/x.cpp:1:", "stays in", {"policy/x.cpp": f"#include <{header}>\n"})
        self.assert_breach("protocol/x.cpp:1:", "OpenSSL stays", {"protocol/x.cpp": "#include <openssl/evp.h>\n"})

    def test_a_circle_is_found(self):
        files = {"policy/a.h": '#include "policy/b.h"\n', "policy/b.h": '#include "policy/c.h"\n',
                 "policy/c.h": '\n#include "policy/a.h"\n'}
        self.assert_breach("policy/c.h:2:", "circular", files)
        self.assert_breach("policy/a.h:1:", "circular", {"policy/a.h": '#include "policy/a.h"\n'})

    def test_a_file_that_is_too_long_is_found(self):
        self.assertEqual(check({"base/x.cpp": "\n" * 500})[0], 0)
        self.assert_breach("base/x.cpp:501:", "501 lines", {"base/x.cpp": "\n" * 501})

    def test_a_missing_header_is_found(self):
        self.assert_breach("base/x.cpp:1:", "no file of ours", {"base/x.cpp": '#include "base/gone.h"\n'})

    def test_an_include_in_a_comment_is_none(self):
        self.assertEqual(check({"base/x.h": '/* as in\n#include "policy/decide.h"\n*/\n// #include "audit/log.h"\n'})[0], 0)

    def test_an_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(subprocess.run([sys.executable, str(LAYERS), folder], capture_output=True,
                                            check=False).returncode, 1)


if __name__ == "__main__":
    unittest.main()
