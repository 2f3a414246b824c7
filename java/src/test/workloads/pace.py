"""Passes standard input on, in pieces of 64 KB with a pause of so many milliseconds between them."""
import os
import sys
import time

pause = float(sys.argv[1]) / 1000
for piece in iter(lambda: os.read(0, 1 << 16), b""):
    while piece:
        piece = piece[os.write(1, piece):]
    time.sleep(pause)
