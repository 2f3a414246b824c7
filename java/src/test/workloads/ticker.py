"""A process without sockets: counts in memory and shows the count: ticker.py FILE [THREADS]

Each thread owns a counter and one line of FILE, `thread count` in a record of fixed width, written
in place about 50 times a second. A count never goes back.
"""

import os
import sys
import threading
import time


def tick(descriptor, thread):
    count = 0
    while True:
        count += 1
        os.pwrite(descriptor, f"{thread:7d} {count:15d}\n".encode(), thread * 24)
        time.sleep(0.02)


def main():
    descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for thread in range(1, threads):
        threading.Thread(target=tick, args=(descriptor, thread), daemon=True).start()
    tick(descriptor, 0)


main()
