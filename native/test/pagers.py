"""exile-shim pager, driven as the agent does, and a process that it serves."""
import contextlib
import os
import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from deputies import built
from support import Case, SHIM, alive, needs_root, until

PAGE = 4096
BASE = 0x500000000000


class Pager:
    def __init__(self, folder):
        self.path = os.path.join(folder, "pager")
        said = subprocess.run([SHIM, "pager", "--socket", self.path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=5)
        assert said.returncode == 0, said
        word, pid = said.stdout.split()
        assert word == "pager"
        self.pid = int(pid)
        self.keeper = None

    def connect(self):
        return Agent(self)

    def now(self):
        """The PIDs of the worker and of its keeper."""
        with contextlib.closing(self.connect()) as agent:
            word, pid, keeper = agent.ask("pid").split()
        assert word == "pid"
        self.pid, self.keeper = int(pid), int(keeper)
        return self.pid, self.keeper

    def close(self):
        with contextlib.suppress(OSError):
            with contextlib.closing(self.connect()) as agent:
                assert agent.ask("quit") == "bye"
        assert until(lambda: not alive(self.pid))


class Agent:
    """One connection; what is told and not asked for is in `heard`."""
    EVENTS = re.compile(r"want |finished |gone |resumed$|error \d")

    def __init__(self, pager):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(pager.path)
        self.file = self.socket.makefile("r")
        self.heard = []
        self.follows = False

    def say(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def hear(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("hung up")
        return line.strip()

    def ask(self, line):
        self.say(line)
        return self.answer()

    def answer(self):
        line = self.hear()
        while self.follows and self.EVENTS.match(line):
            self.heard.append(line)
            line = self.hear()
        return line

    def hold(self):
        """The socket in which the userfaultfds lie."""
        self.say("hold")
        said, fds, _, _ = socket.recv_fds(self.socket, 64, 2)
        assert said == b"holding\n" and len(fds) == 1, (said, fds)
        return socket.socket(fileno=fds[0])

    def follow(self):
        assert self.ask("follow") == "following"
        self.follows = True

    def await_event(self, begin):
        """The first event that begins with this, which is then forgotten."""
        while True:
            for line in self.heard:
                if line.startswith(begin):
                    self.heard.remove(line)
                    return line
            self.heard.append(self.hear())

    def rest(self, line):
        answer, lines = self.ask(line), []
        while answer != "end":
            lines.append(answer)
            answer = self.answer()
        return lines

    def missing(self, vpid):
        return [tuple(int(n, 16) for n in line.split()[2:]) for line in self.rest(f"missing {vpid}")]

    def status(self, vpid):
        for line in self.rest("status"):
            words = line.split()
            if words[1] == str(vpid):
                return dict(zip(words[2:-1:2], map(int, words[3:-1:2])), state=words[-1])
        return None

    def close(self):
        self.file.close()
        self.socket.close()


class Store:
    """A store and its plan, with what the test program expects at each address. No disk takes files as long."""

    def __init__(self, areas, missing=(), write=True):
        self.folder = tempfile.mkdtemp(prefix="exile-shim-test-", dir="/dev/shm")
        self.path, self.plan = os.path.join(self.folder, "store"), os.path.join(self.folder, "plan")
        self.areas = areas
        with open(self.path, "wb") as f:
            f.truncate(areas[-1][1])
        with open(self.plan, "w") as f:
            f.writelines(f"area {start:x} {end:x}\n" for start, end in areas)
            f.writelines(f"missing {start:x} {end:x}\n" for start, end in missing)
        for start, end in areas if write else ():
            for gap_start, gap_end in [g for g in missing if start <= g[0] < end]:
                self.write(start, gap_start)
                start = gap_end
            self.write(start, end)

    def write(self, start, end):
        if start < end:
            subprocess.run([built("paged"), "write", self.path, f"{start:x}", f"{end:x}"], check=True)

    def remove(self):
        shutil.rmtree(self.folder)

    def bytes(self):
        return os.stat(self.path).st_blocks * 512


class Paged:
    """The test program, as restored by CRIU."""

    def __init__(self, folder, vpid, areas):
        ranges = [f"{n:x}" for area in areas for n in area]
        self.process = subprocess.Popen([built("paged"), folder, str(vpid), *ranges], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        word, pid = self.process.stdout.readline().split()
        assert word == "ready"
        self.pid = int(pid)
        self.answers, self.tags, self.lock = {}, 0, threading.Lock()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            tag, answer = line.strip().split(" ", 1)
            self.slot(tag).put(answer)

    def slot(self, tag):
        with self.lock:
            return self.answers.setdefault(tag, queue.Queue())

    def begin(self, word, *numbers):
        """In a thread of its own."""
        self.tags += 1
        tag = f"t{self.tags}"
        self.process.stdin.write(" ".join([tag, word, *(f"{n:x}" for n in numbers)]) + "\n")
        self.process.stdin.flush()
        return self.slot(tag)

    def do(self, word, *numbers, seconds=20):
        return self.begin(word, *numbers).get(timeout=seconds)

    def finish(self):
        assert self.do("finish") == "done"

    def end(self):
        self.process.kill()
        self.process.stdin.close()
        self.reader.join()
        self.process.stdout.close()
        self.process.wait()


@needs_root
class PagerCase(Case):
    def setUp(self):
        super().setUp()
        self.pager = Pager(self.folder)
        self.addCleanup(self.pager.close)

    def agent(self, follow=True):
        agent = self.pager.connect()
        self.addCleanup(agent.close)
        if follow:
            agent.follow()
        return agent

    def make_store(self, areas, missing=()):
        store = Store(areas, missing)
        self.addCleanup(store.remove)
        return store

    def restore(self, agent, areas, missing=(), vpid=7, finish=True):
        self.store = self.make_store(areas, missing)
        self.assertEqual(f"process {vpid}", agent.ask(f"process {vpid} {self.store.path} {self.store.plan}"))
        return self.arrive(agent, areas, vpid, finish)

    def arrive(self, agent, areas, vpid=7, finish=True):
        self.assertEqual("listening", agent.ask(f"listen {self.folder}"))
        paged = Paged(self.folder, vpid, areas)
        self.addCleanup(paged.end)
        if finish:
            paged.finish()
        return paged

    def assert_waits(self, *slots):
        time.sleep(0.1)
        for slot in slots:
            self.assertTrue(slot.empty(), slot.queue)

    def assert_good(self, paged, *areas):
        for start, end in areas:
            self.assertEqual("good", paged.do("check", start, end - start, start))
