"""Job freeze, with a real cgroup and a real process; sh stands in for CRIU."""
import os
import signal
import subprocess
import unittest

from support import Case, Counter, Guard, SHIM, alive, cgroup_mount, kill, needs_root, until


@needs_root
class FreezeCase(Case):
    def setUp(self):
        super().setUp()
        mount = cgroup_mount()
        if not mount:
            self.skipTest("no cgroup2 is mounted")
        name = os.path.basename(self.folder)
        self.origin = os.path.join(mount, f"{name}-origin")
        self.cgroup = os.path.join(mount, name)
        self.addCleanup(self.remove_cgroups)
        os.mkdir(self.origin)
        os.mkdir(self.cgroup)
        self.counter = Counter(self.folder, self.megabytes())
        self.addCleanup(self.counter.end)
        self.move(self.cgroup)

    def megabytes(self):
        return 1

    def move(self, cgroup):
        with open(os.path.join(cgroup, "cgroup.procs"), "w") as f:
            f.write(str(self.counter.pid))

    def remove_cgroups(self):
        for path in (self.cgroup, self.origin):
            until(lambda p=path: not os.path.exists(p) or self.rmdir(p), 2)

    @staticmethod
    def rmdir(path):
        try:
            with open(os.path.join(path, "cgroup.freeze"), "w") as f:
                f.write("0")
            os.rmdir(path)
        except OSError:
            return False
        return True

    def guard(self, *criu, **options):
        guard = Guard(self.cgroup, [(self.counter.pid, self.origin)], list(criu) or ["true"], **options)
        self.addCleanup(guard.end)
        return guard

    def assert_home(self):
        """It runs, where it came from, and the guard's cgroup is gone."""
        self.assertTrue(until(lambda: not os.path.exists(self.cgroup)))
        self.assertTrue(self.counter.runs())
        with open(os.path.join(self.origin, "cgroup.procs")) as f:
            self.assertIn(str(self.counter.pid), f.read().split())


class FreezeTest(FreezeCase):
    def test_freeze_stops_and_thaw_brings_back(self):
        guard = self.guard()
        self.assertRegex(guard.ask("freeze"), r"^frozen \d+$")
        self.assertTrue(self.counter.stands())
        self.assertEqual("thawed", guard.ask("thaw"))
        self.assertEqual(0, guard.end())
        self.assert_home()

    def test_eof_thaws(self):
        guard = self.guard()
        guard.ask("freeze")
        self.assertEqual(0, guard.end())
        self.assert_home()

    def test_eof_after_hold_does_not(self):
        guard = self.guard()
        guard.ask("freeze")
        self.assertEqual("held", guard.ask("hold"))
        self.assertEqual(0, guard.end())
        self.assertTrue(self.counter.stands())
        self.assertTrue(os.path.exists(self.cgroup))
        # The journal said roll back: a new guard finishes what the old one left.
        self.assertEqual("thawed", self.guard().ask("thaw"))
        self.assert_home()

    def test_death_of_the_parent_thaws(self):
        parent = subprocess.Popen(
            ["/usr/bin/python3", "-c",
             "import subprocess,sys,time\n"
             "g=subprocess.Popen(sys.argv[1:],stdin=subprocess.PIPE,stdout=subprocess.PIPE)\n"
             "g.stdin.write(b'freeze\\n'); g.stdin.flush(); print(g.stdout.readline(), flush=True)\n"
             "time.sleep(60)",
             SHIM, "freeze", "--cgroup", self.cgroup, "--back", f"{self.counter.pid}={self.origin}",
             "--", "true"], stdout=subprocess.PIPE)
        parent.stdout.readline()
        self.assertTrue(self.counter.stands())
        parent.kill()
        parent.wait()
        parent.stdout.close()
        self.assert_home()

    def test_death_of_the_worker_thaws(self):
        guard = self.guard()
        guard.ask("freeze")
        kill(guard.worker())
        self.assertRegex(guard.hear(), "^error .*signal 9; thawed$")
        self.assertEqual(1, guard.end())
        self.assert_home()

    def test_death_of_the_keeper_thaws(self):
        guard = self.guard()
        guard.ask("freeze")
        worker = guard.worker()
        kill(guard.pid)
        self.assert_home()
        self.assertTrue(until(lambda: not alive(worker)))

    def test_death_of_the_worker_after_hold_thaws_not(self):
        guard = self.guard()
        guard.ask("freeze")
        guard.ask("hold")
        kill(guard.worker())
        self.assertEqual(1, guard.end())
        self.assertTrue(self.counter.stands())
        self.guard().ask("thaw")
        self.assert_home()

    def test_signals_of_a_terminal_do_not_end_it(self):
        guard = self.guard()
        guard.ask("freeze")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            kill(guard.pid, number)
            kill(guard.worker(), number)
        self.assertEqual("held", guard.ask("hold"))
        self.assertEqual("thawed", guard.ask("thaw"))
        self.assert_home()

    def test_a_child_forked_meanwhile_goes_to_the_first_origin(self):
        with subprocess.Popen(["sleep", "60"]) as stray:
            with open(os.path.join(self.cgroup, "cgroup.procs"), "w") as f:
                f.write(str(stray.pid))
            self.assertEqual("thawed", self.guard().ask("thaw"))
            with open(os.path.join(self.origin, "cgroup.procs")) as f:
                self.assertIn(str(stray.pid), f.read().split())
            stray.kill()
        self.assert_home()

    def test_no_cgroup_is_an_error_on_freeze(self):
        guard = Guard(self.cgroup + "-none", [], ["true"])
        self.assertRegex(guard.ask("freeze"), "^error cannot freeze .*No such file")
        self.assertEqual(0, guard.end())

    def test_unknown_commands_are_refused(self):
        guard = self.guard()
        self.assertEqual("error unknown command", guard.ask("melt"))
        guard.say("cancel")
        self.assertEqual("error unknown command", guard.ask("melt"))


class DumpTest(FreezeCase):
    def test_the_end_of_criu_is_told(self):
        for script, answer in (("exit 0", "dumped 0"), ("exit 3", "dump-failed exit 3"),
                               ("kill -9 $$", "dump-failed signal 9")):
            guard = self.guard("sh", "-c", script)
            guard.ask("freeze")
            self.assertEqual(answer, guard.ask("dump"))
            self.assertTrue(self.counter.stands())
            self.assertEqual("thawed", guard.ask("thaw"))
            os.mkdir(self.cgroup)
            self.move(self.cgroup)

    def test_a_command_that_is_not_there_is_exit_127(self):
        guard = self.guard("/no/such/criu")
        guard.ask("freeze")
        self.assertEqual("dump-failed exit 127", guard.ask("dump"))

    def test_a_dump_that_leaves_it_running_has_failed(self):
        guard = self.guard("sh", "-c", f"echo 0 > {self.cgroup}/cgroup.freeze")
        guard.ask("freeze")
        self.assertEqual("dump-failed not-frozen", guard.ask("dump"))

    def test_criu_gets_no_descriptor_but_three(self):
        out = os.path.join(self.folder, "fds")
        guard = self.guard("sh", "-c", f"cd /proc/$$/fd; for i in 0 2 3 4 5 6 7 8; do "
                                       f"test ! -e $i || readlink $i; done > {out}")
        guard.ask("freeze")
        guard.ask("dump")
        with open(out) as f:
            self.assertEqual(["/dev/null"] * 2, f.read().split())

    # Writes a file for ever, as a dump does; ends by its own error path once it cannot.
    WRITER = "while echo x >> {0}/image; do sleep 0.01; done; echo 0 > {1}/cgroup.freeze; sleep 0.1; exit 1"

    def test_cancel_makes_criu_fail_by_itself(self):
        guard = self.guard("sh", "-c", self.WRITER.format(self.folder, self.cgroup))
        guard.ask("freeze")
        guard.say("dump")
        self.assertTrue(until(lambda: os.path.exists(self.folder + "/image")))
        guard.say("cancel")
        self.assertEqual("dump-failed exit 1", guard.hear())
        self.assertEqual("thawed", guard.ask("thaw"))
        self.assert_home()

    def test_thaw_comes_after_criu_at_eof_and_at_each_death(self):
        # This CRIU freezes again at its end, as the real one does: the thaw must come later.
        again = self.WRITER.format(self.folder, self.cgroup) \
            .replace("exit 1", f"echo 1 > {self.cgroup}/cgroup.freeze")
        for who in ("agent", "worker", "keeper"):
            with self.subTest(who):
                guard = self.guard("sh", "-c", again)
                guard.ask("freeze")
                guard.say("dump")
                self.assertTrue(until(lambda: os.path.exists(self.folder + "/image")))
                if who == "agent":
                    guard.process.stdin.close()
                else:
                    kill(guard.worker() if who == "worker" else guard.pid)
                self.assertTrue(until(lambda: not os.path.exists(self.cgroup)))
                self.assert_home()
                os.unlink(self.folder + "/image")
                os.mkdir(self.cgroup)
                self.move(self.cgroup)


class UsageTest(unittest.TestCase):
    def test_bad_usage_is_one_line_and_exit_2(self):
        for arguments in ([], ["nojob"], ["freeze"], ["freeze", "--cgroup", "relative", "--", "true"],
                          ["freeze", "--cgroup", "/a"], ["freeze", "--cgroup", "/a", "--back", "x=/b", "--", "true"],
                          ["freeze", "--what"], ["cell", "--id", "two words"], ["cell", "--id", "a", "--", "true"],
                          ["cell", "--id", "a", "--socket", "/s", "--first-pid", "1", "--", "true"],
                          ["cell", "--id", "a", "--socket", "/" + "s" * 120], ["hook"], ["hook", "x"],
                          ["deputize"], ["deputize", "--cgroup", "c"], ["deputize", "--back", "1:2"],
                          ["deputize", "--id", "i", "--socket", "/s", "--title", "t", "--cgroup", "/c", "x"],
                          ["watch"], ["watch", "--id", "i", "x"], ["post"], ["post", "--id", "i", "--cell", "x"]):
            with self.subTest(arguments):
                done = subprocess.run([SHIM] + arguments, capture_output=True, text=True, timeout=5)
                self.assertEqual(2, done.returncode)
                self.assertEqual(1, done.stderr.count("\n"))
                self.assertEqual("", done.stdout)
