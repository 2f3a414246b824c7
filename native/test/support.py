"""What the tests of the shim share: a counter to watch, a cgroup to freeze it in, a fake agent."""
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SHIM = os.path.abspath(os.environ.get("EXILE_SHIM", "build/exile-shim"))
CRIU = next((c for c in ("/opt/exile/criu/bin/criu", shutil.which("criu")) if c and os.access(c, os.X_OK)), None)
# Seconds that one test may take.
LIMIT = int(os.environ.get("EXILE_TEST_LIMIT", "60"))

# Counts into a shared page once a millisecond, until the end of the world or of a minute.
COUNTER = """
import mmap, os, sys, time
size = int(sys.argv[2])
ballast = bytearray(os.urandom(1 << 20) * size)
f = open(sys.argv[1], "r+b"); m = mmap.mmap(f.fileno(), 8)
for n in range(1, 60000):
    m[0:8] = n.to_bytes(8, "little"); time.sleep(0.001)
"""


def needs_root(test):
    return unittest.skipUnless(os.geteuid() == 0, "needs root")(test)


def cgroup_mount():
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields, kind = line.split(" - ")
            if kind.split()[0] == "cgroup2":
                return fields.split()[4]
    return None


def until(condition, seconds=5):
    """Waits for a condition; the tests sleep nowhere else for an effect."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def alive(pid):
    """False for a zombie, too."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Counter:
    def __init__(self, folder, megabytes=1):
        self.path = os.path.join(folder, "count")
        with open(self.path, "wb") as f:
            f.write(bytes(8))
        self.process = subprocess.Popen([sys.executable, "-c", COUNTER, self.path, str(megabytes)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        self.pid = self.process.pid
        assert until(lambda: self.value() > 0)

    def value(self):
        with open(self.path, "rb") as f:
            return int.from_bytes(f.read(8), "little")

    def runs(self):
        before = self.value()
        return until(lambda: self.value() > before, 3)

    def stands(self):
        before = self.value()
        time.sleep(0.05)
        return self.value() == before

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Case(unittest.TestCase):
    """A test that cannot hang: whatever it waits for, and whatever its clean-up waits for, ends with an error."""

    def setUp(self):
        signal.signal(signal.SIGALRM, self.give_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.alarm(LIMIT)
        self.addCleanup(signal.alarm, 0)
        self.folder = tempfile.mkdtemp(prefix="exile-shim-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    @staticmethod
    def give_up(*_):
        signal.alarm(5)
        raise TimeoutError(f"not done within {LIMIT} s")


class FakeAgent:
    """Answers each line on its unix socket by `answers`: {first word: answer or None to close without one}."""

    def __init__(self, path, answers):
        self.path, self.answers, self.lines = path, answers, []
        self.open = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen()
        self.wake, self.waker = socket.socketpair()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            ready, _, _ = select.select([self.wake, self.listener] + self.open, [], [])
            if self.wake in ready:
                return
            for s in ready:
                if s is self.listener:
                    self.open.append(s.accept()[0])
                else:
                    self.take(s)

    def take(self, connection):
        try:
            line = connection.recv(512).decode().strip()
        except ConnectionResetError:
            # It asks again, or asks something newer.
            line = ""
        if line:
            self.lines.append(line)
            answer = self.answers.get(line.split()[0])
            if callable(answer):
                answer = answer()
            if answer == "wait":
                return
            if answer:
                connection.sendall(answer.encode() + b"\n")
                return
        self.open.remove(connection)
        connection.close()

    def saw(self, line, seconds=5):
        return until(lambda: line in self.lines, seconds)

    def close(self):
        self.waker.send(b"x")
        self.thread.join()
        for s in self.open + [self.listener, self.wake, self.waker]:
            s.close()
        os.unlink(self.path)


class Guard:
    """exile-shim freeze on a cgroup of its own."""

    def __init__(self, cgroup, backs, criu, via=(), extra=()):
        arguments = [SHIM, "freeze", "--cgroup", cgroup]
        for pid, origin in backs:
            arguments += ["--back", f"{pid}={origin}"]
        arguments += extra
        self.process = subprocess.Popen(list(via) + arguments + ["--"] + criu, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line):
        self.say(line)
        return self.hear()

    def hear(self):
        return self.process.stdout.readline().strip()

    def worker(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            return int(f.read().split()[0])

    def end(self, seconds=10):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            return self.process.wait(seconds)
        finally:
            self.process.stdout.close()
            self.process.stderr.close()


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
