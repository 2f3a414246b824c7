"""Tells each client what the server sees of the connection: mirror_server.py ADDRESS PORT [WORKERS]

Every line of a client is answered by one line of JSON: {"own": [ADDRESS, PORT], "peer": [ADDRESS, PORT],
"worker": NUMBER}. With WORKERS each of as many children listens on its own socket (SO_REUSEPORT). With
ADDRESS `::` it takes IPv4 clients on the same socket (v4-mapped addresses).
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


def serve(connection, worker):
    try:
        with connection, connection.makefile("rwb") as lines:
            while lines.readline():
                answer = {"own": plain(connection.getsockname()),
                          "peer": plain(connection.getpeername()), "worker": worker}
                lines.write(json.dumps(answer).encode() + b"\n")
                lines.flush()
    except OSError:
        pass  # the client judges


def work(address, port, worker):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if worker:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
        listener.listen(1024)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, worker), daemon=True).start()


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
