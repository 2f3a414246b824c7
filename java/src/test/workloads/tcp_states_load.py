"""The clients of tcp_states.py, one per case: each brings its connection into its state, prints `ready` once
all stand, and at the end of standard input goes on with all of them at once.
"""

import hashlib
import json
import socket
import struct
import sys
import threading
import time

from harness import Tally, arguments, seeded_stream

PATIENCE = 40
FULL = 8 << 20
HELD = 100_000
SMALL_BUFFER = 4096
WAITING = 12  # clients of the listener with the short backlog: some of their SYNs find no room


def stream(seed, count):
    return b"".join(seeded_stream(seed, count))


def read_all(connection):
    data = bytearray()
    while part := connection.recv(1 << 16):
        data += part
    return bytes(data)


def expect(what, expected, got):
    if got != expected:
        raise AssertionError(f"{what}: expected {len(expected)} {expected!r:.40}, got {len(got)} {got!r:.40}")


class Client:
    def __init__(self, options, case, *rest, buffer=0, port=0):
        self.options, self.case = options, case
        self.connection = socket.socket()
        self.connection.settimeout(PATIENCE)
        if buffer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.connection.connect((options.host, options.port + port))
        if not port:
            self.connection.sendall(" ".join((case, *rest)).encode() + b"\n")

    def control(self, word):
        with socket.create_connection((self.options.host, self.options.port), PATIENCE) as connection:
            connection.sendall(f"CONTROL {word}\n".encode())
            return json.loads(read_all(connection))

    def await_armed(self, *cases):
        deadline = time.monotonic() + PATIENCE / 2
        while missing := set(cases) - set(self.control("armed")):
            if time.monotonic() > deadline:
                raise AssertionError(f"not armed: {missing}, {self.control('results')}")
            time.sleep(0.02)

    def end(self):
        self.connection.shutdown(socket.SHUT_WR)

    def exchange(self):
        data = stream(self.case, 1000)
        self.connection.sendall(data)
        expect("the digest", hashlib.sha256(data).digest(), read_all(self.connection))


def full_queues(client):
    data = stream("full-up", FULL)
    sender = threading.Thread(target=client.connection.sendall, args=(data,))
    sender.start()
    yield
    expect("what the server had to say", stream("full-down", FULL) + hashlib.sha256(data).digest(),
           read_all(client.connection))
    sender.join()


def exchange(client):
    yield
    client.exchange()


def close_wait(client):
    client.connection.sendall(stream("close-wait", 50_000))
    client.end()
    yield
    expect("bytes", stream("close-wait-down", 200_000), read_all(client.connection))


def fin_wait_2(client):
    expect("the end", b"", client.connection.recv(1))
    yield
    client.connection.sendall(stream("fin-wait-2", 200_000))
    client.end()


def fin_wait_1(client):
    yield
    expect("bytes", stream("fin-wait-1", HELD), read_all(client.connection))
    client.connection.sendall(stream("fin-wait-1-up", 20_000))
    client.end()


def closing(client):
    client.await_armed("closing, first half")
    client.end()
    yield
    expect("bytes", stream("closing", HELD), read_all(client.connection))


def last_ack(client):
    client.end()
    yield
    expect("bytes", stream("last-ack", HELD), read_all(client.connection))


def over(client):
    client.connection.sendall(stream("over", 1000))
    client.end()
    yield


def reset_before(client):
    client.connection.sendall(stream("reset-before", 1000))
    time.sleep(0.2)
    client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.connection.close()
    yield


def urgent(client):
    client.connection.sendall(b"abc")
    client.connection.send(b"!", socket.MSG_OOB)
    client.connection.sendall(b"def")
    yield
    expect("the end", b"", read_all(client.connection))


def linger(client):
    yield
    try:
        expect("a reset", b"an error", client.connection.recv(1))
    except ConnectionResetError:
        pass


def two_processes(client):
    yield
    expect("what both say", b"childparent", read_all(client.connection))


def one_then_two(client):
    client.connection.sendall(b"1")
    yield
    client.connection.sendall(b"2")


def both_at_once(client):
    client.connection.sendall(b"12")
    yield


def one(client):
    client.connection.sendall(b"1")
    yield


def one_later(client):
    yield
    client.connection.sendall(b"1")


CASES = {"full-queues": full_queues, "blocking-read": exchange, "close-wait": close_wait,
         "fin-wait-2": fin_wait_2, "fin-wait-1": fin_wait_1, "closing": closing, "last-ack": last_ack,
         "over": over, "reset-before": reset_before, "urgent": urgent, "keepalive": exchange,
         "linger": linger, "two-processes": two_processes, "passed": exchange, "epoll-level": one,
         "epoll-edge": one_then_two, "epoll-oneshot": both_at_once, "epoll-waiting": one_later}
SLOW_READERS = {"fin-wait-1", "closing", "last-ack"}


def accept(options):
    yield
    Client(options, "accept", port=1).exchange()


def backlog(options):
    problems = []

    def one_of_many():
        try:
            Client(options, "backlog", port=2).exchange()
        except (OSError, AssertionError) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=one_of_many) for _ in range(WAITING)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    yield
    for thread in threads:
        thread.join()
    if problems:
        raise AssertionError(problems)


def connecting(options):
    """Connects to a listener here that has no room until we go on."""
    with socket.socket() as listener:
        listener.bind((options.own, 0))
        listener.listen(0)
        fillers = []
        while True:
            filler = socket.socket()
            fillers.append(filler)
            filler.settimeout(0.3)
            try:
                filler.connect(listener.getsockname())
            except TimeoutError:
                break
        client = Client(options, "connecting", options.own, str(listener.getsockname()[1]))
        yield
        ours = {filler.getsockname() for filler in fillers}
        for filler in fillers:
            filler.close()
        listener.settimeout(PATIENCE)
        while True:
            connection, peer = listener.accept()
            if peer not in ours:
                break
            connection.close()
        with connection:
            connection.settimeout(PATIENCE)
            expect("bytes", stream("connecting", 200_000), read_all(connection))
            connection.sendall(b"thanks")
        client.connection.close()


def main():
    parser = arguments(__doc__, 7300)
    parser.add_argument("--own", required=True, help="an address of this host that the server can reach")
    options = parser.parse_args()
    tally = Tally()
    steps = {case: script(Client(options, case, buffer=SMALL_BUFFER if case in SLOW_READERS else 0))
             for case, script in CASES.items()}
    steps |= {"accept": accept(options), "backlog": backlog(options), "connecting": connecting(options)}

    def step(case, last):
        try:
            next(steps[case])
        except StopIteration:
            if not last:
                tally.error(case, "ended too early")
            else:
                tally.answered += 1
        except Exception as problem:  # shown in the summary, which is what the caller reads
            tally.error(case, problem)

    def all_at_once(last):
        threads = [threading.Thread(target=step, args=(case, last)) for case in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    tally.sent = len(steps)
    all_at_once(False)
    judge = Client(options, "CONTROL", "armed")
    judge.await_armed(*steps)
    print("ready", flush=True)
    sys.stdin.read()
    judge.control("go")
    all_at_once(True)
    results = {}
    deadline = time.monotonic() + PATIENCE
    while set(steps) - {"accept", "backlog"} - set(results) and time.monotonic() < deadline:
        results = judge.control("results")
        time.sleep(0.05)
    for case in set(steps) - {"accept", "backlog"}:
        if results.get(case) != "ok":
            tally.error(f"server, {case}", results.get(case, "has no result"))
    print(json.dumps(tally.summary()), flush=True)
    sys.exit(1 if tally.error_count else 0)


main()
