"""exile-veil.so: by itself, and worn by the real CRIU in a dump that the guard runs."""
import ctypes
import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

from support import CRIU, SHIM, kill, needs_root, until
from test_cell import CellCase
from test_criu import BOTH, DUMP
from test_freeze import FreezeCase

VEIL = os.path.join(os.path.dirname(SHIM), "exile-veil.so")
HERE = os.path.dirname(os.path.abspath(__file__))
UFFDIO_COPY = 0xC028AA03
PAGE = 4096


def private_areas(pid):
    """Anonymous, private and writable: what CRIU makes lazy."""
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            fields = line.split()
            name = fields[5] if len(fields) > 5 else ""
            if fields[1] == "rw-p" and fields[4] == "0" and name in ("", "[heap]", "[stack]"):
                yield [int(end, 16) for end in fields[0].split("-")]


class VeilTest(FreezeCase):
    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.folder, "veil")
        self.environment = {**os.environ, "LD_PRELOAD": VEIL, "EXILE_VEIL": self.file}

    def test_scans_and_reads_find_all_but_what_is_hidden(self):
        for seed in range(8):
            for whole in ([], ["whole"]):
                with self.subTest(seed, whole=whole):
                    subprocess.run([sys.executable, f"{HERE}/veiled.py", str(seed), "40"] + whole,
                                   env=self.environment, check=True)

    def test_a_file_that_is_not_as_it_should_be_hides_nothing(self):
        start, end = next(range for range in private_areas(self.counter.pid) if self.first_entry(range[0]))
        good = f"{self.counter.pid} {start:x} {end:x}\n"
        self.assertEqual(0, self.seen(good, start))
        for text in (None, "", "\n", good + "\n", good + good, good[:-1], good + "1 1000\n", good + "1 1000 1000\n",
                     good + "1 1001 3000\n", good + "1 3000 5000\n1 4000 6000\n", good + f"1 1000 2000\n{good}",
                     good + "x 1000 2000\n", good + "1 0x1000 2000\n", good + "1 1000 A000\n",
                     good + "1 1000 2000 3\n", good + "-1 1000 2000\n", good + f"1 1000 {'f' * 17}000\n"):
            with self.subTest(text):
                self.assertNotEqual(0, self.seen(text, start))

    def first_entry(self, address):
        with open(f"/proc/{self.counter.pid}/pagemap", "rb") as f:
            return int.from_bytes(os.pread(f.fileno(), 8, address // 512), "little")

    def seen(self, text, address):
        """The entry of pagemap that a program with the veil on reads."""
        if text is None:
            os.unlink(self.file)
        else:
            with open(self.file, "w") as f:
                f.write(text)
        done = subprocess.run(
            [sys.executable, "-c", "import os, sys\nwith open(f'/proc/{sys.argv[1]}/pagemap', 'rb') as f:\n"
             "    print(int.from_bytes(os.pread(f.fileno(), 8, int(sys.argv[2]) // 512), 'little'))",
             str(self.counter.pid), str(address)], env=self.environment, capture_output=True, text=True, check=True)
        return int(done.stdout)

    def test_it_needs_errno_and_the_environment_and_no_more(self):
        try:
            done = subprocess.run(["nm", "-D", VEIL], capture_output=True, text=True, check=True)
        except FileNotFoundError:
            self.skipTest("needs nm")
        needed = [line.split()[-1] for line in done.stdout.splitlines() if line.split()[-2] in "Uw"]
        self.assertEqual(["__errno_location", "environ"], sorted(needed))

    def test_the_guard_puts_it_on_criu_alone(self):
        told = os.path.join(self.folder, "told")
        guard = self.guard("sh", "-c", f"echo $LD_PRELOAD $EXILE_VEIL >> {told}", extra=["--veil", self.file])
        guard.ask("freeze")
        for _ in range(2):
            self.assertEqual("dumped 0", guard.ask("dump"))
        with open(told) as f:
            self.assertEqual(f"{VEIL} {self.file}\n" * 2, f.read())
        with open(f"/proc/{guard.worker()}/environ") as f:
            self.assertNotIn("EXILE_VEIL", f.read())


class Pages(threading.Thread):
    """Stands in for CRIU's lazy-pages daemon: each first touch gets the page of the process at home."""

    def __init__(self, images, home):
        super().__init__(daemon=True)
        self.memory = open(f"/proc/{home}/mem", "rb", buffering=0)
        self.listener = socket.socket(socket.AF_UNIX)
        here = os.open(".", os.O_RDONLY)
        os.chdir(images)
        self.listener.bind("lazy-pages.socket")
        os.chdir(here)
        os.close(here)
        self.listener.listen()
        self.pids, self.served, self.finished, self.error = [], 0, False, None

    def run(self):
        libc = ctypes.CDLL(None, use_errno=True)
        criu, _ = self.listener.accept()
        sources, uffd = [criu], -1
        while sources:
            for source in select.select(sources, [], [])[0]:
                if source is criu:
                    word = criu.recv(4)
                    number = int.from_bytes(word, "little")
                    self.finished |= number == 0x52535446
                    if not word:
                        sources.remove(criu)
                    elif not self.finished:
                        self.pids.append(number)
                        uffd = socket.recv_fds(criu, 1, 1)[1][0]
                        sources.append(uffd)
                    continue
                try:
                    event = os.read(uffd, 32)
                except BlockingIOError:
                    continue
                if not event:
                    sources.remove(uffd)
                elif event[0] == 0x12:
                    address = struct.unpack_from("=Q", event, 16)[0] & -PAGE
                    page = ctypes.create_string_buffer(os.pread(self.memory.fileno(), PAGE, address), PAGE)
                    copy = struct.pack("=QQQQq", address, ctypes.addressof(page), PAGE, 0, 0)
                    try:
                        fcntl.ioctl(uffd, UFFDIO_COPY, copy)
                        self.served += 1
                    except OSError as e:
                        # Two threads touched it, or it is gone.
                        self.error = self.error or (e.errno not in (17, 2, 3, 11) and e)


@needs_root
@unittest.skipUnless(CRIU, "needs criu")
class VeiledDumpTest(FreezeCase, CellCase):
    def megabytes(self):
        return 64

    def setUp(self):
        super().setUp()
        self.images = os.path.join(self.folder, "images")
        self.file = os.path.join(self.folder, "veil")
        os.mkdir(self.images)

    def hide(self):
        areas = list(private_areas(self.counter.pid))
        with open(self.file, "w") as f:
            f.writelines(f"{self.counter.pid} {start:x} {end:x}\n" for start, end in areas)
        self.assertGreater(sum(end - start for start, end in areas), 64 << 20)

    def dump(self):
        guard = self.guard(CRIU, "dump", "-t", str(self.counter.pid), "-D", self.images, "-o", "dump.log",
                           "--freeze-cgroup", self.cgroup, "--leave-running", *DUMP, extra=["--veil", self.file])
        self.assertRegex(guard.ask("freeze"), "^frozen")
        self.hide()
        self.assertEqual("dumped 0", guard.ask("dump"), self.log("dump.log"))
        return guard

    def log(self, name):
        try:
            with open(os.path.join(self.images, name), errors="replace") as f:
                return f.read()[-3000:]
        except OSError:
            return ""

    def size(self):
        return sum(os.path.getsize(os.path.join(self.images, name)) for name in os.listdir(self.images)
                   if name.endswith(".img"))

    def test_criu_dumps_no_page_that_is_hidden(self):
        guard = self.dump()
        self.assertLess(self.size(), 4 << 20)
        self.assertEqual("thawed", guard.ask("thaw"))
        self.assert_home()

    def test_without_the_veil_criu_dumps_all(self):
        os.symlink("/no/such/file", self.file + "-away")
        self.file, away = self.file + "-away", self.file
        guard = self.guard(CRIU, "dump", "-t", str(self.counter.pid), "-D", self.images, "-o", "dump.log",
                           "--freeze-cgroup", self.cgroup, "--leave-running", *DUMP, extra=["--veil", self.file])
        guard.ask("freeze")
        self.assertEqual("dumped 0", guard.ask("dump"), self.log("dump.log"))
        self.assertGreater(self.size(), 64 << 20)
        self.file = away
        self.assertEqual("thawed", guard.ask("thaw"))
        self.assert_home()

    def test_what_was_hidden_is_asked_for_at_its_first_touch(self):
        agent = self.agent()
        self.dump()
        pages = Pages(self.images, self.counter.pid)
        pages.start()
        before = self.counter.value()
        self.cell([CRIU, "restore", "-d", "-D", self.images, "-o", "restore.log", "--action-script",
                   os.environ["EXILE_SHIM"], "--lazy-pages", *BOTH],
                  root=self.counter.pid, first=self.counter.pid + 1000)
        self.assertTrue(agent.saw("resumed m1"), self.log("restore.log"))
        self.assertTrue(self.counter.runs(), f"{pages.served} pages served, {pages.error}")
        self.assertGreater(self.counter.value(), before)
        self.assertEqual(1, len(pages.pids))
        self.assertTrue(until(lambda: pages.finished))
        self.assertGreater(pages.served, 10)
        self.assertFalse(pages.error)
        kill(self.init)


if __name__ == "__main__":
    unittest.main()
