"""Jobs deputize and rehearse, with real processes."""
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from deputies import DeputyCase, Victim, fields, sigqueue, state, status, tgkill, threads
from support import SHIM, alive, kill, needs_root, until

TRIES = int(os.environ.get("EXILE_TEST_KILLS", "50"))


@needs_root
class DeputizeTest(DeputyCase):
    def test_the_deputy_is_in_the_place_of_the_process(self):
        agent = self.agent()
        victim = self.victim(3)
        before = self.place(victim.pid)
        self.assertEqual([f"body {victim.pid}", f"deputy {victim.pid}", "done"], self.deputy(victim))
        self.assertTrue(agent.has(victim.pid))
        self.assertEqual(before, self.place(victim.pid))
        self.assertFalse(os.path.exists(self.cgroup))
        with open(f"/proc/{victim.pid}/cmdline", "rb") as f:
            self.assertEqual(b"exile: victim @there\0", f.read())
        with open(os.path.join(self.origin, "cgroup.procs")) as f:
            self.assertEqual([str(victim.pid)], f.read().split())
        self.assertEqual(1, len(threads(victim.pid)))
        count = victim.value()
        time.sleep(0.05)
        self.assertEqual(count, victim.value())
        # The part that deputies share, the program's pages, counts for each here.
        self.assertLess(int(status(victim.pid, "VmRSS")[0].split()[0]), 1024)

    @staticmethod
    def place(pid):
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[1:5]

    def test_any_state_will_do(self):
        agent = self.agent()
        for name, arguments, stop in (("busy", (0, "busy"), False), ("32 threads", (32,), False),
                                      ("32 busy", (32, "busy"), False), ("stopped", (1,), True)):
            with self.subTest(name):
                victim = self.victim(*arguments)
                if stop:
                    kill(victim.pid, signal.SIGSTOP)
                    self.assertTrue(until(lambda: state(victim.pid) == "T"))
                self.deputy(victim)
                if stop:
                    self.assertTrue(until(lambda: state(victim.pid) == "T"))
                    # Not by ourselves: we are the agent, whose own SIGCONT is not told to it.
                    subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
                self.assertTrue(agent.has(victim.pid))
                agent.tell(victim.pid, "exit 768")
                self.assertEqual(3, victim.process.wait(5))
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCONT]))

    def test_a_stop_during_exile_holds_for_the_deputy(self):
        agent = self.agent()
        victim = self.victim(2)
        self.freeze(victim.pid)
        kill(victim.pid, signal.SIGSTOP)
        self.assertEqual("done", self.deputize(victim.pid)[-1])
        self.assertTrue(until(lambda: state(victim.pid) == "T"))
        with open(f"/proc/{victim.pid}/cmdline", "rb") as f:
            self.assertEqual(b"exile: victim @there\0", f.read())
        self.assertEqual((victim.pid, 0x137f), os.waitpid(victim.pid, os.WUNTRACED))
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        self.assertTrue(agent.has(victim.pid))

    def test_a_program_that_cannot_be_executed_is_refused(self):
        victim = self.victim()
        self.freeze(victim.pid)
        lines = self.deputize(victim.pid, extra=["--program", "/no/such/program"])
        self.assertRegex(lines[0], f"^error {victim.pid} it cannot execute the deputy's program: No such file")
        self.assertRegex(lines[-1], "^error /")
        self.assertTrue(self.frozen())
        self.assertEqual("done", self.deputize(victim.pid)[-1])

    def test_the_parent_sees_the_real_end(self):
        agent = self.agent()
        for raw, seen in ((0, 0), (7 << 8, 7), (11, -11), (11 | 0x80, -11), (9, -9), (15, -15), (34, -34)):
            with self.subTest(raw):
                victim = self.victim(cwd=self.folder)
                self.deputy(victim)
                agent.tell(victim.pid, f"exit {raw}")
                self.assertEqual(seen, victim.process.wait(5))
        self.assertEqual([], [n for n in os.listdir(self.folder) if n.startswith("core")])

    def test_all_descriptors_are_closed_so_that_others_see_the_end(self):
        agent = self.agent()
        control, theirs = socket.socketpair()
        inherited, other = socket.socketpair()
        code = ("import socket,os,sys,time; a=socket.socket(); a.bind(('127.0.0.1',0)); a.listen(); "
                "f=open('/etc/passwd'); os.set_inheritable(f.fileno(),True); p=socket.socket(fileno=int(sys.argv[1])); "
                "p.send(b'ready'); time.sleep(60)")
        process = subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())],
                                   pass_fds=[theirs.fileno(), inherited.fileno()],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end_process, process)
        self.assertEqual(b"ready", control.recv(100))
        theirs.close()
        inherited.close()
        self.freeze(process.pid)
        self.assertEqual("done", self.deputize(process.pid)[-1])
        self.assertTrue(agent.has(process.pid))
        self.assertEqual([b"", b"", b""], [control.recv(1), other.recv(1), process.stdout.read()])
        with self.assertRaises(BrokenPipeError):
            os.write(process.stdin.fileno(), b"x")
        left = {int(fd): os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")}
        self.assertEqual(["/dev/null"] * 3, [left.pop(fd) for fd in range(3)])
        self.assertEqual({"anon_inode:[signalfd]", "socket"}, {name.split(":[")[0] if "socket" in name else name
                                                               for name in left.values()})
        control.close()
        other.close()

    @staticmethod
    def end_process(process):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def test_a_process_that_allows_itself_no_descriptors(self):
        agent = self.agent()
        victim = self.victim()
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (0, resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)[1]))
        self.deputy(victim)
        self.assertTrue(agent.has(victim.pid))

    def test_a_process_of_another_user(self):
        """The way to the program and to the socket must be open to it, and whether it is, is known beforehand."""
        agent = self.agent()
        victim = self.victim(prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        program = os.path.join(self.folder, "bin", "shim")
        os.mkdir(os.path.dirname(program), 0o711)
        shutil.copy(SHIM, program)
        rehearsed = [SHIM, "rehearse", "--socket", self.socket, "--program", program, str(victim.pid)]

        def told():
            return subprocess.run(rehearsed, capture_output=True, text=True, check=True, timeout=5).stdout

        program_closed = f"unfit {victim.pid} it cannot execute the deputy's program: Permission denied\n"
        os.chmod(program, 0o700)
        self.assertEqual(program_closed, told())
        os.chmod(program, 0o711)
        os.chmod(self.folder, 0o700)
        self.assertEqual(program_closed, told())
        os.chmod(self.folder, 0o711)
        os.chmod(self.socket, 0o600)
        self.assertEqual(f"unfit {victim.pid} it cannot reach the agent's socket: Permission denied\n", told())
        self.freeze(victim.pid)
        lines = self.deputize(victim.pid, extra=["--program", program])
        self.assertRegex(lines[0], f"^error {victim.pid} it cannot reach the agent's socket: Permission denied")
        self.assertTrue(self.frozen())
        os.chmod(self.socket, 0o666)
        self.assertEqual(f"fit {victim.pid}\n", told())
        self.assertEqual("done", self.deputize(victim.pid, extra=["--program", program])[-1])
        self.assertTrue(agent.has(victim.pid))
        self.assertEqual("65534", status(victim.pid, "Uid")[0].split()[1])
        kill(victim.pid, signal.SIGUSR1)
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGUSR1]))
        agent.tell(victim.pid, "exit 1280")
        self.assertEqual(5, victim.process.wait(5))
        self.assertEqual(f"gone {victim.pid}\n", told())

    def test_what_a_process_has_raised_is_not_forwarded(self):
        agent = self.agent()
        victim = self.victim(2)
        thread = threads(victim.pid)[2]
        self.freeze(victim.pid)
        for value in range(5):
            sigqueue(victim.pid, 40, value, sender=victim.pid if value % 2 else None)
            sigqueue(victim.pid, 60, value, thread, sender=victim.pid if value % 2 else None)
        lines = self.deputize(victim.pid)
        held = [fields(line.split()[3]) for line in lines if line.startswith("held")]
        self.assertEqual([(60, 0), (60, 2), (60, 4)], [(f[0], f[4]) for f in held])
        self.assertTrue(until(lambda: len(agent.signals) == 3))
        self.assertEqual([(0, 40, 0), (0, 40, 2), (0, 40, 4)],
                         [(tid, fields(text)[0], fields(text)[4]) for _, tid, text in agent.signals])

    def test_own_timers_and_children_are_not_forwarded(self):
        agent = self.agent()
        code = ("import signal,time,sys; signal.pthread_sigmask(signal.SIG_BLOCK,[signal.SIGALRM]); "
                "signal.setitimer(signal.ITIMER_REAL,0.2,0.05); print(flush=True); time.sleep(60)")
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        self.freeze(process.pid)
        time.sleep(0.3)
        self.deputize(process.pid)
        self.assertTrue(agent.has(process.pid))
        time.sleep(0.15)
        self.assertEqual([], agent.signals)
        kill(process.pid, signal.SIGALRM)
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGALRM]))

    def test_a_tree_and_its_ends(self):
        agent = self.agent()
        shell = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 61 & wait"], stdin=subprocess.DEVNULL)
        self.addCleanup(shell.wait)
        self.addCleanup(shell.kill)
        self.assertTrue(until(lambda: len(self.children(shell.pid)) == 2))
        one, two = self.children(shell.pid)
        self.freeze(shell.pid, one, two)
        lines = self.deputize(shell.pid, one, two)
        self.assertEqual({f"deputy {pid}" for pid in (shell.pid, one, two)},
                         {line for line in lines if line.startswith("deputy")})
        for pid in (shell.pid, one, two):
            self.assertTrue(agent.has(pid))
        agent.tell(one, "exit 0")
        self.assertTrue(until(lambda: not os.path.exists(f"/proc/{one}")))
        kill(two)
        self.assertTrue(until(lambda: not os.path.exists(f"/proc/{two}")))
        kill(shell.pid, signal.SIGCHLD)
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCHLD]), agent.signals)
        agent.tell(shell.pid, "exit 512")
        self.assertEqual(2, shell.wait(5))

    @staticmethod
    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return list(map(int, f.read().split()))

    def test_a_body_that_is_killed_is_told(self):
        self.agent()
        victim = self.victim(3)
        self.freeze(victim.pid)
        kill(victim.pid)
        lines = self.deputize(victim.pid)
        self.assertIn(lines[:-1][-1:], ([], [f"gone {victim.pid} 9"], [f"gone {victim.pid} -1"]))
        self.assertEqual("done", lines[-1])
        self.assertEqual(-9, victim.process.wait(5))

    def test_a_seccomp_filter_is_refused_before_anything_happens(self):
        code = ("import ctypes,struct,time; l=ctypes.CDLL(None); f=ctypes.create_string_buffer(struct.pack('HBBI',6,0,0,0x7fff0000));"
                "p=ctypes.create_string_buffer(struct.pack('HxxxxxxQ',1,ctypes.addressof(f)));"
                "l.prctl(38,1,0,0,0); assert l.prctl(22,2,p)==0; print(flush=True); time.sleep(60)")
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        self.freeze(process.pid)
        lines = self.deputize(process.pid)
        self.assertRegex(lines[0], f"^error {process.pid} it has a seccomp filter")
        self.assertRegex(lines[-1], "^error /")
        self.assertTrue(self.frozen())


# Fills 32 MB with a pattern; says where they are.
PATTERN = """
import ctypes, mmap, struct, sys, threading, time
libc = ctypes.CDLL(None)
def hold():
    kind, mutex = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    libc.pthread_mutexattr_init(kind)
    libc.pthread_mutexattr_setrobust(kind, 1)
    assert not libc.pthread_mutex_init(mutex, kind) and not libc.pthread_mutex_lock(mutex)
    ready.wait()
    time.sleep(60)
ready = threading.Barrier(8)
for _ in range(7):
    threading.Thread(target=hold, daemon=True).start()
ready.wait()
m = mmap.mmap(-1, 32 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m[:] = struct.pack("=Q", 0x1234567890abcdef) * (4 << 20)
print(ctypes.addressof(ctypes.c_char.from_buffer(m)), flush=True)
time.sleep(60)
"""


@needs_root
class MemoryTest(DeputyCase):
    def setUp(self):
        super().setUp()
        self.home = self.agent()
        self.process = subprocess.Popen([sys.executable, "-c", PATTERN], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.pattern = int(self.process.stdout.readline())

    def leave(self):
        """The areas of memory as they were, and the keeper."""
        self.freeze(self.pid)
        before = self.areas(self.pid)
        lines = self.deputize(self.pid, extra=["--keep-memory"])
        self.assertEqual(["done", f"deputy {self.pid}"], lines[-1:-3:-1])
        self.assertRegex(lines[-3], rf"^memory {self.pid} \d+$")
        keeper = int(lines[-3].split()[2])
        self.assertTrue(self.home.has(self.pid))
        return before, keeper

    @staticmethod
    def areas(pid):
        """What is private and readable, by its address."""
        found = {}
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in maps:
                start, end = (int(x, 16) for x in line.split()[0].split("-"))
                if re.match("r..p", line.split()[1]) and "[v" not in line.replace("[vdso]", ""):
                    memory.seek(start)
                    found[start] = (line, memory.read(end - start))
        return found

    def test_all_memory_but_the_stub_s_lives_on_and_nothing_else(self):
        before, keeper = self.leave()
        after = self.areas(keeper)
        self.assertEqual(before.keys(), after.keys())
        changed = [(start, offset) for start in before for offset in range(0, len(before[start][1]), 4096)
                   if before[start][1][offset:offset + 4096] != after[start][1][offset:offset + 4096]]
        code = [change for change in changed if "r-xp" in before[change[0]][0]]
        self.assertIn(len(code), (1, 2))
        # And the kernel tells each thread that runs there on which CPU it does so (rseq).
        for start, offset in set(changed) - set(code):
            old, new = (areas[start][1][offset:offset + 4096] for areas in (before, after))
            different = [i for i in range(4096) if old[i] != new[i]]
            self.assertLess(different[-1] - different[0], 32)
        data = next(data[self.pattern - start:] for start, (_, data) in after.items()
                    if start <= self.pattern < start + len(data))
        self.assertEqual(struct.pack("=Q", 0x1234567890ABCDEF) * (4 << 20), data[:32 << 20])
        self.assertEqual([], os.listdir(f"/proc/{keeper}/fd"))
        self.assertEqual(["exile-memory", str(self.pid), "1"], status(keeper, "Name", "PPid", "Threads"))
        self.assertEqual("fffffffffffbfeff", status(keeper, "SigBlk")[0])
        with open(f"/proc/{keeper}/cgroup") as mine, open(f"/proc/{self.pid}/cgroup") as deputys:
            self.assertEqual(deputys.read(), mine.read())
        self.assertTrue(until(lambda: state(keeper) == "S"))

    def test_its_end_is_the_deputy_s_to_reap_and_nobody_is_told(self):
        _, keeper = self.leave()
        kill(keeper, signal.SIGTERM)
        time.sleep(0.05)
        self.assertEqual("S", state(keeper))
        kill(keeper)
        self.assertTrue(until(lambda: not os.path.exists(f"/proc/{keeper}"), 1))
        kill(self.pid, signal.SIGUSR1)
        self.assertTrue(until(lambda: self.home.numbers() == [signal.SIGUSR1]))
        self.home.tell(self.pid, "exit 768")
        self.assertEqual(3, self.process.wait(5))

    def test_it_ends_with_the_deputy(self):
        _, keeper = self.leave()
        self.home.tell(self.pid, "exit 768")
        self.assertEqual(3, self.process.wait(5))
        self.assertTrue(until(lambda: not alive(keeper), 1))

    def test_a_body_that_can_have_no_child_becomes_a_deputy_all_the_same(self):
        victim = self.victim(prefix=["prlimit", "--nproc=2", "setpriv", "--reuid=65533", "--regid=65533",
                                     "--clear-groups"])
        program = os.path.join(self.folder, "shim")
        shutil.copy(SHIM, program)
        os.chmod(self.socket, 0o666)
        self.freeze(victim.pid)
        lines = self.deputize(victim.pid, extra=["--program", program, "--keep-memory"])
        self.assertEqual([f"no-memory {victim.pid} No child processes", f"deputy {victim.pid}", "done"], lines[-3:])
        self.assertTrue(self.home.has(victim.pid))

    def test_a_killed_deputize_leaves_a_keeper_or_a_frozen_body(self):
        for _ in range(TRIES // 2):
            victim = Victim(self.folder, 1)
            try:
                self.freeze(victim.pid)
                process = subprocess.Popen(self.command(victim.pid) + ["--keep-memory"], stdout=subprocess.DEVNULL)
                time.sleep(random.uniform(0.0005, 0.008))
                process.kill()
                process.wait()
                if os.path.exists(self.cgroup):
                    self.assertEqual("done", self.deputize(victim.pid, extra=["--keep-memory"])[-1])
                self.assertTrue(self.home.has(victim.pid), "neither frozen nor a deputy")
                self.assertTrue(until(lambda: self.names(victim.pid) == ["exile-memory"]))
            finally:
                victim.end()

    @staticmethod
    def names(pid):
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [status(child, "Name")[0] for child in f.read().split()]


@needs_root
class KilledDeputizeTest(DeputyCase):
    def test_a_killed_deputize_sets_no_body_free(self):
        agent = self.agent()
        outcome = {"frozen": 0, "deputy": 0}
        longest = 0.008
        for number in range(TRIES):
            victim = Victim(self.folder, number % 4)
            try:
                self.freeze(victim.pid)
                count = victim.value()
                process = subprocess.Popen(self.command(victim.pid), stdout=subprocess.DEVNULL)
                time.sleep(random.uniform(0.0005, longest))
                process.kill()
                process.wait()
                left = os.path.exists(self.cgroup) and str(victim.pid) in self.listed()
                outcome["frozen" if left else "deputy"] += 1
                if os.path.exists(self.cgroup):
                    self.assertEqual("done", self.deputize(victim.pid)[-1])
                self.assertTrue(agent.has(victim.pid), "neither frozen nor a deputy")
                self.assertEqual(count, victim.value())
                agent.tell(victim.pid, "exit 0")
                self.assertEqual(0, victim.process.wait(5))
            finally:
                victim.end()
        self.assertTrue(all(outcome.values()), outcome)

    def listed(self):
        try:
            with open(os.path.join(self.cgroup, "cgroup.procs")) as f:
                return f.read().split()
        except FileNotFoundError:
            return []
