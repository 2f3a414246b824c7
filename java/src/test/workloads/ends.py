"""Writes its PID to a file, then waits for a signal that ends it: ends.py FILE. SIGUSR1: exit status 7."""
import os
import signal
import sys

signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    signal.pause()
