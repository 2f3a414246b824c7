"""Jobs deputize, watch and the deputy itself, with real processes."""
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

from deputies import DeputyCase, Victim, fields, sigqueue, state, status, tgkill, threads
from support import SHIM, kill, needs_root, until

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

    def test_sockets_and_pipes_are_parked_and_closed_on_request(self):
        agent = self.agent()
        ours, theirs = socket.socketpair()
        inherited, other = socket.socketpair()
        code = ("import socket,sys,os,time; a=socket.socket(); a.bind(('127.0.0.1',0)); a.listen(); "
                "f=open('/etc/passwd'); r,w=os.pipe(); b=socket.create_connection(a.getsockname()); "
                f"p=socket.socket(fileno={theirs.fileno()}); os.set_inheritable(p.fileno(),False); "
                "p.send(str([s.fileno() for s in (a,b)]+[r,w,f.fileno()]).encode()); time.sleep(60)")
        process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno(), inherited.fileno()],
                                   stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        listening, connected, reader, writer, file = map(int, re.findall(r"\d+", ours.recv(100).decode()))
        kept = {theirs.fileno(), inherited.fileno(), listening, connected, reader, writer}
        before = {fd: os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in kept}
        theirs.close()
        inherited.close()
        self.freeze(process.pid)
        self.assertEqual("done", self.deputize(process.pid)[-1])
        self.assertTrue(agent.has(process.pid))
        self.assertEqual(before, {fd: os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in kept})
        self.assertFalse(os.path.exists(f"/proc/{process.pid}/fd/{file}"))
        own = [int(fd) for fd in os.listdir(f"/proc/{process.pid}/fd") if int(fd) not in kept | {0, 1, 2}]
        self.assertEqual(2, len(own))
        self.assertGreater(min(own), max(kept))
        closed = min(kept)
        for fd in own + [closed]:
            agent.tell(process.pid, f"close {fd}")
        self.assertTrue(until(lambda: not os.path.exists(f"/proc/{process.pid}/fd/{closed}")))
        self.assertTrue(all(os.path.exists(f"/proc/{process.pid}/fd/{fd}") for fd in own))
        ours.close()
        other.close()

    def test_what_was_pending_at_the_dump_is_not_forwarded(self):
        agent = self.agent()
        victim = self.victim(2)
        thread = threads(victim.pid)[2]
        self.freeze(victim.pid)
        for value in range(5):
            sigqueue(victim.pid, 40, value)
        kill(victim.pid, 10)
        kill(victim.pid, 12)
        for _ in range(3):
            tgkill(victim.pid, victim.pid, 41)
            tgkill(victim.pid, thread, 60)
        skip = f"{victim.pid}:40:3,{victim.pid}:10:1,{victim.pid}/{thread}:60:2,{victim.pid}/{victim.pid}:41:1"
        lines = self.deputize(victim.pid, extra=["--skip", skip])
        held = [line.split() for line in lines if line.startswith("held")]
        self.assertEqual([["held", str(victim.pid), str(thread)]], [words[:3] for words in held])
        self.assertEqual((60, -6), fields(held[0][3])[:2])
        self.assertTrue(until(lambda: len(agent.signals) == 5))
        self.assertEqual([(victim.pid, 41), (victim.pid, 41), (0, 12), (0, 40), (0, 40)],
                         [(tid, fields(text)[0]) for _, tid, text in agent.signals])
        self.assertEqual([3, 4], [fields(text)[4] for _, _, text in agent.signals[3:]])

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


@needs_root
class LifeTest(DeputyCase):
    def switches(self, pid):
        return status(pid, "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")

    def watch(self, *pids):
        watch = subprocess.Popen([SHIM, "watch", "--id", "m1", *map(str, pids)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_watch, watch)
        for pid in pids:
            self.assertEqual(f"watching {pid}\n", watch.stdout.readline())
        return watch

    @staticmethod
    def end_watch(watch):
        watch.stdin.close()
        watch.wait(5)
        watch.stdout.close()

    def test_idle_it_sleeps_and_so_does_its_watcher(self):
        agent = self.agent()
        victim = self.victim()
        self.deputy(victim)
        self.assertTrue(agent.has(victim.pid))
        watch = self.watch(victim.pid)
        time.sleep(0.1)
        before = self.switches(victim.pid), self.switches(watch.pid)
        time.sleep(2)
        self.assertEqual(before, (self.switches(victim.pid), self.switches(watch.pid)))

    def test_while_the_agent_is_away_signals_stay_in_the_kernel(self):
        victim = self.victim()
        self.deputy(victim)
        for value in range(100):
            sigqueue(victim.pid, 40, value)
            kill(victim.pid, 10)
        before = int(self.switches(victim.pid)[0])
        time.sleep(2)
        self.assertLessEqual(int(self.switches(victim.pid)[0]) - before, 3)
        agent = self.agent()
        self.assertTrue(until(lambda: len(agent.signals) == 101))
        self.assertEqual([10] + [40] * 100, agent.numbers())
        self.assertEqual(list(range(100)), [fields(text)[4] for _, _, text in agent.signals[1:]])

    def test_what_is_not_acknowledged_is_sent_again_and_bounded(self):
        agent = self.agent(acknowledge=False)
        victim = self.victim()
        self.deputy(victim)
        for value in range(200):
            sigqueue(victim.pid, 40, value)
        self.assertTrue(until(lambda: len(agent.signals) == 64))
        time.sleep(0.1)
        self.assertEqual(64, len(agent.signals))
        agent.close()
        again = self.agent()
        self.assertTrue(until(lambda: len(again.signals) == 200))
        self.assertEqual(list(range(200)), [fields(text)[4] for _, _, text in again.signals])
        self.assertEqual([(victim.pid, n) for n in range(1, 201)], again.seen)

    def test_stop_and_continue(self):
        agent = self.agent()
        victim = self.victim(process_group=0)
        self.deputy(victim)
        for number in (signal.SIGTSTP, signal.SIGSTOP, signal.SIGTTIN):
            agent.tell(victim.pid, f"stop {int(number)}")
            self.assertEqual((victim.pid, number << 8 | 0x7f), os.waitpid(victim.pid, os.WUNTRACED))
            kill(victim.pid, signal.SIGCONT)
            self.assertEqual((victim.pid, 0xffff), os.waitpid(victim.pid, os.WCONTINUED))
        # The agent's own SIGCONT (this process's) is not told to the agent. Pending, it would swallow another's.
        self.assertTrue(until(lambda: int(status(victim.pid, "ShdPnd")[0], 16) == 0))
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCONT]))

    def test_where_no_shell_could_stop_it_it_stops_all_the_same(self):
        """In an orphaned process group the kernel ignores the keyboard's stop signals."""
        agent = self.agent()
        victim = self.victim(start_new_session=True)
        self.deputy(victim)
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            agent.tell(victim.pid, f"stop {int(number)}")
            self.assertEqual((victim.pid, 0x137f), os.waitpid(victim.pid, os.WUNTRACED))
            subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
            self.assertEqual((victim.pid, 0xffff), os.waitpid(victim.pid, os.WCONTINUED))
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCONT] * 3), agent.numbers())

    def test_a_stop_signal_that_nobody_can_catch_is_noticed(self):
        agent = self.agent()
        victim = self.victim(process_group=0)
        self.deputy(victim)
        watch = self.watch(victim.pid)
        kill(victim.pid, signal.SIGSTOP)
        self.assertEqual(f"stopped {victim.pid} 19\n", watch.stdout.readline())
        self.assertEqual((victim.pid, 0x137f), os.waitpid(victim.pid, os.WUNTRACED))
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        self.assertEqual((victim.pid, 0xffff), os.waitpid(victim.pid, os.WCONTINUED))
        self.assertEqual(f"continued {victim.pid}\n", watch.stdout.readline())
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCONT]))
        agent.tell(victim.pid, "stop 20")
        self.assertEqual(f"stopped {victim.pid} 20\n", watch.stdout.readline())
        self.assertEqual((victim.pid, 0x147f), os.waitpid(victim.pid, os.WUNTRACED))
        # Killed, it leaves the deputy as it stands; the next one finds it so.
        watch.kill()
        watch.wait()
        time.sleep(0.1)
        self.assertEqual("T", state(victim.pid))
        again = self.watch(victim.pid)
        self.assertEqual(f"stopped {victim.pid} 20\n", again.stdout.readline())
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        agent.tell(victim.pid, "exit 15")
        self.assertEqual(f"continued {victim.pid}\n", again.stdout.readline())
        self.assertEqual(f"ended {victim.pid} 15\n", again.stdout.readline())
        self.assertEqual(-15, victim.process.wait(5))

    def test_a_killed_watcher_loses_no_stop(self):
        self.agent()
        victim = self.victim()
        self.deputy(victim)
        for number in range(20):
            watch = self.watch(victim.pid)
            kill(victim.pid, signal.SIGSTOP)
            if number % 2:
                time.sleep(random.uniform(0, 0.001))
            watch.kill()
            self.assertTrue(until(lambda: state(victim.pid) == "T"), number)
            kill(victim.pid, signal.SIGCONT)
            self.assertTrue(until(lambda: state(victim.pid) == "S"), number)

    def test_only_deputies_of_this_migration_are_watched(self):
        victim = self.victim()
        watch = self.watch()
        watch.stdin.write(f"add {victim.pid}\n")
        watch.stdin.flush()
        self.assertEqual(f"gone {victim.pid}\n", watch.stdout.readline())
        count = victim.value()
        self.assertTrue(until(lambda: victim.value() > count))
