"""Many connections that say little: connections.py serve PORT, connections.py hold HOST PORT COUNT

`serve` echoes. `hold` opens COUNT connections, exchanges a few random bytes on each, prints `ready`;
at each line of its standard input it does so again on each of them, and prints how many answered
rightly, how many did not, and the longest time that one took, in milliseconds.
"""

import os
import selectors
import socket
import sys
import time

SIZE = 32


def serve(port):
    listener = socket.create_server(("0.0.0.0", port), backlog=4096)
    listener.setblocking(False)
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setblocking(False)
                ready.register(connection, selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(SIZE)
            if data:
                key.fileobj.sendall(data)
            else:
                ready.unregister(key.fileobj)
                key.fileobj.close()


def exchange(connection):
    request = os.urandom(SIZE)
    began = time.monotonic()
    try:
        connection.sendall(request)
        right = connection.recv(SIZE, socket.MSG_WAITALL) == request
    except OSError as problem:
        print(problem, file=sys.stderr)
        right = False
    return right, time.monotonic() - began


def hold(host, port, count):
    connections = []
    for _ in range(count):
        connections.append(socket.create_connection((host, port), timeout=60))
        connections[-1].settimeout(None)
    assert all(exchange(connection)[0] for connection in connections)
    print("ready", flush=True)
    for _ in sys.stdin:
        answers = [exchange(connection) for connection in connections]
        right = sum(answer for answer, _ in answers)
        print(right, count - right, round(max(took for _, took in answers) * 1000, 1), flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
