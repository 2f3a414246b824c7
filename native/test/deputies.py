"""What the tests of deputies share: a victim, home's half of the agent, and a cgroup to freeze in."""
import ctypes
import os
import re
import socket
import struct
import subprocess
import tempfile
import threading

from support import Case, SHIM, cgroup_mount, kill, until

LIBC = ctypes.CDLL(None, use_errno=True)
HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = {}


def built(name):
    """The path of a small C program of ours, compiled once per run."""
    if name not in BUILT:
        folder = tempfile.TemporaryDirectory(prefix="exile-shim-build-")
        path = os.path.join(folder.name, name)
        os.chmod(folder.name, 0o711)
        subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-o", path, os.path.join(HERE, f"{name}.c"), "-pthread"], check=True)
        BUILT[name] = (path, folder)
    return BUILT[name][0]


def info(number, code, pid=0, uid=0, value=0):
    return struct.pack("<iiiiiiq", number, 0, code, 0, pid, uid, value).ljust(48, b"\0").hex()


def fields(text):
    """signal, code, pid, uid, value as the victim logs them."""
    number, _, code, _, pid, uid, value = struct.unpack("<iiiiiii", bytes.fromhex(text)[:28])
    return number, code, pid, uid, value


def sigqueue(pid, number, value, tid=None, sender=None):
    """As sigqueue(3) does, or to one thread; `sender` is who it claims to come from."""
    info = struct.pack("<iiiiiiq", number, 0, -1, 0, sender or os.getpid(), os.getuid(), value).ljust(128, b"\0")
    if (LIBC.syscall(297, pid, tid, number, info) if tid else LIBC.syscall(129, pid, number, info)) < 0:
        raise OSError(ctypes.get_errno(), "sigqueue")


def tgkill(pid, tid, number):
    if LIBC.syscall(234, pid, tid, number) < 0:
        raise OSError(ctypes.get_errno(), "tgkill")


def threads(pid):
    return sorted(int(t) for t in os.listdir(f"/proc/{pid}/task"))


def status(pid, *names):
    with open(f"/proc/{pid}/status") as f:
        text = f.read()
    return [re.search(rf"^{name}:\s*(.*)$", text, re.M).group(1) for name in names]


def state(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


class Victim:
    def __init__(self, folder, extra_threads=0, *more, prefix=(), **options):
        self.folder = tempfile.mkdtemp(dir=folder)
        # Whatever its user is, it can write here.
        os.chmod(folder, 0o711)
        os.chmod(self.folder, 0o777)
        self.log, self.count = os.path.join(self.folder, "log"), os.path.join(self.folder, "count")
        self.process = subprocess.Popen([*prefix, built("victim"), self.log, self.count, str(extra_threads), *more],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        self.pid = self.process.pid
        assert until(lambda: self.value() > 3)

    def value(self):
        try:
            with open(self.count, "rb") as f:
                return int.from_bytes(f.read(8), "little")
        except FileNotFoundError:
            return 0

    def logged(self):
        try:
            with open(self.log) as f:
                return [tuple(map(int, line.split())) for line in f.read().splitlines()]
        except FileNotFoundError:
            return []

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class HomeAgent:
    """Listens for deputies; `on_signal(agent, pid, tid, info)` is called for each new signal, then it is acknowledged."""

    def __init__(self, path, on_signal=None, acknowledge=True):
        self.path, self.on_signal, self.acknowledge = path, on_signal, acknowledge
        self.known, self.signals, self.connections, self.seen = {}, [], {}, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(100)
        self.open = True
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.sockets.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            for line in connection.makefile():
                self.take(connection, line.split())
        except OSError:
            pass

    def take(self, connection, words):
        pid, number = int(words[2]), int(words[3])
        if words[0] == "deputy":
            self.connections[pid] = connection
            return
        self.seen.append((pid, number))
        if number > self.known.get(pid, 0):
            self.known[pid] = number
            self.signals.append((pid, int(words[4]), words[5]))
            if self.on_signal:
                self.on_signal(self, pid, int(words[4]), words[5])
        if self.acknowledge:
            connection.sendall(b"ok %d\n" % number)

    def has(self, pid):
        return until(lambda: pid in self.connections)

    def tell(self, pid, line):
        assert self.has(pid)
        self.connections[pid].sendall(line.encode() + b"\n")

    def numbers(self):
        return [fields(text)[0] for _, _, text in self.signals]

    def close(self):
        if not self.open:
            return
        self.open = False
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        os.unlink(self.path)


class DeputyCase(Case):
    def setUp(self):
        super().setUp()
        mount = cgroup_mount()
        if not mount:
            self.skipTest("no cgroup2 is mounted")
        name = os.path.basename(self.folder)
        self.origin = os.path.join(mount, f"{name}-origin")
        self.cgroup = os.path.join(mount, name)
        self.socket = os.path.join(self.folder, "agent")
        os.mkdir(self.origin)
        self.addCleanup(lambda: until(lambda: self.remove(self.origin)))
        self.addCleanup(lambda: until(lambda: self.remove(self.cgroup)))

    @staticmethod
    def remove(path):
        if not os.path.exists(path):
            return True
        try:
            with open(os.path.join(path, "cgroup.procs")) as f:
                for pid in f.read().split():
                    kill(int(pid))
            with open(os.path.join(path, "cgroup.freeze"), "w") as f:
                f.write("0")
            os.rmdir(path)
        except OSError:
            return False
        return True

    def victim(self, *arguments, **options):
        victim = Victim(self.folder, *arguments, **options)
        self.addCleanup(victim.end)
        return victim

    def agent(self, *arguments, **options):
        agent = HomeAgent(self.socket, *arguments, **options)
        self.addCleanup(agent.close)
        return agent

    def freeze(self, *pids):
        os.makedirs(self.cgroup, exist_ok=True)
        for pid in pids:
            with open(os.path.join(self.cgroup, "cgroup.procs"), "w") as f:
                f.write(str(pid))
        with open(os.path.join(self.cgroup, "cgroup.freeze"), "w") as f:
            f.write("1")
        self.assertTrue(until(self.frozen))

    def frozen(self):
        with open(os.path.join(self.cgroup, "cgroup.events")) as f:
            return "frozen 1" in f.read()

    def command(self, *pids, extra=()):
        arguments = [SHIM, "deputize", "--cgroup", self.cgroup, "--id", "m1", "--socket", self.socket,
                     "--title", "exile: victim @there"]
        for pid in pids:
            arguments += ["--back", f"{pid}={self.origin}"]
        return arguments + list(extra)

    def deputize(self, *pids, extra=()):
        done = subprocess.run(self.command(*pids, extra=extra), capture_output=True, text=True, timeout=20)
        self.assertEqual("", done.stderr)
        return done.stdout.splitlines()

    def deputy(self, victim, extra=()):
        """Freezes and deputizes a victim of one process."""
        self.freeze(victim.pid)
        lines = self.deputize(victim.pid, extra=extra)
        self.assertEqual([f"deputy {victim.pid}", "done"], lines[-2:], lines)
        return lines
