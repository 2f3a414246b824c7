"""What the benchmark of memory does with a redis server: fill, check, ping, write.

    redis_memory.py fill HOST PORT VALUES        random values of 4 KB, and says their digest
    redis_memory.py check HOST PORT              says the number of keys, and the digest of the first values as they are now
    redis_memory.py ping HOST[,HOST] PORT        a PING every millisecond until its input ends; says the longest time between
                                                 two answers, in ms, the number of answers and of lost connections
    redis_memory.py write HOST[,HOST] PORT VALUES RATE
                                                 random values for random keys, so many a second, until its input ends; says
                                                 how many, and those in each of the last full seconds

After a lost connection the next host of the list is tried, and so on in turn. The first KEPT values are never written again:
their digest is to be the same ever after.
"""

import hashlib
import random
import select
import socket
import sys
import time

# With redis's own 6 bytes a value fills a block of 4 KB of its allocator.
VALUE_BYTES = 4090
BATCH = 64
KEPT = 2 * BATCH


def word(piece):
    return b"$%d\r\n%s\r\n" % (len(piece), piece)


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(map(word, words))


def batch(number):
    """The values of a batch: random, and the same for the same number."""
    block = random.Random(number).randbytes(VALUE_BYTES * BATCH)
    return [block[start : start + VALUE_BYTES] for start in range(0, len(block), VALUE_BYTES)]


def reply(stream):
    line = stream.readline()
    if not line:
        raise ConnectionError("the server closed the connection")
    if line[:1] == b"-":
        raise ValueError(line)
    if line[:1] != b"$":
        return line[1:-2]
    return stream.read(int(line[1:]) + 2)[:-2]


def connect(host, port):
    connection = socket.create_connection((host, port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection, connection.makefile("rb")


def fill(host, port, values):
    connection, stream = connect(host, port)
    digest = hashlib.sha256()
    for number in range(values // BATCH):
        made = batch(number)
        if number * BATCH < KEPT:
            for value in made:
                digest.update(value)
        keys = (b"k:%d" % (number * BATCH + index) for index in range(BATCH))
        connection.sendall(b"".join(command(b"SET", key, value) for key, value in zip(keys, made)))
        for _ in made:
            reply(stream)
    print(digest.hexdigest())


def check(host, port):
    connection, stream = connect(host, port)
    connection.sendall(command(b"DBSIZE"))
    size = int(reply(stream))
    digest = hashlib.sha256()
    for index in range(KEPT):
        connection.sendall(command(b"GET", b"k:%d" % index))
        digest.update(reply(stream))
    print(size, digest.hexdigest())


def over():
    return bool(select.select([sys.stdin], [], [], 0)[0])


class Client:
    """A connection that is made anew, at the next host, when it is lost."""

    def __init__(self, hosts, port):
        self.hosts, self.port, self.lost = hosts.split(","), port, 0
        self.connection, self.stream = connect(self.hosts[0], port)

    def again(self):
        self.lost += 1
        while not over():
            self.hosts.append(self.hosts.pop(0))
            try:
                self.connection, self.stream = connect(self.hosts[0], self.port)
                return
            except OSError:
                time.sleep(0.001)


def ping(hosts, port):
    client = Client(hosts, port)
    longest, answers, last = 0.0, 0, time.monotonic()
    print("ready", flush=True)
    while not over():
        try:
            client.connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            reply(client.stream)
        except OSError:
            client.again()
            continue
        now = time.monotonic()
        if answers:
            longest = max(longest, now - last)
        last, answers = now, answers + 1
        time.sleep(0.001)
    print("%.1f %d %d" % (longest * 1000, answers, client.lost))


def write(hosts, port, values, rate):
    """In groups of ten, so that the rate does not depend on how long one takes."""
    client = Client(hosts, port)
    source, group = random.Random(), 10
    seconds = {}
    due = time.monotonic()
    print("ready", flush=True)
    while not over():
        pieces = (
            command(b"SET", b"k:%d" % source.randrange(KEPT, values), source.randbytes(VALUE_BYTES))
            for _ in range(group)
        )
        try:
            client.connection.sendall(b"".join(pieces))
            for _ in range(group):
                reply(client.stream)
        except OSError:
            client.again()
            continue
        now = time.monotonic()
        seconds[int(now)] = seconds.get(int(now), 0) + group
        due = max(due + group / rate, now - 0.1)  # what could not be written in a stop is not made up for
        time.sleep(max(0.0, due - now))
    print(sum(seconds.values()), *list(seconds.values())[1:-1])


def main():
    job, host, port, *rest = sys.argv[1:]
    numbers = [int(number) for number in rest]
    if job == "check":
        check(host, int(port))
    else:
        {"fill": fill, "ping": ping, "write": write}[job](host, int(port), *numbers)


if __name__ == "__main__":
    main()
