"""Two processes of one tree, connected to each other: within.py ADDRESS RESULT

They send each other blocks and prove them, for ever. RESULT says how far they are, as JSON: {"count", "error",
"own"}; `own` are the addresses that both see of their own sockets.
"""

import json
import os
import socket
import sys

from harness import seeded_block

SIZE = 10_000


def exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def child(name):
    with socket.create_connection(name) as connection:
        count = 0
        while True:
            own = json.dumps(connection.getsockname()).encode().ljust(100)
            connection.sendall(seeded_block("child", count, SIZE) + own)
            if exactly(connection, SIZE) != seeded_block("parent", count, SIZE):
                return
            count += 1


def parent(connection, result):
    report = {"count": 0, "error": "", "own": []}
    while not report["error"]:
        try:
            if exactly(connection, SIZE) != seeded_block("child", report["count"], SIZE):
                report["error"] = f"a wrong block after {report['count']}"
            report["own"] = [connection.getsockname(), json.loads(exactly(connection, 100))]
            connection.sendall(seeded_block("parent", report["count"], SIZE))
            report["count"] += 1
        except OSError as problem:
            report["error"] = str(problem)
        except EOFError:
            report["error"] = "the child is gone"
        with open(result + ".new", "w") as file:
            json.dump(report, file)
        os.rename(result + ".new", result)


def main():
    address, result = sys.argv[1:]
    with socket.create_server((address, 0)) as listener:
        if os.fork() == 0:
            child(listener.getsockname())
            os._exit(0)
        parent(listener.accept()[0], result)


main()
