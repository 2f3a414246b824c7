"""Keeps the userfaultfd tracker on for a process, as pre-copy's rounds do: tracked.py SHIM PID MILLIS.

Registers its private anonymous areas for asynchronous write protection, then takes the written pages and protects them again
every MILLIS ms, until its input ends. Says `ready`, then the number of rounds, the pages found in all of them, and its own ms on a
processor.
"""

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
FEATURES = 1 << 13 | 1 << 15  # WP_UNPOPULATED, WP_ASYNC
MODE_WP = 2
PAGEMAP_SCAN = 0xC0606610
WP_MATCHING, CHECK_WPASYNC = 1, 2
WRITTEN = 2
REGIONS = 4096
SYS_PIDFD_GETFD = 438


def taken(pid, fd):
    """A duplicate of another process's descriptor."""
    pidfd = os.pidfd_open(pid)
    duplicate = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
    if duplicate < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    os.close(pidfd)
    return duplicate


def areas(pid):
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            place, access, _, _, inode, *name = line.split()
            if access.startswith("rw") and access[3] == "p" and inode == "0" and not (name and name[0].startswith("[v")):
                yield tuple(int(end, 16) for end in place.split("-"))


def written(pagemap, start, end, regions):
    """The number of pages of the area that were written since it was last asked."""
    pages = 0
    while start < end:
        # size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, any of, returned
        ask = bytearray(struct.pack("12Q", 96, WP_MATCHING | CHECK_WPASYNC, start, end, 0, ctypes.addressof(regions), REGIONS,
                                    0, 0, WRITTEN, 0, WRITTEN))
        count = fcntl.ioctl(pagemap, PAGEMAP_SCAN, ask)
        found = regions[: 3 * count]
        pages += sum(found[1::3]) - sum(found[0::3])
        start = struct.unpack_from("Q", ask, 32)[0]
    return pages // 4096


def main():
    shim, pid, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000
    job = subprocess.Popen([shim, "track"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    job.stdin.write(f"open {pid}\n")
    answer = job.stdout.readline().split()
    if answer[:1] != ["opened"]:
        sys.exit(" ".join(answer))
    userfault = taken(job.pid, int(answer[2]))
    fcntl.ioctl(userfault, UFFDIO_API, bytearray(struct.pack("3Q", 0xAA, FEATURES, 0)))
    known, rounds, pages = set(), 0, 0
    regions = (ctypes.c_uint64 * (3 * REGIONS))()
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        while True:
            for start, end in areas(pid):
                if (start, end) not in known:
                    ask = struct.pack("4Q", start, end - start, MODE_WP, 0)
                    fcntl.ioctl(userfault, UFFDIO_REGISTER, bytearray(ask))
                    known.add((start, end))
                found = written(pagemap, start, end, regions)
                pages += found if rounds else 0
            if not rounds:
                print("ready", flush=True)
            rounds += 1
            if select.select([sys.stdin], [], [], pause)[0]:
                break
    print(rounds, pages, round(time.process_time() * 1000))
    os.close(userfault)
    job.stdin.close()
    job.wait()


if __name__ == "__main__":
    main()
