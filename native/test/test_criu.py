"""Freeze, cell and hook together with the real CRIU."""
import os
import time
import unittest

from support import CRIU, kill, needs_root, until
from test_cell import CellCase, in_namespace_of
from test_freeze import FreezeCase

REPEAT = int(os.environ.get("EXILE_TEST_REPEAT", "1"))
# Without --manage-cgroups=ignore the restored process joins the cgroup that it was dumped in: the frozen one.
BOTH = ["--tcp-close", "--manage-cgroups=ignore", "-v4"]
DUMP = BOTH + ["--network-lock", "skip", "--skip-in-flight"]


@needs_root
@unittest.skipUnless(CRIU, "needs criu")
class CriuTest(FreezeCase, CellCase):
    def megabytes(self):
        return 32

    def setUp(self):
        super().setUp()
        self.images = os.path.join(self.folder, "images")
        os.mkdir(self.images)

    def dumper(self):
        return self.guard(CRIU, "dump", "-t", str(self.counter.pid), "-D", self.images, "-o", "dump.log",
                          "--freeze-cgroup", self.cgroup, "--leave-running", *DUMP)

    def log(self, name="dump.log"):
        try:
            with open(os.path.join(self.images, name), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def restore(self):
        return self.cell([CRIU, "restore", "-d", "-D", self.images, "-o", "restore.log", "--action-script",
                          os.environ["EXILE_SHIM"], *BOTH],
                         root=self.counter.pid, first=self.counter.pid + 1000)

    def dump(self):
        guard = self.dumper()
        self.assertRegex(guard.ask("freeze"), "^frozen")
        self.assertEqual("dumped 0", guard.ask("dump"), self.log()[-2000:])
        self.assertTrue(self.counter.stands())
        return guard

    def test_a_process_moves_into_the_cell_under_its_pid(self):
        agent = self.agent(pre_resume="wait")
        guard = self.dump()
        self.restore()
        self.assertTrue(agent.saw("pre-resume m1"), self.log("restore.log")[-2000:])
        self.assertTrue(self.counter.stands())
        agent.answers["pre-resume"] = "resume"
        agent.open[0].sendall(b"resume\n")
        self.assertTrue(agent.saw("resumed m1"))
        self.assertTrue(self.counter.runs())
        inside = self.members(self.counter.pid)
        self.assertEqual(1, len(inside))
        kill(inside[0], 15)
        self.assertTrue(agent.saw(f"exited m1 {self.counter.pid} 15"))
        self.assert_gone()
        self.assertEqual("thawed", guard.ask("thaw"))
        self.assert_home()

    def members(self, inner_pid):
        """Who has that pid in our cell; as the host sees it."""
        found = []
        for pid in in_namespace_of(self.init):
            with open(f"/proc/{pid}/status") as f:
                fields = next(line for line in f if line.startswith("NSpid:")).split()
            if int(fields[-1]) == inner_pid:
                found.append(pid)
        return found

    def test_after_abort_it_runs_at_home_only(self):
        agent = self.agent(pre_resume="abort")
        guard = self.dump()
        self.restore()
        self.assertTrue(agent.saw("failed m1 signal 9"), agent.lines)
        self.assert_gone()
        self.assertTrue(self.counter.stands())
        self.assertEqual("thawed", guard.ask("thaw"))
        self.assert_home()

    def test_a_killed_hook_resumes_nothing(self):
        agent = self.agent(pre_resume="wait")
        guard = self.dump()
        self.restore()
        self.assertTrue(agent.saw("pre-resume m1"))
        for pid in in_namespace_of(self.init):
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read() == os.environ["EXILE_SHIM"].encode() + b"\0":
                    kill(pid)
        self.assertTrue(agent.saw("failed m1 signal 9"), agent.lines)
        self.assertTrue(self.counter.stands())
        guard.ask("thaw")
        self.assert_home()

    def test_a_killed_criu_in_the_restore_is_a_failure(self):
        agent = self.agent(pre_resume="wait")
        guard = self.dump()
        self.restore()
        self.assertTrue(agent.saw("pre-resume m1"))
        for pid in self.members(self.counter.pid + 1000):
            kill(pid)
        self.assertTrue(agent.saw("failed m1 signal 9"), agent.lines)
        self.assert_gone()
        self.assertTrue(self.counter.stands())
        guard.ask("thaw")
        self.assert_home()

    def interrupt(self, how, delay):
        """Starts a dump, does `how` after a while, and wants the counter back at home, unharmed."""
        guard = self.dumper()
        guard.ask("freeze")
        guard.say("dump")
        time.sleep(delay)
        how(guard)
        self.assertTrue(until(lambda: not os.path.exists(self.cgroup), 35), self.log()[-1500:])
        self.assert_home()
        with open(f"/proc/{self.counter.pid}/maps") as f:
            self.assertNotIn("CRIUMFD", f.read())
        os.mkdir(self.cgroup)
        self.move(self.cgroup)
        return guard

    def cancel(self, guard):
        guard.say("cancel")
        self.results.append(guard.hear())
        self.assertEqual("thawed", guard.ask("thaw"))

    def test_no_end_of_the_guard_or_agent_in_a_dump_harms_the_process(self):
        self.results = []
        ends = {"cancel": self.cancel, "agent": lambda g: g.process.stdin.close(),
                "worker": lambda g: kill(g.worker()), "keeper": lambda g: kill(g.pid)}
        for round_ in range(REPEAT * 4):
            for name, how in ends.items():
                with self.subTest(name, round=round_):
                    self.interrupt(how, 0.004 + 0.012 * (round_ % 12))
        self.assertLessEqual(set(self.results), {"dumped 0", "dump-failed exit 1"}, self.results)
        self.assertIn("dump-failed exit 1", self.results)


if __name__ == "__main__":
    unittest.main()
