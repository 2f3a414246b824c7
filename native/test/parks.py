"""exile-shim park, driven as the agent does."""
import os
import socket
import subprocess
import threading

from pumps import take
from support import SHIM, alive, kill, until


class Park:
    def __init__(self, folder):
        self.path = os.path.join(folder, "park")
        said = subprocess.run([SHIM, "park", "--socket", self.path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=5)
        assert said.returncode == 0, said
        word, pid = said.stdout.split()
        assert word == "park"
        self.pid = int(pid)
        self.client = None

    def connect(self):
        self.client = Client(self)
        return self.client

    def alive(self):
        return alive(self.pid)

    def descriptors(self):
        return sorted(os.readlink(f"/proc/{self.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{self.pid}/fd"))

    def ran(self):
        """Seconds that it has used a processor."""
        with open(f"/proc/{self.pid}/schedstat") as f:
            return int(f.read().split()[0]) / 1e9

    def take(self, own):
        return socket.socket(fileno=take(self.pid, own))

    def close(self):
        kill(self.pid)
        assert until(lambda: not self.alive())


class Client:
    def __init__(self, park):
        self.park = park
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(park.path)
        self.file = self.socket.makefile("rw")

    def say(self, *lines):
        self.file.write("".join(line + "\n" for line in lines))
        self.file.flush()

    def pipeline(self, lines):
        """Says all while hearing the answers; the answers."""
        speaker = threading.Thread(target=self.say, args=lines)
        speaker.start()
        answers = [self.hear() for _ in lines]
        speaker.join()
        return answers

    def hear(self):
        return self.file.readline().strip()

    def ask(self, line):
        self.say(line)
        return self.hear()

    def hold(self, name, fd, note="", word="hold"):
        said, same, own = self.ask(f"{word} {name} {fd} {note}").split()
        assert (said, same) == ("held", name)
        return int(own)

    def list(self):
        """{name: (kind, own, note)}"""
        found = {}
        line = self.ask("list")
        while line != "end":
            kind, own, name, note = (line + " ").split(" ", 3)
            found[name] = (kind, int(own), note.strip())
            line = self.hear()
        return found

    def close(self):
        self.file.close()
        self.socket.close()
