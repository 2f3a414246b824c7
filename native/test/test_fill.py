"""Job fill: a store's data into a process that does not run, whatever its mappings allow."""
import os
import re
import signal
import subprocess

from pagers import BASE, PAGE, Paged, Store
from support import Case, SHIM, kill, needs_root

MB = 1 << 20
AREAS = [(BASE, BASE + 64 * MB), (BASE + (1 << 32), BASE + (1 << 32) + 4 * MB)]


@needs_root
class FillTest(Case):
    def setUp(self):
        super().setUp()
        self.store = Store(AREAS)
        self.addCleanup(self.store.remove)
        self.paged = Paged("-", 7, AREAS)
        self.addCleanup(self.paged.end)

    def fill(self):
        return subprocess.run([SHIM, "fill", str(self.paged.pid), self.store.path, self.store.plan],
                              capture_output=True, text=True)

    def test_all_of_it_is_there_afterwards_also_where_nothing_may_be_written(self):
        for i, protection in enumerate((0, 1, 5)):
            self.paged.do("protect", BASE + (3 * i + 1) * MB, MB, protection)
        size = self.store.bytes()
        os.kill(self.paged.pid, signal.SIGSTOP)
        said = self.fill()
        os.kill(self.paged.pid, signal.SIGCONT)
        self.assertEqual(0, said.returncode, said)
        count, micros = map(int, re.fullmatch(r"filled (\d+) (\d+)\n", said.stdout).groups())
        print(f"{count / micros / 1000:.2f} GB/s ", end="", flush=True)
        self.assertEqual((size, 0), (count, self.store.bytes()))
        self.paged.do("protect", BASE + MB, MB, 1)
        for start, end in AREAS:
            self.assertEqual("good", self.paged.do("check", start, end - start, start))

    def test_what_goes_wrong_is_told_in_one_line(self):
        with open(self.store.plan, "a") as f:
            f.write(f"missing {BASE:x} {BASE + PAGE:x}\n")
        self.assert_fails("No data")
        with open(self.store.plan, "w") as f:
            f.write(f"area {BASE:x} {BASE + PAGE:x}\n")
        os.truncate(self.store.path, BASE)
        self.assert_fails("No data")
        with open(self.store.plan, "w") as f:
            f.write(f"area {BASE - 2 * MB:x} {BASE:x}\n")
        self.store.write(BASE - 2 * MB, BASE)
        self.assert_fails("Input/output error")  # there is no such mapping
        kill(self.paged.pid)
        self.paged.process.wait()
        self.assert_fails("No such file")

    def assert_fails(self, why):
        said = self.fill()
        self.assertEqual(1, said.returncode, said)
        self.assertRegex(said.stdout, f"^error [^\n]*{why}[^\n]*\n$")
