"""A job in a terminal: tells what it reads, its window's size when it changes, and on request other things."""
import getpass
import os
import signal
import sys


def say(*words):
    print(*words, flush=True)


def size(*_):
    say("size", *os.get_terminal_size(0))


signal.signal(signal.SIGWINCH, size)
with open(os.path.join(os.environ["work"], "pid.new"), "w") as f:
    f.write(str(os.getpid()))
os.rename(os.path.join(os.environ["work"], "pid.new"), os.path.join(os.environ["work"], "pid"))
say("begins")
for line in iter(sys.stdin.readline, ""):
    words = line.split()
    if words == ["tty"]:
        say("tty", os.ttyname(0), os.tcgetpgrp(0) == os.getpgrp())
    elif words == ["secret"]:
        say("secret", getpass.getpass("which? "))
    elif words[:1] == ["exit"]:
        sys.exit(int(words[1]))
    else:
        say("read", line.rstrip("\n"))
say("ends")
