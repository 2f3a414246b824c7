"""A process that holds something which cannot travel. Arguments: a file, then what.

It makes FILE.ready and waits for ever; FILE.ready has the number of the descriptor.
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


def bound_to_device():
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
    kept.bind(("0.0.0.0", 5399))
    return kept


def main():
    makers = {
        "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "ping": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        "bound": bound_to_device,
        "device": device,
        "uring": io_uring,
    }
    if sys.argv[2] == "ping":
        with open("/proc/sys/net/ipv4/ping_group_range", "w") as group:
            group.write("0 0")
    kept = makers[sys.argv[2]]()
    with open(sys.argv[1] + ".new", "w") as out:
        print(kept if isinstance(kept, int) else kept.fileno(), file=out)
    os.rename(sys.argv[1] + ".new", sys.argv[1] + ".ready")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
