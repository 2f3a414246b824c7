"""A process with one outbound connection to seeded_server.py, in a long transfer.

  outbound.py down|up HOST PORT MEGABYTES RATE RESULT

Hashes as it goes. RESULT.started appears after the first megabyte, RESULT at the end:
{"bytes", "sha256", "expected", "error"}.
"""

import hashlib
import json
import os
import socket
import sys
import time

from harness import BLOCK, seeded_stream


def write(path, content):
    with open(path + ".new", "w") as file:
        file.write(content)
    os.rename(path + ".new", path)


def expected_digest(total):
    digest = hashlib.sha256()
    for block in seeded_stream("outbound", total):
        digest.update(block)
    return digest.hexdigest()


def down(connection, total, rate, result):
    connection.sendall(f"GET outbound {total} {rate}\n".encode())
    digest, count, announced = hashlib.sha256(), 0, False
    while data := connection.recv(BLOCK):
        digest.update(data)
        count += len(data)
        if not announced and count >= 1 << 20:
            announced = True
            write(result + ".started", "")
    return count, digest.hexdigest()


def up(connection, total, rate, result):
    connection.sendall(b"PUT\n")
    begun, sent, announced = time.monotonic(), 0, False
    for block in seeded_stream("outbound", total):
        connection.sendall(block)
        sent += len(block)
        if not announced and sent >= 1 << 20:
            announced = True
            write(result + ".started", "")
        time.sleep(max(0, begun + sent / (rate * (1 << 20)) - time.monotonic()))
    connection.shutdown(socket.SHUT_WR)
    count, digest = connection.makefile().readline().split()
    return int(count), digest


def main():
    direction, host, port, megabytes, rate, result = sys.argv[1:]
    total = int(megabytes) << 20
    report = {"bytes": 0, "sha256": "", "expected": expected_digest(total), "error": ""}
    try:
        with socket.create_connection((host, int(port))) as connection:
            transfer = {"down": down, "up": up}[direction]
            report["bytes"], report["sha256"] = transfer(connection, total, float(rate), result)
    except (OSError, ValueError) as problem:
        report["error"] = f"{type(problem).__name__}: {problem}"
    write(result, json.dumps(report))


main()
