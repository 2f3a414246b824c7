"""Job track: userfaultfds for running processes, which must not notice."""
import ctypes
import fcntl
import os
import random
import re
import statistics
import struct
import subprocess
import tempfile
import threading
import time

from deputies import DeputyCase, LIBC, built, state, status
from support import SHIM, kill, needs_root, until
from test_veil import private_areas

KILLS = int(os.environ.get("EXILE_TEST_KILLS", "50"))
KINDS = ["nanosleep", "poll", "select", "futex", "pause", "read", "epoll", "signal", "wait", "open", "compute"]
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
WP_UNPOPULATED, WP_ASYNC = 1 << 13, 1 << 15
SECCOMP = """
import ctypes, struct, time
deny = b"".join(struct.pack("=HBBI", *i) for i in ((0x20, 0, 0, 0), (0x15, 0, 1, 323), (0x06, 0, 0, 0x80000000),
                                                   (0x06, 0, 0, 0x7fff0000)))
buffer = ctypes.create_string_buffer(deny)
program = ctypes.create_string_buffer(struct.pack("=H6xQ", 4, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
print("ready", flush=True)
time.sleep(60)
"""


class Track:
    def __init__(self):
        self.process = subprocess.Popen([SHIM, "track"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def take(self, number):
        """As the agent does."""
        pidfd = os.pidfd_open(self.process.pid)
        try:
            return LIBC.syscall(438, pidfd, number, 0)
        finally:
            os.close(pidfd)

    def end(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        code = self.process.wait(10)
        self.process.stdout.close()
        return code


@needs_root
class TrackTest(DeputyCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o711)

    def track(self):
        track = Track()
        self.addCleanup(track.end)
        return track

    def start(self, *command, **options):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process.pid

    def waiter(self, kind, **options):
        folder = tempfile.mkdtemp(dir=self.folder)
        os.chmod(folder, 0o777)
        faults, rounds = os.path.join(folder, "faults"), os.path.join(folder, "rounds")
        pid = self.start(built("waiter"), kind, faults, rounds, **options)

        def value():
            try:
                with open(rounds, "rb") as f:
                    return int.from_bytes(f.read(8), "little")
            except FileNotFoundError:
                return 0
        self.assertTrue(until(lambda: value() > 1))
        return pid, faults, value

    def assert_unharmed(self, faults, value):
        before = value()
        self.assertTrue(until(lambda: value() > before + 2))
        with open(faults) as f:
            self.assertEqual("", f.read())

    def opened(self, track, pid):
        answer = track.ask(f"open {pid}")
        self.assertRegex(answer, rf"^opened {pid} \d+ \d+$")
        return list(map(int, answer.split()[2:]))

    @staticmethod
    def descriptors(pid):
        """But for those that it opens and closes all the time."""
        found = {}
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                pass
        return {name: link for name, link in found.items() if link != "/dev/null" or int(name) < 3}

    @staticmethod
    def padding(pid):
        """The end of all code of the process."""
        found = []
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
            for line in maps:
                if "r-xp" in line:
                    memory.seek(int(line.split()[0].split("-")[1], 16) - 2048)
                    found.append((line, memory.read(2048)))
        return found

    @staticmethod
    def threads(pid):
        return os.listdir(f"/proc/{pid}/task"), status(pid, "SigBlk", "Threads")

    @staticmethod
    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return f.read().split()

    def test_what_is_opened_is_a_userfaultfd_for_that_process(self):
        pid, faults, value = self.waiter("nanosleep")
        track = self.track()
        number, _ = self.opened(track, pid)
        fd = track.take(number)
        self.assertGreater(fd, 2)
        fcntl.ioctl(fd, UFFDIO_API, struct.pack("=QQQ", 0xAA, WP_UNPOPULATED | WP_ASYNC, 0))
        start, end = next(private_areas(pid))
        fcntl.ioctl(fd, UFFDIO_REGISTER, struct.pack("=QQQQ", start, end - start, 2, 0))
        with open(f"/proc/{pid}/smaps") as f:
            flags = re.search(rf"^{start:x}-.*?VmFlags: (.*?)$", f.read().replace(f"{start:08x}-", f"{start:x}-"),
                              re.M | re.S).group(1)
        self.assertIn("uw", flags.split())
        self.assert_unharmed(faults, value)
        os.close(fd)
        self.assertEqual(f"closed {number}", track.ask(f"close {number}"))
        self.assertEqual(f"error {number} Bad file descriptor", track.ask(f"close {number}"))
        self.assertEqual(0, track.end())

    def test_no_kind_of_wait_is_disturbed(self):
        track = self.track()
        for kind in KINDS:
            with self.subTest(kind):
                pid, faults, value = self.waiter(kind)
                files, code, before = self.descriptors(pid), self.padding(pid), self.threads(pid)
                times = []
                for _ in range(30):
                    number, micros = self.opened(track, pid)
                    times.append(micros)
                    track.ask(f"close {number}")
                    time.sleep(random.uniform(0, 0.02))
                self.assert_unharmed(faults, value)
                self.assertTrue(until(lambda: self.descriptors(pid) == files), kind)
                self.assertEqual(code, self.padding(pid))
                self.assertEqual(before, self.threads(pid))
                print(f"{kind}: stood {statistics.median(times)} µs, {max(times)} at most", end=" ", flush=True)
                kill(pid)

    def disturbed(self):
        faults, rounds = os.path.join(self.folder, "faults"), os.path.join(self.folder, "rounds")
        pid = self.start(built("disturb"), faults, rounds)
        self.assertTrue(until(lambda: os.path.exists(rounds)))
        return pid, faults, rounds

    def test_200_times_in_a_program_with_threads(self):
        pid, faults, rounds = self.disturbed()
        track = self.track()
        before = self.threads(pid)
        times = []
        for _ in range(200):
            number, micros = self.opened(track, pid)
            times.append(micros)
            track.ask(f"close {number}")
        time.sleep(0.3)
        with open(faults) as f:
            self.assertEqual("", f.read())
        with open(rounds) as f:
            self.assertGreater(min(map(int, f.read().split())), 1)
        self.assertEqual(before, self.threads(pid))
        self.assertEqual([], self.children(pid))
        print(f"stood {statistics.median(times)} µs, {max(times)} at most", end=" ", flush=True)

    def test_a_killed_track_harms_nothing(self):
        # (A wait that no stop leaves alone ends with EINTR if track dies just as it has stopped it.)
        waiters = [self.waiter(kind) for kind in ("nanosleep", "poll", "futex", "read", "compute", "wait", "open")]
        files = [self.descriptors(pid) for pid, _, _ in waiters]
        for number in range(KILLS):
            pid, faults, value = waiters[number % len(waiters)]
            track = Track()
            self.assertRegex(track.ask("open 1 "), "^error")
            killer = threading.Timer(random.uniform(0, 0.0025), track.process.kill)
            track.process.stdin.write(f"open {pid}\n" * 20)
            killer.start()
            try:
                track.process.stdin.flush()
            except BrokenPipeError:
                pass
            killer.join()
            track.process.stdout.read()
            track.end()
        with self.subTest("a successor"):
            track = self.track()
            for pid, _, _ in waiters:
                self.opened(track, pid)
        for i, (pid, faults, value) in enumerate(waiters):
            with self.subTest(i):
                self.assertTrue(until(lambda: self.threads(pid)[1][1] == "1"))
                before = value()
                self.assertTrue(until(lambda: value() > before + 2))
                with open(faults) as f:
                    self.assertEqual("", f.read())
                self.assertTrue(until(lambda: self.descriptors(pid) == files[i]))

    def test_a_stopped_process_stays_so(self):
        pid, faults, value = self.waiter("nanosleep")
        kill(pid, 19)
        self.assertTrue(until(lambda: state(pid) == "T"))
        track = self.track()
        self.opened(track, pid)
        self.assertTrue(until(lambda: state(pid) == "T"))
        kill(pid, 18)
        self.assert_unharmed(faults, value)

    def test_a_process_of_another_user_is_served(self):
        pid, faults, value = self.waiter("nanosleep", user=65534, group=65534, extra_groups=[])
        self.opened(self.track(), pid)
        self.assert_unharmed(faults, value)

    def test_a_process_in_a_pid_namespace_is_served(self):
        folder = tempfile.mkdtemp(dir=self.folder)
        outer = self.start("unshare", "--pid", "--fork", "--kill-child", built("waiter"), "poll", f"{folder}/faults",
                           f"{folder}/rounds")
        self.assertTrue(until(lambda: self.children(outer) and os.path.exists(f"{folder}/rounds")))
        pid = int(self.children(outer)[0])
        time.sleep(0.1)
        track = self.track()
        for _ in range(10):
            self.opened(track, pid)
        self.assertEqual([], self.children(pid))
        with open(f"{folder}/faults") as f:
            self.assertEqual("", f.read())

    def test_what_cannot_be_served_is_told_and_unharmed(self):
        track = self.track()
        frozen, faults, value = self.waiter("nanosleep")
        self.freeze(frozen)
        self.assertRegex(track.ask(f"open {frozen}"), f"^error {frozen} ")
        with open(os.path.join(self.cgroup, "cgroup.freeze"), "w") as f:
            f.write("0")
        self.assert_unharmed(faults, value)
        filtered = subprocess.Popen(["/usr/bin/python3", "-c", SECCOMP], stdout=subprocess.PIPE, text=True)
        self.addCleanup(filtered.stdout.close)
        self.addCleanup(filtered.wait)
        self.addCleanup(filtered.kill)
        self.assertEqual("ready\n", filtered.stdout.readline())
        self.assertRegex(track.ask(f"open {filtered.pid}"), f"^error {filtered.pid} .*seccomp")
        self.assertIsNone(filtered.poll())
        for line, answer in (("open 4194304", "error 4194304 "), ("open x", "error 0 "), ("close x", "error 0 "),
                             ("melt", "error 0 "), ("close 0", "error 0 ")):
            self.assertTrue(track.ask(line).startswith(answer), line)
        limited, faults, value = self.waiter("nanosleep")
        subprocess.run(["prlimit", "--pid", str(limited), "--nofile=0:0"], check=True)
        self.assertEqual(f"error {limited} Too many open files", track.ask(f"open {limited}"))
        self.assert_unharmed(faults, value)

    def test_no_kind_of_wait_is_disturbed_by_standing(self):
        track = self.track()
        for kind in KINDS:
            with self.subTest(kind):
                pid, faults, value = self.waiter(kind)
                times = []
                for _ in range(30):
                    self.assertEqual(f"stands {pid}", track.ask(f"stand {pid}"))
                    answer = track.ask(f"go {pid}")
                    self.assertRegex(answer, rf"^went {pid} \d+$")
                    times.append(int(answer.split()[2]))
                    time.sleep(random.uniform(0, 0.02))
                self.assert_unharmed(faults, value)
                print(f"{kind}: stood {statistics.median(times)} µs, {max(times)} at most", end=" ", flush=True)
                kill(pid)

    def rounds(self, path):
        with open(path) as f:
            return f.read().split()

    def test_all_threads_stand_and_go_on(self):
        pid, faults, rounds = self.disturbed()
        track = self.track()
        before = self.threads(pid)
        for _ in range(50):
            self.assertEqual(f"stands {pid}", track.ask(f"stand {pid}"))
            states = {state(int(tid)) for tid in os.listdir(f"/proc/{pid}/task")}
            self.assertEqual({"t"}, states - {"Z", "X"})
            self.assertRegex(track.ask(f"go {pid}"), f"^went {pid} ")
        self.assertTrue(until(lambda: self.threads(pid) == before))
        counted = self.rounds(rounds)
        self.assertTrue(until(lambda: all(map(lambda a, b: a != b, counted, self.rounds(rounds)))))
        with open(faults) as f:
            self.assertEqual("", f.read())

    def test_whoever_is_killed_while_it_stands_it_goes_on(self):
        pid, faults, value = self.waiter("compute")
        for victim in ("track", "holder"):
            with self.subTest(victim):
                track = self.track()
                self.assertEqual(f"stands {pid}", track.ask(f"stand {pid}"))
                kill(track.process.pid if victim == "track" else int(self.children(track.process.pid)[0]))
                self.assertTrue(until(lambda: state(pid) != "t"))
                self.assert_unharmed(faults, value)
                if victim == "holder":
                    self.assertRegex(track.ask(f"go {pid}"), f"^error {pid} ")
                    self.assertEqual(f"stands {pid}", track.ask(f"stand {pid}"))
                    self.assertRegex(track.ask(f"go {pid}"), f"^went {pid} ")

    def test_it_does_not_stand_for_ever(self):
        pid, faults, value = self.waiter("nanosleep")
        track = self.track()
        self.assertEqual(f"stands {pid}", track.ask(f"stand {pid}"))
        self.assertRegex(track.ask("stand 1"), "^error 1 ")
        self.assertTrue(until(lambda: state(pid) != "t", 10))
        self.assertRegex(track.ask(f"go {pid}"), f"^error {pid} ")
        before = value()
        self.assertTrue(until(lambda: value() > before + 2))

    def test_what_cannot_stand_runs_on(self):
        # A parent that waits for the child that it shares its memory with.
        forker = subprocess.Popen(["/usr/bin/python3", "-c", "import ctypes, os\nprint('ready', flush=True)\n"
                                   "pid = ctypes.CDLL(None).syscall(58)\n"
                                   "if pid == 0: ctypes.CDLL(None).syscall(34)\n"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(forker.stdout.close)
        self.addCleanup(forker.wait)
        self.addCleanup(forker.kill)
        self.assertEqual("ready\n", forker.stdout.readline())
        self.assertTrue(until(lambda: self.children(forker.pid)))
        self.addCleanup(kill, int(self.children(forker.pid)[0]))
        self.assertTrue(until(lambda: state(forker.pid) == "D"))
        track = self.track()
        self.assertEqual(f"busy {forker.pid}", track.ask(f"stand {forker.pid}"))
        self.assertEqual("D", state(forker.pid))
        for line in ("stand 4194304", "stand x", "go 1", "go x"):
            self.assertTrue(track.ask(line).startswith("error "), line)

    def test_a_stopped_process_stands_and_stays_stopped(self):
        pid, faults, value = self.waiter("nanosleep")
        kill(pid, 19)
        self.assertTrue(until(lambda: state(pid) == "T"))
        track = self.track()
        self.assertEqual(f"stands {pid}", track.ask(f"stand {pid}"))
        self.assertRegex(track.ask(f"go {pid}"), f"^went {pid} ")
        self.assertTrue(until(lambda: state(pid) == "T"))
        kill(pid, 18)
        self.assert_unharmed(faults, value)

    def test_soft_dirty_bits_are_tried(self):
        self.assertIn(self.track().ask("try"), ("works", "error 0 this kernel has no soft-dirty bits"))
