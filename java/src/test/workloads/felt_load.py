"""Clients that take the time, each for itself: one request of 64 bytes at a time to an echo server.

The summary's `felt` tells by address and port how long each kept connection (`loops`) and each that
was made meanwhile (`newcomers`, one every 15 ms with one request) has waited at most, in
milliseconds, from its request to the answer.
"""

import os
import socket
import sys
import threading
import time

from harness import Tally, arguments
import json

SIZE = 64


def exchange(connection, tally):
    request = os.urandom(SIZE)
    began = time.monotonic()
    tally.sent += 1
    connection.sendall(request)
    answer = b""
    while len(answer) < SIZE:
        part = connection.recv(SIZE - len(answer))
        if not part:
            raise EOFError("closed by the server")
        answer += part
    waited = time.monotonic() - began
    tally.answered += 1
    tally.stall = max(tally.stall, waited)
    if answer != request:
        tally.mismatch("answer", request, answer)
    return waited * 1000


def end(connection):
    """The server has a last word: with nobody to hear it the connection would end by a reset."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(SIZE):
        pass


def main():
    options = arguments(__doc__, 7000, connections=4).parse_args()
    tally, stop, lock = Tally(), threading.Event(), threading.Lock()
    loops, newcomers = {}, {}
    tally.extra = {"felt": {"loops": loops, "newcomers": newcomers}}

    def connect():
        connection = socket.create_connection((options.host, options.port), timeout=options.seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, "%s:%d" % connection.getsockname()[:2]

    def guarded(work):
        def run():
            try:
                work()
            except (OSError, EOFError) as problem:
                with lock:
                    tally.error(work.__name__, problem)
        return run

    def loop():
        connection, name = connect()
        with connection:
            while not stop.is_set():
                loops[name] = max(loops.get(name, 0), exchange(connection, tally))
                time.sleep(0.002)
            end(connection)

    def newcomer():
        connection, name = connect()
        with connection:
            newcomers[name] = exchange(connection, tally)
            end(connection)

    def crowd():
        started = []
        while not stop.is_set():
            started.append(threading.Thread(target=guarded(newcomer), daemon=True))
            started[-1].start()
            time.sleep(0.015)
        for thread in started:
            thread.join(20)

    threads = [threading.Thread(target=guarded(loop), daemon=True) for _ in range(options.connections)]
    threads.append(threading.Thread(target=crowd, daemon=True))
    for thread in threads:
        thread.start()
    while len(loops) < options.connections and not tally.errors:
        time.sleep(0.01)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "report":
            print(json.dumps(tally.summary()), flush=True)
    stop.set()
    for thread in threads:
        thread.join(20)
    print(json.dumps(tally.summary()), flush=True)


main()
