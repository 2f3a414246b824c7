"""Streams seeded bytes, or swallows them and tells their digest: seeded_server.py ADDRESS PORT

A client sends one line, then:
  GET SEED BYTES RATE   receives the stream at RATE MB/s (0: at once), then the end of the stream
  PUT                   sends until it ends its direction; receives `COUNT SHA256`
  PUT-SHUT ID           the server ends its own direction at once, the client sends on to its end;
                        its result is asked for over a later connection:
  RESULT ID             receives `COUNT SHA256`, or `none`
"""

import hashlib
import socket
import sys
import threading
import time

from harness import BLOCK, seeded_stream

results = {}


def swallow(lines):
    digest, count = hashlib.sha256(), 0
    while data := lines.read1(BLOCK):
        digest.update(data)
        count += len(data)
    return f"{count} {digest.hexdigest()}\n".encode()


def stream(connection, seed, total, rate):
    begun, sent = time.monotonic(), 0
    for block in seeded_stream(seed, total):
        connection.sendall(block)
        sent += len(block)
        if rate:
            time.sleep(max(0, begun + sent / (rate * (1 << 20)) - time.monotonic()))


def serve(connection):
    lines = connection.makefile("rb")
    try:
        word, *rest = lines.readline().decode().split()
        if word == "GET":
            stream(connection, rest[0], int(rest[1]), float(rest[2]))
        elif word == "PUT":
            connection.sendall(swallow(lines))
        elif word == "PUT-SHUT":
            connection.shutdown(socket.SHUT_WR)
            results[rest[0]] = swallow(lines)
        elif word == "RESULT":
            connection.sendall(results.get(rest[0], b"none\n"))
    except (OSError, ValueError):
        pass  # the client judges
    finally:
        lines.close()
        connection.close()


def main():
    address, port = sys.argv[1], int(sys.argv[2])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family, backlog=1024) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
