"""Job post: signals into a process, exactly, and without disturbing it; and all the way from a deputy."""
import os
import random
import signal
import subprocess
import tempfile
import threading
import time

from deputies import DeputyCase, built, fields, info, sigqueue, state, status, tgkill, threads
from support import SHIM, kill, needs_root, until

KILLS = int(os.environ.get("EXILE_TEST_KILLS", "50"))


class Post:
    def __init__(self, init, *more):
        self.process = subprocess.Popen([SHIM, "post", "--id", "m1", "--cell", str(init), *more],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.sequence = 0

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def deliver(self, pid, tid, text, sequence=None):
        self.sequence = sequence or self.sequence + 1
        return self.ask(f"deliver {self.sequence} {pid} {tid} {text}")

    def end(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        code = self.process.wait(10)
        self.process.stdout.close()
        return code


class PostCase(DeputyCase):
    """A PID namespace of its own with a shell for its init and one child, the victim."""

    def cell(self, *command):
        script = '"$@" & wait; exec sleep 60'
        self.outer = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", *command],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(self.outer.wait)
        self.addCleanup(self.outer.kill)
        self.assertTrue(until(lambda: self.children(self.outer.pid)))
        self.init = self.children(self.outer.pid)[0]
        self.assertTrue(until(lambda: self.children(self.init)))
        self.pid = self.children(self.init)[0]
        self.inner = self.inner_pid(self.pid)
        self.assertTrue(until(lambda: os.readlink(f"/proc/{self.pid}/exe") == command[0]))

    def victim_cell(self, extra_threads=0, *more):
        folder = tempfile.mkdtemp(dir=self.folder)
        self.log, self.count = os.path.join(folder, "log"), os.path.join(folder, "count")
        self.cell(built("victim"), self.log, self.count, str(extra_threads), *more)
        self.assertTrue(until(lambda: self.value() > 3))

    @staticmethod
    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return list(map(int, f.read().split()))

    @staticmethod
    def inner_pid(pid, tid=None):
        with open(f"/proc/{pid}/task/{tid or pid}/status") as f:
            return int(next(line for line in f if line.startswith("NSpid:")).split()[-1])

    def value(self):
        try:
            with open(self.count, "rb") as f:
                return int.from_bytes(f.read(8), "little")
        except FileNotFoundError:
            return 0

    def logged(self):
        return [tuple(map(int, line.split())) for line in self.lines()]

    def lines(self):
        try:
            with open(self.log) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def post(self, *more):
        post = Post(self.init, *more)
        self.addCleanup(post.end)
        return post

    def assert_runs(self):
        before = self.value()
        self.assertTrue(until(lambda: self.value() > before))


@needs_root
class PostTest(PostCase):
    def test_every_code_arrives_as_it_was_sent(self):
        for more in ((), ("busy",)):
            with self.subTest(more):
                self.victim_cell(2, *more)
                post = self.post()
                wanted = []
                for number in (1, 10, 15, 17, 18, 34, 50):
                    for code in (0, -1, -2, -6, 128, 1):
                        wanted.append((0, number, code, 4000 + number, 77, 5))
                        self.assertEqual(f"delivered {len(wanted)}",
                                         post.deliver(self.inner, 0, info(number, code, 4000 + number, 77, 5)))
                        self.assertTrue(until(lambda: len(self.logged()) == len(wanted)))
                self.assertEqual([w[:3] for w in wanted], [w[:3] for w in self.logged()])
                self.assertEqual([w[3:5] for w in wanted if w[2] != -2], [w[3:5] for w in self.logged() if w[2] != -2])
                self.assert_runs()
                self.outer.kill()

    def test_what_is_on_record_is_not_delivered_again(self):
        self.victim_cell()
        record = os.path.join(self.folder, "record")
        post = self.post("--record", record)
        for sequence in (1, 2, 3):
            self.assertEqual(f"delivered {sequence}", post.deliver(self.inner, 0, info(40, -1, 1, 2, sequence), sequence))
        for again in (post, self.post("--record", record)):
            for sequence in (1, 2, 3):
                self.assertEqual(f"delivered {sequence}",
                                 again.deliver(self.inner, 0, info(40, -1, 1, 2, sequence), sequence))
        self.assertEqual("delivered 4", again.deliver(self.inner, 0, info(40, -1, 1, 2, 4), 4))
        self.assertTrue(until(lambda: len(self.logged()) == 4))
        self.assertEqual([1, 2, 3, 4], [w[5] for w in self.logged()])

    def test_a_stop_on_record_does_not_undo_what_continued_it(self):
        self.victim_cell()
        record = ["--record", os.path.join(self.folder, "record")]
        post = self.post(*record)
        self.assertEqual("delivered 7", post.deliver(self.inner, 0, info(19, 0), 7))
        self.assertTrue(until(lambda: state(self.pid) == "T"))
        self.assertEqual("delivered 1", post.deliver(self.inner, 0, info(18, 0, 5), 1))
        self.assertTrue(until(lambda: state(self.pid) != "T"))
        again = self.post(*record)
        self.assertEqual("delivered 7", again.deliver(self.inner, 0, info(19, 0), 7))
        self.assert_runs()
        self.assertEqual("delivered 2", again.deliver(self.inner, 0, info(40, 0, 5), 2))
        self.assertTrue(until(lambda: 40 in [w[1] for w in self.logged()]))
        self.assertEqual("delivered 8", again.deliver(self.inner, 0, info(19, 0), 8))
        self.assertTrue(until(lambda: state(self.pid) == "T"))

    def test_a_thread_gets_its_own(self):
        self.victim_cell(3)
        post = self.post()
        tids = threads(self.pid)[2:]
        for tid in tids + tids:
            self.assertRegex(post.deliver(self.inner, self.inner_pid(self.pid, tid), info(60, -6, 9)), "^delivered")
        self.assertTrue(until(lambda: len(self.logged()) == 6))
        self.assertEqual([(thread, 60) for thread in (1, 2, 3) for _ in range(2)],
                         sorted((w[0], w[1]) for w in self.logged()))
        self.assertEqual("gone 7", post.deliver(self.inner, 99999, info(60, -6)))
        self.assertEqual("gone 8", post.deliver(99999, 0, info(60, -6)))

    def test_nothing_is_disturbed(self):
        faults, rounds = os.path.join(self.folder, "faults"), os.path.join(self.folder, "rounds")
        self.cell(built("disturb"), faults, rounds)
        self.assertTrue(until(lambda: os.path.exists(rounds)))
        post = self.post()
        tids = [self.inner_pid(self.pid, tid) for tid in threads(self.pid)]
        memory = self.padding()
        for number in range(600):
            tid = tids[number % len(tids)]
            self.assertRegex(post.deliver(self.inner, 0 if tid == self.inner else tid, info(40, -6, 1)), "^delivered")
        time.sleep(0.3)
        with open(faults) as f:
            self.assertEqual("", f.read())
        with open(rounds) as f:
            self.assertGreater(min(map(int, f.read().split())), 1)
        self.assertEqual(0, post.end())
        self.assertEqual(memory, self.padding())

    def padding(self):
        """The end of all code of the process."""
        found = []
        with open(f"/proc/{self.pid}/maps") as maps, open(f"/proc/{self.pid}/mem", "rb") as memory:
            for line in maps:
                if "r-xp" in line:
                    memory.seek(int(line.split()[0].split("-")[1], 16) - 1024)
                    found.append((line, memory.read(1024)))
        return found

    def waits(self):
        """Whether the program's first thread is in its epoll_wait."""
        with open(f"/proc/{self.pid}/syscall") as f:
            return f.read().startswith("232 ")

    def test_handlers_run_in_the_thread_and_place_where_they_would(self):
        self.log = os.path.join(self.folder, "log")
        self.cell(built("handler"), self.log)
        self.assertTrue(until(lambda: "ready" in self.lines() and self.waits()))
        kill(self.pid, 12)
        self.assertTrue(until(lambda: self.lines()[-2:] == ["12 0 1 1", "woken"]))
        post = self.post()
        for count in range(50):
            for number, code in ((10, 0), (12, -6), (34, -1)):
                self.assertTrue(until(self.waits))
                post.deliver(self.inner, 0, info(number, code, 1))
                self.assertTrue(until(lambda: self.lines()[-2:] == [f"{number} {code} 1 1", "woken"]), self.lines()[-4:])
        post.deliver(self.inner, 0, info(signal.SIGWINCH, 0))
        time.sleep(0.05)
        self.assertEqual(["34 -1 1 1", "woken"], self.lines()[-2:])
        self.assertEqual(f"watching {self.inner}", post.ask(f"watch {self.inner}"))
        self.assertRegex(post.deliver(self.inner, 0, info(15, 0)), "^delivered")
        self.assertEqual(f"ended {self.inner}", post.process.stdout.readline().strip())

    def test_stop_continue_and_kill(self):
        self.victim_cell()
        post = self.post()
        post.ask(f"watch {self.inner}")
        for _ in range(3):
            post.deliver(self.inner, 0, info(19, 0))
            self.assertTrue(until(lambda: state(self.pid) == "T"))
            self.assertRegex(post.deliver(self.inner, 0, info(40, 0, 5)), "^delivered")
            self.assertTrue(until(lambda: state(self.pid) == "T"))
            post.deliver(self.inner, 0, info(18, 0, 5))
            self.assertTrue(until(lambda: state(self.pid) == "S"))
        self.assertTrue(until(lambda: len(self.logged()) == 6))
        self.assertEqual([18, 40] * 3, [w[1] for w in self.logged()])
        self.assertRegex(post.deliver(self.inner, 0, info(9, 0)), "^delivered")
        self.assertEqual(f"ended {self.inner}", post.process.stdout.readline().strip())

    def test_a_frozen_process_gets_its_signals_later(self):
        self.victim_cell()
        self.freeze(self.pid)
        post = self.post()
        self.assertRegex(post.deliver(self.inner, 0, info(34, 0), 1), "^later 1 ")
        with open(os.path.join(self.cgroup, "cgroup.freeze"), "w") as f:
            f.write("0")
        self.assertEqual("delivered 1", post.deliver(self.inner, 0, info(34, 0), 1))
        self.assertTrue(until(lambda: len(self.logged()) == 1))

    def test_a_killed_post_harms_nothing_and_loses_nothing(self):
        self.victim_cell(1)
        sequence = 0
        for number in range(KILLS):
            post = self.post()
            end = time.monotonic() + random.uniform(0.001, 0.02)
            killer = threading.Timer(end - time.monotonic(), post.process.kill)
            killer.start()
            try:
                while True:
                    sequence += 1
                    answer = post.deliver(self.inner, 0, info(34, -1, 1, 2, sequence), sequence)
                    if answer != f"delivered {sequence}":
                        break
            except (BrokenPipeError, ValueError):
                pass
            killer.join()
            post.end()
            again = self.post()
            self.assertEqual(f"delivered {sequence}",
                             again.deliver(self.inner, 0, info(34, -1, 1, 2, sequence), sequence))
            again.process.kill()
        self.assert_runs()
        self.assertTrue(until(lambda: len(self.logged()) >= sequence))
        values = [w[5] for w in self.logged()]
        self.assertEqual(list(range(1, sequence + 1)), values)


@needs_root
class WholeWayTest(PostCase):
    def test_two_thousand_signals_during_freeze_and_after(self):
        home = self.victim(3)
        self.victim_cell(3)
        post = self.post()
        self.assertTrue(until(lambda: len(threads(home.pid)) == len(threads(self.pid)) >= 4))
        there = dict(zip(threads(home.pid), (self.inner_pid(self.pid, tid) for tid in threads(self.pid))))
        there[0] = 0
        wanted = []

        def forward(_agent, _pid, tid, text):
            self.assertRegex(post.deliver(self.inner, there[tid], text), "^delivered")

        me = os.getpid()
        self.freeze(home.pid)
        for number in range(1000):
            kind = number % 4
            if kind == 0:
                sigqueue(home.pid, 34 + number % 7, number)
                wanted.append((0, 34 + number % 7, -1, me, 0, number))
            elif kind == 1:
                kill(home.pid, 45)
                wanted.append((0, 45, 0, me, 0, 0))
            elif kind == 2:
                thread = 1 + number % 3
                tgkill(home.pid, threads(home.pid)[1 + thread], 60)
                wanted.append((thread, 60, -6, me, 0, 0))
            else:
                # Coalesced by the kernel: the first of each.
                standard = (1, 2, 10, 12, 15)[number % 5]
                kill(home.pid, standard)
                if number < 20:
                    wanted.append((0, standard, 0, me, 0, 0))
        lines = self.deputize(home.pid)
        for line in lines:
            words = line.split()
            if words[0] == "held":
                forward(None, home.pid, int(words[2]), words[3])
        agent = self.agent(on_signal=forward)
        self.assertTrue(agent.has(home.pid))
        for number in range(1000):
            if number % 2:
                sigqueue(home.pid, 34 + number % 7, number)
                wanted.append((0, 34 + number % 7, -1, me, 0, number))
            else:
                tgkill(home.pid, home.pid, 45)
                wanted.append((0, 45, -6, me, 0, 0))
        self.assertTrue(until(lambda: len(self.logged()) == len(wanted), 15), (len(self.logged()), len(wanted)))
        self.assertEqual(self.by_queue(wanted), self.by_queue(self.logged()))

    @staticmethod
    def by_queue(entries):
        """Between different numbers that are pending together the kernel has an order of its own."""
        queues = {}
        for entry in entries:
            # A thread's own come before its process's, so those are two queues.
            queues.setdefault((entry[0], entry[1], entry[2] == -6), []).append(entry)
        return queues
