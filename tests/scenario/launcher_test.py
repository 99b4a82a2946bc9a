"""The launcher by itself: whoever starts it, it becomes nothing that its orders and its fence do not agree on."""

import os
import socket
import struct
import subprocess

import daemon

LAUNCHER = os.path.join(daemon.BUILD, "executor", "luminous-healing-launcher")
GAVE_UP = 125
PIPE, FENCE = 2, 4  # worker_side.h


def text(value):
    return struct.pack("=I", len(value)) + value


def number(value, kind="I"):
    return struct.pack("=" + kind, value)


def instructions(*code):
    return number(len(code)) + b"".join(struct.pack("=HBBI", *each) for each in code)


ALLOW_ALL = instructions((0x06, 0, 0, 0x7FFF0000))  # BPF_RET | BPF_K, SECCOMP_RET_ALLOW


class Launcher(daemon.Scenario):
    def setUp(self):
        super().setUp()
        shown = subprocess.run([daemon.BINARY, "--version"], capture_output=True, check=True).stdout
        self.version = text(shown.split()[1])

    def launch(self, *argv, confined):
        who = number(os.getpid(), "i") + number(os.geteuid()) + number(os.getegid()) + number(0)
        return self.version + who + number(0, "Q") + number(confined, "b") + number(len(argv)) + b"".join(map(text, argv))

    def told(self, *letters, go=True):
        """What it reports when it is told this, what it writes, and its exit status."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        report, output = os.pipe(), os.pipe()

        def arrange():
            os.dup2(report[1], 103)
            os.dup2(its.fileno(), 104)
            os.dup2(103, 3)
            os.dup2(104, 4)

        process = subprocess.Popen([LAUNCHER], preexec_fn=arrange, close_fds=False, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        its.close()
        os.close(report[1])
        for flags, letter in letters:
            socket.send_fds(ours, [bytes([flags]) + letter], [output[1]] if flags & PIPE else [])
        os.close(output[1])
        if go:
            ours.send(number(0, "q"))
        ours.shutdown(socket.SHUT_WR)
        with open(report[0], "rb") as said, open(output[0], "rb") as written:
            said, written = said.read(), written.read()
        status = process.wait()
        ours.close()
        return said, written, status

    def test_it_executes_what_it_is_told(self):
        """Orders of the tests' own work, fenced in and not: what the others are refused for is not their form."""
        orders = (PIPE, self.launch(b"/bin/echo", b"hello", confined=True))
        self.assertEqual(self.told((FENCE, self.version + ALLOW_ALL), orders), (b"", b"hello\n", 0))
        free = (PIPE, self.launch(b"/bin/echo", b"hello", confined=False))
        self.assertEqual(self.told(free), (b"", b"hello\n", 0))

    def test_orders_and_fence_must_agree(self):
        """Confined without a fence, not confined within one, or fenced in and then fenced in again: nothing runs."""
        fence = (FENCE, self.version + ALLOW_ALL)
        confined = (PIPE, self.launch(b"/bin/echo", b"hello", confined=True))
        for letters in ([confined], [fence, (PIPE, self.launch(b"/bin/echo", b"hello", confined=False))],
                        [fence, fence, confined]):
            said, written, status = self.told(*letters)
            self.assertEqual((written, status), (b"", GAVE_UP), letters)
            self.assertNotEqual(said, b"")

    def test_a_broken_fence_is_none(self):
        """A filter that is empty, cut off, of another version, or that the kernel refuses."""
        confined = (PIPE, self.launch(b"/bin/echo", b"hello", confined=True))
        for fence in (self.version + instructions(), self.version + ALLOW_ALL[:-1], text(b"0") + ALLOW_ALL,
                      self.version + instructions((0xFFFF, 0, 0, 0))):
            said, written, status = self.told((FENCE, fence), confined)
            self.assertEqual((written, status), (b"", GAVE_UP), fence)
            self.assertNotEqual(said, b"")

    def test_it_does_nothing_without_orders_and_without_the_word(self):
        """Its executor is gone before the orders, after the fence, or after the orders."""
        fence = (FENCE, self.version + ALLOW_ALL)
        orders = (PIPE, self.launch(b"/bin/echo", b"hello", confined=True))
        for letters in ([], [fence], [fence, orders]):
            self.assertEqual(self.told(*letters, go=False), (b"", b"", GAVE_UP), letters)

    def test_started_by_hand_it_says_what_it_is(self):
        """From a shell, without its descriptors."""
        done = subprocess.run([LAUNCHER], capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertIn(b"is started by luminous-healingd", done.stderr)


if __name__ == "__main__":
    daemon.main()
