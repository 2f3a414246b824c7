"""Signals, deputies and post together with the real CRIU: one whole move of a process, as the agents do it."""
import os
import subprocess
import unittest

from deputies import DeputyCase, info, sigqueue, status, tgkill, threads
from support import CRIU, SHIM, Guard, kill, needs_root, until
from test_cell import CellCase, in_namespace_of
from test_signals import Post

COMMON = ["--tcp-close", "--manage-cgroups=ignore", "-v4"]


@needs_root
@unittest.skipUnless(CRIU, "needs criu")
class MoveTest(DeputyCase, CellCase):
    def setUp(self):
        super().setUp()
        self.cell_socket, self.home_socket = self.socket, os.path.join(self.folder, "home")
        self.images = os.path.join(self.folder, "images")
        os.mkdir(self.images)

    def move(self, pid):
        """Up to the resume; what comes to the cell's agent is in the list returned."""
        os.mkdir(self.cgroup)
        with open(os.path.join(self.cgroup, "cgroup.procs"), "w") as f:
            f.write(str(pid))
        guard = Guard(self.cgroup, [(pid, self.origin)],
                      [CRIU, "dump", "-t", str(pid), "-D", self.images, "-o", "dump.log", "--shell-job",
                       "--freeze-cgroup", self.cgroup, "--leave-running", "--network-lock", "skip", "--skip-in-flight",
                       *COMMON])
        self.addCleanup(guard.end)
        self.assertRegex(guard.ask("freeze"), "^frozen")
        return guard

    def test_each_signal_arrives_once_and_the_parent_sees_the_end(self):
        cell_agent = CellCase.agent(self, stopped="ok", continued="ok", pre_resume="wait")
        victim = self.victim(2, start_new_session=True)
        thread = threads(victim.pid)[2]
        me = os.getpid()
        guard = self.move(victim.pid)
        self.assertEqual("dumped 0", guard.ask("dump"), self.log("dump.log"))
        kill(victim.pid, 10)
        kill(victim.pid, 12)
        for value in (3, 4):
            sigqueue(victim.pid, 40, value)
        tgkill(victim.pid, thread, 60)
        self.cell([CRIU, "restore", "-d", "-D", self.images, "-o", "restore.log", "--shell-job", "--action-script", SHIM,
                   *COMMON], root=victim.pid, first=victim.pid + 1000)
        self.assertTrue(cell_agent.saw("pre-resume m1"), self.log("restore.log"))
        self.assertEqual("held", guard.ask("hold"))
        guard.end()
        cell_agent.answers["pre-resume"] = "resume"
        cell_agent.open[0].sendall(b"resume\n")
        self.assertTrue(cell_agent.saw("resumed m1"))

        post = Post(self.init)
        self.addCleanup(post.end)

        def forward(_agent, pid, tid, text):
            self.assertRegex(post.deliver(pid, tid, text), "^delivered")

        self.socket = self.home_socket
        for line in self.deputize(victim.pid):
            if line.startswith("held"):
                forward(None, *map(int, line.split()[1:3]), line.split()[3])
        home = DeputyCase.agent(self, on_signal=forward)
        self.assertTrue(home.has(victim.pid))
        sigqueue(victim.pid, 40, 5)
        self.assertTrue(until(lambda: len(victim.logged()) == 6), (victim.logged(), home.signals))
        logged = victim.logged()
        self.assertEqual([(10, 0), (12, 0)] + [(40, value) for value in (3, 4, 5)],
                         sorted((w[1], w[5]) for w in logged if w[0] == 0))
        self.assertEqual([3, 4, 5], [w[5] for w in logged if w[1] == 40])
        self.assertEqual([(1, 60, -6, me, 0, 0)], [w for w in logged if w[0] == 1])
        self.assertEqual({me}, {w[3] for w in logged})
        count = victim.value()
        self.assertTrue(until(lambda: victim.value() > count))

        # Job control, there and back.
        inside = self.inside(victim.pid)
        kill(inside, 19)
        self.assertTrue(cell_agent.saw(f"stopped m1 {victim.pid} 19"))
        home.tell(victim.pid, "stop 19")
        self.assertEqual((victim.pid, 0x137f), os.waitpid(victim.pid, os.WUNTRACED))
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        self.assertTrue(cell_agent.saw(f"continued m1 {victim.pid}"))
        kill(inside, 9)
        self.assertTrue(cell_agent.saw(f"exited m1 {victim.pid} 9"))
        home.tell(victim.pid, "exit 9")
        self.assertEqual(-9, victim.process.wait(5))

    def job(self, seconds, group):
        """A process with no handlers, in this group; 0: it leads one."""
        process = subprocess.Popen(["sleep", str(seconds)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, process_group=group)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process.pid

    def moved(self, pid, extra=()):
        """Moves it all the way. The cell's agent, and a post."""
        cell_agent = CellCase.agent(self, stopped="ok", continued="ok")
        guard = self.move(pid)
        self.assertEqual("dumped 0", guard.ask("dump"), self.log("dump.log"))
        self.cell([CRIU, "restore", "-d", "-D", self.images, "-o", "restore.log", "--shell-job", "--action-script", SHIM,
                   *COMMON], root=pid, first=pid + 1000, extra=extra)
        self.assertTrue(cell_agent.saw("resumed m1"), self.log("restore.log"))
        post = Post(self.init)
        self.addCleanup(post.end)
        return cell_agent, post

    def assert_stops(self, pid):
        """By the signal's default action, with no help: the cell's init stands in for the shell."""
        cell_agent, post = self.moved(pid)
        for number in (20, 21, 22):
            self.assertRegex(post.deliver(pid, 0, info(number, 128)), "^delivered")
            self.assertTrue(cell_agent.saw(f"stopped m1 {pid} {number}"), cell_agent.lines)
            cell_agent.lines.clear()
            self.assertRegex(post.deliver(pid, 0, info(18, 0, 7)), "^delivered")
            self.assertTrue(cell_agent.saw(f"continued m1 {pid}"), cell_agent.lines)
        self.assertRegex(post.deliver(pid, 0, info(2, 128)), "^delivered")
        self.assertTrue(cell_agent.saw(f"exited m1 {pid} 2"), cell_agent.lines)

    def test_a_stop_of_the_keyboard_stops_the_leader_of_a_job(self):
        self.assert_stops(self.job(62, 0))

    def test_a_stop_of_the_keyboard_stops_a_later_member_of_a_pipeline(self):
        self.assert_stops(self.job(62, self.job(61, 0)))

    def test_where_no_shell_could_stop_it_none_can_there(self):
        """In an orphaned process group the kernel discards the keyboard's stop signals."""
        script = subprocess.Popen(["sh", "-c", "sleep 62 >/dev/null & echo $!; wait"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(script.wait)
        self.addCleanup(script.kill)
        self.addCleanup(script.stdout.close)
        pid = int(script.stdout.readline())
        self.addCleanup(kill, pid)
        cell_agent, post = self.moved(pid, extra=["--orphaned"])
        for number in (20, 21, 22):
            self.assertRegex(post.deliver(pid, 0, info(number, 128)), "^delivered")
        self.assertRegex(post.deliver(pid, 0, info(15, 0)), "^delivered")
        self.assertTrue(cell_agent.saw(f"exited m1 {pid} 15"), cell_agent.lines)
        self.assertEqual([], [line for line in cell_agent.lines if "stopped" in line])

    def inside(self, pid):
        return next(p for p in in_namespace_of(self.init) if status(p, "NSpid")[0].split()[-1] == str(pid))

    def log(self, name):
        try:
            with open(os.path.join(self.images, name), errors="replace") as f:
                return f.read()[-2000:]
        except OSError:
            return ""
