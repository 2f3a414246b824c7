"""Sends signals of every kind to a siglog, and says what its log must show: signal_storm.py LOG COUNT SECONDS SEED [GATE].

With GATE the second half is sent once a file of that name is there; the last ones of the first half come slowly until then.

Standard signals of one number coalesce while one is pending, so each is sent again only when the log shows the last one.
What is sent is printed as JSON: per "THREAD NUMBER" a list of "CODE PID UID VALUE", in order.
"""
import collections
import ctypes
import json
import math
import os
import random
import struct
import sys
import time

SYS_TGKILL, SYS_QUEUEINFO, SYS_TGQUEUEINFO = 234, 129, 297
SI_USER, SI_QUEUE, SI_TKILL = 0, -1, -6
AUX = (12, 64)
# Not SIGTRAP (5): a pending one is in the way of CRIU's own, whose dump fails then.
STANDARD = [1, 2, 3, 10, 12, 15, 16, 23, 28, 29, 30]
LAST_OF_HALF, SLOWLY = 500, 0.02
LIBC = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    if LIBC.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")


class Storm:
    def __init__(self, log, seed):
        self.log = log
        self.random = random.Random(seed)
        with open(log) as f:
            _, pid, aux = f.readline().split()
        self.pid, self.aux = int(pid), int(aux)
        self.sent = collections.defaultdict(list)
        self.arrived = collections.Counter()
        self.offset = 0

    def read_log(self):
        with open(self.log) as f:
            f.seek(self.offset)
            text = f.read()
        whole = text.rfind("\n") + 1
        self.offset += len(text[:whole].encode())
        for line in text[:whole].splitlines():
            self.arrived[line.split()[1]] += 1

    def note(self, number, code, value=0):
        thread = "aux" if number in AUX else "main"
        self.sent[f"{thread} {number}"].append(f"{code} {os.getpid()} {os.getuid()} {value}")

    def queue(self, number, value, tid=None):
        info = struct.pack("<iiiiiiq", number, 0, SI_QUEUE, 0, os.getpid(), os.getuid(), value).ljust(128, b"\0")
        if tid:
            call(SYS_TGQUEUEINFO, self.pid, tid, number, info)
        else:
            call(SYS_QUEUEINFO, self.pid, number, info)
        self.note(number, SI_QUEUE, value)

    def tell_thread(self, number, tid):
        call(SYS_TGKILL, self.pid, tid, number)
        self.note(number, SI_TKILL)

    def plain(self, number):
        os.kill(self.pid, number)
        self.note(number, SI_USER)

    def standard(self):
        """One that is not pending, or none."""
        self.read_log()
        number = self.random.choice(STANDARD)
        thread = "aux" if number in AUX else "main"
        if len(self.sent[f"{thread} {number}"]) == self.arrived[str(number)]:
            self.plain(number)
            return True
        return False

    def one(self, value):
        try:
            self.any(value)
        except ProcessLookupError:
            self.aux = self.pid  # after the move home has its first thread only
            self.any(value)

    def any(self, value):
        kind = self.random.random()
        if kind < 0.05 and self.standard():
            return
        if kind < 0.5:
            self.queue(self.random.randint(34, 50), value)
        elif kind < 0.65:
            self.plain(self.random.randint(51, 55))
        elif kind < 0.69 and self.aux != self.pid:
            self.queue(64, value, self.aux)
        elif kind < 0.72 and self.aux != self.pid:
            self.tell_thread(64, self.aux)
        elif kind < 0.86:
            self.queue(61, value, self.pid)
        else:
            self.tell_thread(self.random.randint(56, 60), self.pid)

    @staticmethod
    def wait(gate, seconds):
        """Until the gate is there, or as long as that; returns how long."""
        begin = time.monotonic()
        while not os.path.exists(gate) and time.monotonic() < begin + seconds:
            time.sleep(0.01)
        return time.monotonic() - begin

    def run(self, count, seconds, gate=None):
        begin = time.monotonic()
        for value in range(count):
            if gate and count // 2 - LAST_OF_HALF <= value <= count // 2:
                begin += self.wait(gate, math.inf if value == count // 2 else SLOWLY)
            due = begin + seconds * value / count if count > 100 else begin + self.random.uniform(0, seconds)
            time.sleep(max(0, due - time.monotonic()))
            self.one(value)


def main():
    storm = Storm(sys.argv[1], int(sys.argv[4]))
    storm.run(int(sys.argv[2]), float(sys.argv[3]), *sys.argv[5:])
    json.dump({key: sent for key, sent in storm.sent.items() if sent}, sys.stdout)


main()
