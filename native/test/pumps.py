"""exile-shim pump, driven as the agent does."""
import contextlib
import ctypes
import os
import socket
import subprocess
import threading

from support import SHIM, alive, kill, until

SYS_PIDFD_GETFD = 438


def take(pid, fd):
    """A duplicate of a descriptor of another process."""
    pidfd = os.pidfd_open(pid)
    try:
        taken = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
        if taken < 0:
            raise OSError(ctypes.get_errno(), f"descriptor {fd} of {pid}")
        return taken
    finally:
        os.close(pidfd)


class Pump:
    def __init__(self, folder, name="pump"):
        self.path = os.path.join(folder, name)
        said = subprocess.run([SHIM, "pump", "--socket", self.path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=5)
        assert said.returncode == 0, said
        word, pid = said.stdout.split()
        assert word == "pump"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self.path)
        self.file = self.socket.makefile("rw")
        self.pid = self.now()

    def now(self):
        """The PID of whoever answers, who has a keeper."""
        word, pid, keeper = self.ask("pid").split()
        assert word == "pid"
        self.keeper = int(keeper)
        return int(pid)

    def ask(self, line):
        self.file.write(line + "\n")
        self.file.flush()
        return self.file.readline().strip()

    def take(self, name, direction, fd, pid=None):
        """Our own descriptor, as if we were the process; returns the wire's far end."""
        word, same, far, self.size = self.ask(f"take {name} {direction} {pid or os.getpid()} {fd}").split()
        assert (word, same) == ("took", name)
        return take(self.pid, int(far))

    def make(self, name, direction, size=65536, before=0):
        word, same, far, end = self.ask(f"make {name} {direction} {size} {before}").split()
        assert (word, same) == ("made", name)
        return take(self.pid, int(far)), take(self.pid, int(end))

    def terminal(self, name, path, members, keys="keys"):
        word, same, far, _ = self.ask(f"terminal {name} {path} {keys}").split()
        assert (word, same) == ("took", name)
        for pid in members:
            assert self.ask(f"member {pid}") == "ok"
        return take(self.pid, int(far))

    def join(self, name, init, fd):
        word, same, far, _ = self.ask(f"join {name} {init} {fd}").split()
        assert (word, same) == ("took", name)
        return take(self.pid, int(far))

    def start(self):
        assert self.ask("start") == "started"

    def halt(self):
        assert self.ask("halt") == "halted"

    def ends(self):
        """Per stream: what is at our side of it, the wire's near end, and the pipe's size."""
        found = {}
        line = self.ask("ends")
        while line != "end":
            name, _, *numbers = line.split()
            found[name] = tuple(int(number) for number in numbers)
            line = self.file.readline().strip()
        return found

    def status(self):
        """Per stream: bytes, pending, whether it is over."""
        found = {}
        line = self.ask("status")
        while line != "end":
            name, _, count, pending, state = line.split()
            found[name] = (int(count), int(pending), state == "over")
            line = self.file.readline().strip()
        return found

    def close(self):
        for step in (lambda: self.ask("quit"), self.file.close, self.socket.close):
            with contextlib.suppress(OSError, ValueError):  # it has ended, or the test has let go of it
                step()
        for pid in (self.keeper, self.pid):
            kill(pid)
            assert until(lambda: not alive(pid))


class Relay:
    """Joins two wires as the agents do: bytes and FINs pass, both ways."""

    def __init__(self, one, other):
        self.broken = []
        self.sockets = [socket.socket(fileno=fd) for fd in (one, other)]
        for s in self.sockets:
            s.setblocking(True)
        self.threads = [threading.Thread(target=self.carry, args=pair, daemon=True)
                        for pair in (self.sockets, self.sockets[::-1])]
        for thread in self.threads:
            thread.start()

    def carry(self, source, sink):
        try:
            for data in iter(lambda: source.recv(1 << 16), b""):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.broken.append(e)

    def over(self):
        return until(lambda: not any(t.is_alive() for t in self.threads))

    def close(self):
        assert self.over()
        assert not self.broken, self.broken
        for s in self.sockets:
            s.close()
