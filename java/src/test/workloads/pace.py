"""Passes standard input on, in pieces of 64 KB with a pause of so many milliseconds between them: pace.py MILLIS [GATE].

Once a file of the name GATE is there, without pauses.
"""
import os
import sys
import time

pause = float(sys.argv[1]) / 1000
gate = sys.argv[2] if len(sys.argv) > 2 else ""
for piece in iter(lambda: os.read(0, 1 << 16), b""):
    while piece:
        piece = piece[os.write(1, piece):]
    if gate and os.path.exists(gate):
        pause = 0
    time.sleep(pause)
