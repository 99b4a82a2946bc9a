"""A daemon whose clocks and boots a test sets, through a preloaded library (tests/support/set_clocks). Nobody waits."""

import os

import daemon
import wire

PRELOAD = os.path.join(daemon.BUILD, "tests", "support", "libset_clocks.so")


class SetClocks(daemon.Scenario):
    def start_with_clocks(self, text):
        """The daemon of which the other methods speak, self.d."""
        if daemon.SANITIZED:
            self.skipTest("a preloaded clock is asked by the sanitizer's runtime before either is ready")
        self.d = d = self.make(text)
        self.wall = self.boot = 0
        self.boots = 0
        self.clocks, self.boot_id = os.path.join(d.folder, "clocks"), os.path.join(d.folder, "boot_id")
        d.env.update(LD_PRELOAD=PRELOAD, LUMINOUS_CLOCKS=self.clocks, LUMINOUS_BOOT_ID=self.boot_id,
                     ASAN_OPTIONS="verify_asan_link_order=0")
        with open("/proc/uptime", encoding="ascii") as file:
            self.uptime = int(float(file.read().split()[0]))
        self.set_clocks()
        self.new_boot_id()
        d.start()
        if d.events("start")[0]["boot_id"] != "boot-1":
            self.skipTest("the daemon was built so that its calls cannot be replaced")

    def set_clocks(self, wall=0, boot=0):
        """Moves the clocks by so many seconds."""
        self.wall += wall
        self.boot += boot
        with open(self.clocks + ".new", "w", encoding="ascii") as file:
            file.write(f"{self.wall} {self.boot}\n")
        os.rename(self.clocks + ".new", self.clocks)

    def pass_time(self, seconds):
        """As when the machine was suspended: both clocks have gone on."""
        self.set_clocks(seconds, seconds)

    def new_boot_id(self):
        self.boots += 1
        with open(self.boot_id, "w", encoding="ascii") as file:
            file.write(f"boot-{self.boots}\n")

    def restart(self, orderly=False):
        if orderly:
            self.assertEqual(self.d.stop(), 0)
        else:
            self.d.kill9()
        self.d.start()

    def reboot(self, off=0, orderly=False):
        """The boot clock begins anew; the wall clock goes on."""
        if orderly:
            self.assertEqual(self.d.stop(), 0)
        else:
            self.d.kill9()
        self.set_clocks(off)
        self.boot = 60 - self.uptime
        self.set_clocks()
        self.new_boot_id()
        self.d.start()

    def timestamp(self):
        """Now, as the daemon sees it."""
        return wire.timestamp(self.wall)
