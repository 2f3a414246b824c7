"""Job pager with the real CRIU: it restores a process without its memory, which the pager brings."""
import os
import unittest

import test_veil
from pagers import Pager, Store
from support import CRIU, kill, needs_root, until
from test_cell import CellCase, in_namespace_of
from test_criu import BOTH, DUMP
from test_freeze import FreezeCase

MB = 1 << 20


@needs_root
@unittest.skipUnless(CRIU, "needs criu")
class PagerCriuTest(FreezeCase, CellCase):
    def megabytes(self):
        return 64

    def setUp(self):
        super().setUp()
        # Longer than a socket's address may be.
        self.images = os.path.join(self.folder, "i" * 120)
        self.veil = os.path.join(self.folder, "veil")
        os.mkdir(self.images)
        self.pager = Pager(self.folder)
        self.addCleanup(self.pager.close)

    def dump(self):
        """Its guard, frozen and dumped without the pages of these areas."""
        guard = self.guard(CRIU, "dump", "-t", str(self.counter.pid), "-D", self.images, "-o", "dump.log",
                           "--freeze-cgroup", self.cgroup, "--leave-running", *DUMP, extra=["--veil", self.veil])
        guard.ask("freeze")
        areas = [tuple(area) for area in test_veil.private_areas(self.counter.pid)]
        with open(self.veil, "w") as f:
            f.writelines(f"{self.counter.pid} {start:x} {end:x}\n" for start, end in areas)
        self.assertEqual("dumped 0", guard.ask("dump"), self.log("dump.log"))
        return guard, areas

    def log(self, name):
        with open(os.path.join(self.images, name), errors="replace") as f:
            return f.read()[-3000:]

    def restored(self):
        for pid in in_namespace_of(self.init):
            with open(f"/proc/{pid}/status") as f:
                if next(line for line in f if line.startswith("NSpid:")).split()[-1] == str(self.counter.pid):
                    return pid
        return self.fail("not in the cell")

    @staticmethod
    def read(pid, start, end):
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
            f.seek(start)
            return f.read(end - start)

    def store(self, areas, missing):
        store = Store(areas, missing, write=False)
        self.addCleanup(store.remove)
        for start, end in areas:
            self.copy(store, start, end, missing)
        return store

    def copy(self, store, start, end, without=()):
        with open(store.path, "r+b", buffering=0) as f:
            for at in range(start, end, MB):
                data = self.read(self.counter.pid, at, min(at + MB, end))
                for i in range(0, len(data), 4096):
                    if data[i:i + 4096].strip(b"\0") and not any(a <= at + i < b for a, b in without):
                        os.pwrite(f.fileno(), data[i:i + 4096], at + i)

    def test_a_restored_process_gets_its_memory_as_it_touches_it_and_then_all(self):
        cell = self.agent()
        guard, areas = self.dump()
        ballast = max(areas, key=lambda area: area[1] - area[0])
        gap = (ballast[0] + 8 * MB, ballast[0] + 24 * MB)
        store = self.store(areas, [gap])
        vpid = self.counter.pid
        agent = self.pager.connect()
        self.addCleanup(agent.close)
        agent.follow()
        self.assertEqual(f"process {vpid}", agent.ask(f"process {vpid} {store.path} {store.plan}"))
        self.assertEqual("listening", agent.ask(f"listen {self.images}"))
        before = self.counter.value()
        self.cell([CRIU, "restore", "-d", "-D", self.images, "-o", "restore.log", "--action-script",
                   os.environ["EXILE_SHIM"], "--lazy-pages", *BOTH], root=vpid, first=vpid + 1000)
        self.assertTrue(cell.saw("resumed m1"), self.log("restore.log"))
        self.assertEqual("resumed", agent.await_event("resumed"))
        self.assertTrue(self.counter.runs())
        self.assertGreater(self.counter.value(), before)
        self.assertTrue(until(lambda: agent.status(vpid)["here"] == 0))
        self.assertEqual({"missing": 4096, "waiting": 0}.items(),
                         {k: agent.status(vpid)[k] for k in ("missing", "waiting")}.items())
        self.copy(store, *gap)
        agent.say(f"here {vpid} {gap[0]:x} {gap[1]:x}")
        agent.await_event(f"finished {vpid}")
        print(f"{agent.status(vpid)['faults']} touches ", end="", flush=True)
        self.assertEqual(self.read(vpid, *ballast), self.read(self.restored(), *ballast))
        self.assertTrue(self.counter.runs())
        kill(self.init)
        self.assertEqual("thawed", guard.ask("thaw"))
