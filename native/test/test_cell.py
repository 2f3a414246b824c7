"""Jobs cell and hook, with a fake agent; sh stands in for CRIU."""
import hashlib
import os
import subprocess
import time

from pagers import Pager
from support import Case, FakeAgent, SHIM, alive, kill, needs_root, until

FIRST = 5000
# sh is FIRST, the first thing that it forks FIRST + 1: that one plays the restored root.
ROOT = FIRST + 1
HOOK = f"CRTOOLS_SCRIPT_ACTION={{}} {SHIM}; "
# A shell reaps what ends while it waits for something else; CRIU does not. So the root ends as an orphan.
ORPHAN = "until grep -q PPid:.1$ /proc/$$/status; do sleep 0.01; done;"
BOTH = HOOK.format("pre-resume") + HOOK.format("post-resume")


def in_namespace_of(init):
    """The host's PIDs of all who live in the namespace of that init."""
    try:
        wanted = os.readlink(f"/proc/{init}/ns/pid")
    except OSError:
        return []
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and alive(name):
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == wanted:
                    found.append(int(name))
            except OSError:
                pass
    return found


class CellCase(Case):
    def setUp(self):
        super().setUp()
        self.socket = os.path.join(self.folder, "agent")
        self.lifeline = None
        self.init = None
        self.addCleanup(self.end_cell)

    def end_cell(self):
        self.cut()
        if self.init:
            kill(self.init)
            self.assertTrue(until(lambda: not alive(self.init)))

    def cut(self):
        if self.lifeline is not None:
            os.close(self.lifeline)
        self.lifeline = None

    def agent(self, **answers):
        all_answers = {"pre-resume": "resume", "resumed": "ok", "failed": "ok", "exited": "ok"}
        all_answers.update({k.replace("_", "-"): v for k, v in answers.items()})
        agent = FakeAgent(self.socket, all_answers)
        self.addCleanup(lambda: os.path.exists(self.socket) and agent.close())
        return agent

    def cell(self, criu, root=ROOT, first=FIRST, extra=()):
        reader, self.lifeline = os.pipe()
        arguments = [SHIM, "cell", "--id", "m1", "--socket", self.socket, "--first-pid", str(first)]
        arguments += (["--root", str(root)] if root else []) + list(extra) + ["--"] + criu
        done = subprocess.run(arguments, stdin=reader, capture_output=True, text=True, timeout=5)
        os.close(reader)
        self.assertEqual("", done.stderr)
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertRegex(done.stdout, r"^cell \d+\n$")
        self.init = int(done.stdout.split()[1])
        return self.init

    def script(self, text, **options):
        return self.cell(["sh", "-c", text], **options)

    def assert_gone(self, seconds=5):
        self.assertTrue(until(lambda: not alive(self.init), seconds))
        self.init = None


@needs_root
class CellTest(CellCase):
    def test_its_clocks_are_ahead_of_ours_by_what_was_asked_for(self):
        told = os.path.join(self.folder, "uptime")
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        # The init has its clocks from its start; CRIU's stand-in looks.
        self.script(f"cut -d' ' -f1 /proc/uptime > {told}.new; mv {told}.new {told}; sleep 60",
                    extra=["--clocks", "86400500000000:172800250000000"])
        self.assertTrue(until(lambda: os.path.exists(told)))
        with open(told) as f:
            ahead = float(f.read()) - before
        self.assertTrue(172800.2 < ahead < 172810, ahead)
        with open(f"/proc/{self.init}/timens_offsets") as f:
            offsets = {line.split()[0]: line.split()[1:] for line in f}
        with open("/proc/self/timens_offsets") as f:
            own = {line.split()[0]: line.split()[1:] for line in f}
        self.assertEqual(86400, int(offsets["monotonic"][0]) - int(own["monotonic"][0]))
        kill(self.init)

    def test_a_failed_restore_is_reported_and_nothing_is_left(self):
        for end, how in (("exit 3", "exit 3"), ("kill -9 $$", "signal 9")):
            agent = self.agent()
            left = os.path.join(self.folder, "left")
            self.script(f"(echo > {left}; exec sleep 60) & while ! test -e {left}; do :; done; {end}")
            self.assertTrue(agent.saw(f"failed m1 {how}"))
            self.assert_gone()
            self.cut()
            agent.close()

    def test_failed_is_reported_when_nothing_runs_any_more(self):
        seen = []
        agent = self.agent(failed=lambda: seen.append(in_namespace_of(self.init)) or "ok")
        self.script("(exec sleep 60) & sleep 0.2; exit 1")
        self.assertTrue(agent.saw("failed m1 exit 1"))
        self.assertTrue(until(lambda: seen))
        self.assertEqual([self.init], seen[0])
        self.assert_gone()

    def test_failed_gives_up_when_the_agent_does_not_come_back(self):
        self.script("exit 1")
        time.sleep(0.5)
        self.assertTrue(alive(self.init))
        self.assert_gone(6)

    def test_the_end_of_the_root_is_reported_with_its_status(self):
        for end, status in (("exit 7", 7 << 8), ("kill -15 $$", 15), ("exit 0", 0)):
            agent = self.agent()
            self.script(f"sh -c '{ORPHAN} {end}' & {BOTH} exit 0")
            self.assertTrue(agent.saw(f"exited m1 {ROOT} {status}"))
            self.assertEqual(["pre-resume m1", "resumed m1", f"exited m1 {ROOT} {status}"], agent.lines)
            self.assert_gone()
            self.cut()
            agent.close()

    def test_the_rest_of_the_tree_may_outlive_the_root(self):
        agent = self.agent()
        stop = os.path.join(self.folder, "stop")
        self.script(f"sh -c 'sh -c \"while ! test -e {stop}; do sleep 0.02; done\" & {ORPHAN} exit 1' & {BOTH}")
        self.assertTrue(agent.saw(f"exited m1 {ROOT} 256"))
        time.sleep(0.1)
        self.assertTrue(alive(self.init))
        open(stop, "w").close()
        self.assert_gone()

    def test_exited_is_told_until_a_restarted_agent_answers(self):
        agent = self.agent(exited=None)
        self.script(f"sh -c '{ORPHAN} exit 7' & {BOTH}")
        self.assertTrue(until(lambda: agent.lines.count(f"exited m1 {ROOT} 1792") >= 2))
        agent.close()
        self.cut()
        time.sleep(0.3)
        self.assertTrue(alive(self.init))
        self.assertTrue(self.agent().saw(f"exited m1 {ROOT} 1792"))
        self.assert_gone()

    def test_the_agent_s_death_before_the_hook_ends_the_cell(self):
        self.script("sleep 60; exit 0")
        members = in_namespace_of(self.init)
        self.assertGreaterEqual(len(members), 2)
        self.cut()
        self.assert_gone()
        self.assertTrue(until(lambda: not any(alive(p) for p in members)))

    def test_the_agent_s_death_after_the_hook_does_not(self):
        agent = self.agent(pre_resume="wait")
        self.script(f"sh -c 'exec sleep 60' & {BOTH}")
        self.assertTrue(agent.saw("pre-resume m1"))
        self.cut()
        agent.close()
        time.sleep(0.3)
        self.assertTrue(alive(self.init))
        again = self.agent()
        self.assertTrue(again.saw("resumed m1"))
        self.assertEqual(["pre-resume m1", "resumed m1"], again.lines)

    def test_abort_kills_all_and_nothing_goes_on_behind_the_hook(self):
        agent = self.agent(pre_resume="abort")
        beyond = os.path.join(self.folder, "beyond")
        self.script(f"sh -c 'exec sleep 60' & {HOOK.format('pre-resume')} echo > {beyond}")
        self.assertTrue(agent.saw("failed m1 signal 9"))
        self.assert_gone()
        self.assertFalse(os.path.exists(beyond))

    def test_the_death_of_the_hook_is_an_abort(self):
        agent = self.agent(pre_resume="wait")
        beyond = os.path.join(self.folder, "beyond")
        self.script(f"sh -c 'exec sleep 60' & {HOOK.format('pre-resume')} echo > {beyond}")
        self.assertTrue(agent.saw("pre-resume m1"))
        for pid in in_namespace_of(self.init):
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read() == SHIM.encode() + b"\0":
                    kill(pid)
        self.assertTrue(agent.saw("failed m1 signal 9"))
        self.assert_gone()
        self.assertFalse(os.path.exists(beyond))

    def test_an_answer_nobody_knows_is_asked_again(self):
        answers = iter(["what", "ok", "resume"])
        agent = self.agent(pre_resume=lambda: next(answers))
        self.script(f"sh -c 'exec sleep 60' & {BOTH}")
        self.assertTrue(agent.saw("resumed m1"))
        self.assertEqual(3, agent.lines.count("pre-resume m1"))

    def test_criu_s_complaint_after_the_resume_does_not_kill(self):
        agent = self.agent()
        self.script(f"sh -c '{ORPHAN} exit 5' & {BOTH} exit 1")
        self.assertTrue(agent.saw(f"exited m1 {ROOT} {5 << 8}"))
        self.assert_gone()

    def test_a_criu_that_resumes_unasked_has_failed(self):
        agent = self.agent()
        self.script("sh -c 'exec sleep 60' & exit 0")
        self.assertTrue(agent.saw("failed m1 exit 0"))
        self.assert_gone()

    def stoppable(self, agent):
        """A root in a process group of its own: in an orphaned one, like the init's, nothing stops by SIGTSTP."""
        program = os.path.join(self.folder, "program.py")
        with open(program, "w") as f:
            f.write("import os; os.setpgid(0, 0); os.execvp('sleep', ['sleep', '61'])")
        self.script(f"sh -c '{ORPHAN} exec python3 {program}' & {BOTH}")
        self.assertTrue(agent.saw("resumed m1"))
        self.assertTrue(until(lambda: self.sleeper()))
        return self.sleeper()

    def sleeper(self):
        for pid in in_namespace_of(self.init):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if f.read() == b"sleep\x0061\0":
                        return pid
            except OSError:
                pass  # It has just ended.
        return None

    def test_the_root_s_stops_are_told(self):
        agent = self.agent(stopped="ok", continued="ok")
        root = self.stoppable(agent)
        for number in (19, 20):
            kill(root, number)
            self.assertTrue(agent.saw(f"stopped m1 {ROOT} {number}"), agent.lines)
            kill(root, 18)
            self.assertTrue(until(lambda: agent.lines[-1] == f"continued m1 {ROOT}"), agent.lines)
        kill(root, 15)
        self.assertTrue(agent.saw(f"exited m1 {ROOT} 15"))
        self.assertEqual(7, len(agent.lines), agent.lines)
        self.assert_gone()

    def test_stops_are_told_until_acknowledged_and_only_the_last(self):
        agent = self.agent(stopped=None)
        root = self.stoppable(agent)
        kill(root, 19)
        self.assertTrue(until(lambda: agent.lines.count(f"stopped m1 {ROOT} 19") >= 2))
        agent.close()
        kill(root, 18)
        kill(root, 20)
        again = self.agent(stopped="ok", continued="ok")
        self.assertTrue(again.saw(f"stopped m1 {ROOT} 20"), again.lines)
        kill(root)
        self.assertTrue(again.saw(f"exited m1 {ROOT} 9"))
        self.assert_gone()

    def test_a_stop_that_ends_before_the_agent_has_answered_is_called_off(self):
        for answer in ("ok", None):
            agent = self.agent(stopped=lambda: kill(root, 18) or answer, continued="ok")
            root = self.stoppable(agent)
            kill(root, 19)
            self.assertTrue(agent.saw(f"continued m1 {ROOT}"), agent.lines)
            kill(root)
            self.assert_gone()
            self.cut()
            agent.close()

    def test_a_root_that_never_was_is_a_failure(self):
        agent = self.agent()
        self.script(f"{BOTH}", root=77)
        self.assertTrue(agent.saw("failed m1 exit 0"))
        self.assert_gone()

    def test_signals_from_inside_and_sigterm_from_outside_do_nothing(self):
        agent = self.agent()
        attack = "for s in HUP INT QUIT TERM USR1 USR2 SEGV KILL STOP ALRM RTMIN RTMIN+1; do kill -$s 1; done"
        self.script(f"bash -c '{attack}; sleep 0.2; {attack}; exit 4' & {BOTH}")
        self.assertTrue(agent.saw("resumed m1"))
        kill(self.init, 15)
        self.assertTrue(agent.saw(f"exited m1 {ROOT} {4 << 8}"))
        self.assert_gone()

    def test_sigkill_from_outside_ends_all(self):
        agent = self.agent()
        self.script(f"sh -c 'exec sleep 60' & {BOTH}")
        self.assertTrue(agent.saw("resumed m1"))
        members = in_namespace_of(self.init)
        kill(self.init)
        self.assertTrue(until(lambda: not any(alive(p) for p in members)))

    def test_it_sleeps_when_there_is_nothing_to_do(self):
        agent = self.agent()
        self.script(f"sh -c 'exec sleep 60' & {BOTH}")
        self.assertTrue(agent.saw("resumed m1"))
        self.cut()
        self.assertTrue(until(lambda: len(in_namespace_of(self.init)) == 2))
        # The last of what it was woken for may still be under way.
        time.sleep(0.1)
        before = self.switches()
        time.sleep(0.3)
        self.assertEqual(before, self.switches())

    def switches(self):
        with open(f"/proc/{self.init}/status") as f:
            return [line for line in f if "ctxt_switches" in line]

    def test_what_criu_sees(self):
        out = os.path.join(self.folder, "out")
        self.script(f"cd /proc/$$/fd; (echo $$; for i in 0 2 3 4 5 6 7 8; do test ! -e $i || readlink $i; done; "
                    f"readlink /proc/self/ns/pid; echo $EXILE_ID $EXILE_CELL_SOCKET $WORD; grep -c ' /proc ' "
                    f"/proc/mounts; cat /proc/1/comm) > {out}.new; mv {out}.new {out}; exit 1",
                    extra=["--env", "WORD=a=b"])
        self.assertTrue(until(lambda: os.path.exists(out)))
        with open(out) as f:
            text = f.read().splitlines()
        self.assertEqual([str(FIRST), "/dev/null", "/dev/null"], text[:3])
        self.assertNotEqual(os.readlink("/proc/self/ns/pid"), text[3])
        self.assertEqual(f"m1 {self.socket} a=b", text[4])
        self.assertEqual("exile-cell", text[6])
        self.cut()
        self.assert_gone()

    def test_criu_alone_is_given_descriptors(self):
        reader, writer = os.pipe()
        out = os.path.join(self.folder, "out")
        self.script(f"ls /proc/$$/fd > {out}.new; bash -c 'echo given >&64'; mv {out}.new {out}; exec sleep 60",
                    extra=["--give", f"{os.getpid()}:{writer}:64"])
        os.close(writer)
        self.assertTrue(until(lambda: os.path.exists(out)))
        self.assertEqual(b"given\n", os.read(reader, 100))
        with open(out) as f:
            self.assertEqual(["0", "1", "2", "64"], sorted(set(f.read().split()) - {"3", "10"}, key=int))
        for pid in in_namespace_of(self.init):
            if pid != self.init:
                kill(pid)
        self.assertEqual(b"", os.read(reader, 100))
        os.close(reader)
        self.cut()

    def test_the_init_holds_what_the_pager_has(self):
        self.agent()
        pager = Pager(self.folder)
        self.addCleanup(pager.close)
        self.script("sleep 100", root=None, extra=["--pager", pager.path])
        sockets = [fd for fd in os.listdir(f"/proc/{self.init}/fd")
                   if os.readlink(f"/proc/{self.init}/fd/{fd}").startswith("socket:")]
        self.assertEqual(1, len(sockets))

    def test_without_its_pager_there_is_no_cell(self):
        arguments = [SHIM, "cell", "--id", "m1", "--socket", self.socket, "--first-pid", str(FIRST),
                     "--pager", self.socket, "--", "sleep", "100"]
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5)
        self.assertEqual((1, "error cannot hold what the pager has: No such file or directory\n"),
                         (done.returncode, done.stdout))

    def test_bad_gifts_are_told(self):
        start = [SHIM, "cell", "--id", "m1", "--socket", self.socket, "--first-pid", "5000", "--give"]
        for bad in ("1:2", "1:2:3", "x:1:64", "1:x:64"):
            said = subprocess.run(start + [bad, "--", "true"], stdin=subprocess.DEVNULL, capture_output=True)
            self.assertEqual(2, said.returncode, bad)
        said = subprocess.run(start + [f"{os.getpid()}:9999:64", "--", "true"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        self.assertTrue(said.stdout.startswith("error cannot give"), said)

    def test_other_actions_pass_at_once(self):
        for action in ("pre-restore", "post-restore", "network-unlock", "unknown"):
            environment = dict(os.environ, CRTOOLS_SCRIPT_ACTION=action, EXILE_ID="m1", EXILE_CELL_SOCKET="/x")
            self.assertEqual(0, subprocess.run([SHIM], env=environment, timeout=1).returncode)


@needs_root
class SharedMemory(CellCase):
    def packed(self, content):
        path = os.path.join(self.folder, "packed")
        with open(path, "wb") as out:
            out.write(content)
        return path

    def refused(self, content):
        done = subprocess.run([SHIM, "cell", "--id", "m1", "--socket", self.socket, "--first-pid", "5000",
                               "--shm", self.packed(content), "--", "true"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5)
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stdout, "^error cannot set up the cell: ")

    def test_the_cell_has_the_files_and_the_host_does_not(self):
        told = os.path.join(self.folder, "told")
        packed = self.packed(b"d 1750 3 4 exile dir\nf 640 1 2 100000 exile dir/exile-a b\nl exile-c\n"
                             b"x 65536 4\nx\nl\nx 99999 1\n!f 600 0 0 0 exile-empty\n")
        self.agent()
        self.script(f"cd /dev/shm; (find . -mindepth 1 -printf '%P %m %U %G %s %n\\n' | sort; md5sum exile-c) "
                    f">{told}.new; mv {told}.new {told}", root=None, extra=["--shm", packed])
        self.assertTrue(until(lambda: os.path.exists(told)))
        content = bytearray(100000)
        content[65536:65540], content[99999:] = b"x\nl\n", b"!"
        with open(told) as lines:
            self.assertEqual(["exile dir 1750 3 4 60 2", "exile dir/exile-a b 640 1 2 100000 2",
                              "exile-c 640 1 2 100000 2", "exile-empty 600 0 0 0 1",
                              hashlib.md5(content).hexdigest() + "  exile-c"], lines.read().splitlines())
        self.assertFalse(os.path.exists("/dev/shm/exile-c"))

    def test_names_that_lead_out_and_files_cut_short_are_refused(self):
        for content in (b"f 600 0 0 1 ../x\n", b"f 600 0 0 1 /x\n", b"f 600 0 0 1 a/../../x\n", b"l x\n",
                        b"f 600 0 0 9 x\nx 0 9\nshort", b"x 0 1\n!", b"nonsense\n", b"f 600 0 0 1 x"):
            with self.subTest(content):
                self.refused(content)
