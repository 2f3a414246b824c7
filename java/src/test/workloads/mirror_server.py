"""Tells each client what the server sees of the connection: mirror_server.py ADDRESS PORT [WORKERS]

Every line of a client is answered by one line of JSON: {"own": [ADDRESS, PORT], "peer": [ADDRESS, PORT],
"worker": NUMBER}. With WORKERS each of as many children listens on its own socket (SO_REUSEPORT). With
ADDRESS `::` it takes IPv4 clients on the same socket (v4-mapped addresses). The line `reopen` is answered
once the listener is closed and another one listens in its place.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import threading

PR_SET_PDEATHSIG = 1


def plain(name):
    return [name[0].removeprefix("::ffff:"), name[1]]


class Door:
    """A listener that can be closed and opened anew."""

    def __init__(self, address, port, worker):
        self.address, self.port, self.worker = address, port, worker
        self.opened = threading.Event()
        self.listener = None

    def open(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.worker:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listener.bind((self.address, self.port))
        self.listener.listen(1024)
        self.opened.set()

    def work(self):
        while True:
            self.open()
            with self.listener:
                self.accept()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # shut down by reopen
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def reopen(self):
        self.opened.clear()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.opened.wait()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rwb") as lines:
                while line := lines.readline():
                    if line == b"reopen\n":
                        self.reopen()
                    answer = {"own": plain(connection.getsockname()),
                              "peer": plain(connection.getpeername()), "worker": self.worker}
                    lines.write(json.dumps(answer).encode() + b"\n")
                    lines.flush()
        except OSError:
            pass  # the client judges


def work(address, port, worker):
    Door(address, port, worker).work()


def main():
    address, port, *workers = sys.argv[1:]
    for worker in range(1, int(workers[0]) + 1 if workers else 1):
        if os.fork() == 0:
            # Whoever ends the server ends its workers.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            work(address, int(port), worker)
    if workers:
        signal.pause()
    work(address, int(port), 0)


main()
