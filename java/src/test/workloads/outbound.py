"""A process with one outbound connection to seeded_server.py, in a long transfer.

  outbound.py down|up HOST PORT MEGABYTES RATE RESULT

Goes at RATE MB/s until RESULT.hurry appears, so that whoever moves it has the time that he needs. Hashes as
it goes. RESULT.started appears after the first megabyte, RESULT at the end: {"bytes", "sha256", "expected",
"error"}.
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


class Pace:
    def __init__(self, rate, result):
        self.seconds_per_byte = 1 / (rate * (1 << 20))
        self.result = result
        self.begun = time.monotonic()
        self.announced = False

    def wait(self, count):
        if not self.announced and count >= 1 << 20:
            self.announced = True
            write(self.result + ".started", "")
        if not os.path.exists(self.result + ".hurry"):
            time.sleep(max(0, self.begun + count * self.seconds_per_byte - time.monotonic()))


def expected_digest(total):
    digest = hashlib.sha256()
    for block in seeded_stream("outbound", total):
        digest.update(block)
    return digest.hexdigest()


def down(connection, total, pace):
    connection.sendall(f"GET outbound {total} 0\n".encode())
    digest, count = hashlib.sha256(), 0
    while data := connection.recv(BLOCK):
        digest.update(data)
        count += len(data)
        pace.wait(count)
    return count, digest.hexdigest()


def up(connection, total, pace):
    connection.sendall(b"PUT\n")
    sent = 0
    for block in seeded_stream("outbound", total):
        connection.sendall(block)
        sent += len(block)
        pace.wait(sent)
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
            report["bytes"], report["sha256"] = transfer(connection, total, Pace(float(rate), result))
    except (OSError, ValueError) as problem:
        report["error"] = f"{type(problem).__name__}: {problem}"
    write(result, json.dumps(report))


main()
