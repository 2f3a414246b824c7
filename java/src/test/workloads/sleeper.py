"""Sleeps in every way that has an end, each in a thread or process of its own: sleeper.py FILE SECONDS

To FILE it appends a line for each as it ends: its name, what it returned, and by the wall clock how many
milliseconds too late it did (too early, where negative).
"""

import ctypes
import os
import signal
import struct
import subprocess
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanos", ctypes.c_long)]


def nanosleep(seconds):
    """Without being told what is left, and without trying again."""
    return LIBC.nanosleep(ctypes.byref(Timespec(seconds, 0)), None)


def nanosleep_told(seconds):
    left = Timespec(0, 0)
    return LIBC.nanosleep(ctypes.byref(Timespec(seconds, 0)), ctypes.byref(left))


def sleep_until(seconds):
    end = Timespec(int(time.monotonic()) + seconds + 1, 0)
    wait = end.seconds - time.monotonic() - seconds
    result = LIBC.clock_nanosleep(time.CLOCK_MONOTONIC, 1, ctypes.byref(end), None)
    return result, wait


def poll(seconds):
    return LIBC.poll(None, 0, seconds * 1000)


def select_(seconds):
    return LIBC.select(0, None, None, None, ctypes.byref(Timespec(seconds, 0)))


def ppoll(seconds):
    return LIBC.ppoll(None, 0, ctypes.byref(Timespec(seconds, 0)), None)


def futex(seconds):
    word = ctypes.c_int(0)
    result = LIBC.syscall(202, ctypes.byref(word), 0, 0, ctypes.byref(Timespec(seconds, 0)), None, 0)
    return 0 if result == -1 and ctypes.get_errno() == 110 else result  # ETIMEDOUT


def condition(seconds):
    lock = threading.Condition()
    with lock:
        return 1 if lock.wait(seconds) else 0


def timerfd(seconds):
    fd = LIBC.timerfd_create(time.CLOCK_MONOTONIC, 0)
    LIBC.timerfd_settime(fd, 0, struct.pack("4q", 0, 0, seconds, 0), None)
    return struct.unpack("Q", os.read(fd, 8))[0] - 1


def python(seconds):
    time.sleep(seconds)
    return 0


KINDS = [nanosleep, nanosleep_told, sleep_until, poll, select_, ppoll, futex, condition, timerfd, python]


def main():
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    seconds = int(sys.argv[2])

    def tell(name, result, begun, length):
        late = (time.time() - begun - length) * 1000
        os.write(file, f"{name} {result} {late:.0f}\n".encode())

    def run(kind):
        begun = time.time()
        result = kind(seconds)
        length = seconds
        if isinstance(result, tuple):
            result, more = result
            length += more
        tell(kind.__name__, result, begun, length)

    begun = time.time()
    for name, number in (("alarm", signal.SIGALRM), ("timer", signal.SIGUSR1)):
        signal.signal(number, lambda *_, name=name: tell(name, 0, begun, seconds))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # a POSIX timer: struct sigevent, SIGEV_SIGNAL, SIGUSR1
    event = struct.pack("Qii", 0, signal.SIGUSR1, 0) + bytes(48)
    timer = ctypes.c_void_p()
    LIBC.timer_create(time.CLOCK_MONOTONIC, event, ctypes.byref(timer))
    LIBC.timer_settime(timer, 0, struct.pack("4q", 0, 0, seconds, 0), None)
    threads = [threading.Thread(target=run, args=(kind,), daemon=True) for kind in KINDS]
    # Signals are for the first thread: none of the sleeping ones is to be interrupted by them.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGUSR1])
    for thread in threads:
        thread.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM, signal.SIGUSR1])
    child = subprocess.Popen(["/usr/bin/sleep", str(seconds)])
    os.write(file, b"ready 0 0\n")
    begun_child = time.time()
    child.wait()
    tell("command", child.returncode, begun_child, seconds)
    while True:
        time.sleep(0.1)


main()
