"""A process that holds all kinds of things which cannot travel. Argument: a file.

It makes FILE.ready, with a line for each: what it is, and the number of its descriptor.
"""

import ctypes
import os
import socket
import sys
import time

SYS_IO_URING_SETUP = 425


def io_uring():
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_IO_URING_SETUP, 4, ctypes.create_string_buffer(512))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    return fd


def device():
    return os.open("/dev/net/tun", os.O_RDWR)


def netlink():
    told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    told.bind((0, 1))  # RTMGRP_LINK
    return told


def bound_to_device():
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
    kept.bind(("0.0.0.0", 5399))
    return kept


def main():
    makers = {
        "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0),
        "netlink": netlink,
        "ping": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        "bound": bound_to_device,
        "device": device,
        "uring": io_uring,
    }
    with open("/proc/sys/net/ipv4/ping_group_range", "w") as group:
        group.write("0 0")
    kept = {name: make() for name, make in makers.items()}
    with open(sys.argv[1] + ".new", "w") as out:
        for name, thing in kept.items():
            print(name, thing if isinstance(thing, int) else thing.fileno(), file=out)
    os.rename(sys.argv[1] + ".new", sys.argv[1] + ".ready")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
