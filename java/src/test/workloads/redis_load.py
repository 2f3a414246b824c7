"""Clients of a redis server: counters over kept connections, new connections, bulk data."""

import asyncio
import hashlib
import time

from harness import (Connection, Pace, Tally, all_connections, arguments, pipelined, run,
                     seeded_block)

VALUE_BYTES = 65536


def command(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


async def reply(reader):
    line = await reader.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("the server closed the connection")
    if line[:1] == b"$":
        size = int(line[1:])
        return None if size < 0 else (await reader.readexactly(size + 2))[:-2]
    if line[:1] == b":":
        return int(line[1:])
    return line[:-2].decode()


def incr(options, tally):
    """Pipelined INCR over kept connections; each answer must be exactly the next number."""

    async def one(index, stop, started):
        reader, writer = await asyncio.open_connection(options.host, options.port)
        key = f"load:{options.key}:{index}"
        writer.write(command("DEL", key))
        await reply(reader)
        clock, pace, expected = Connection(tally), Pace(options.rate), 0
        request = command("INCR", key)

        async def send():
            await pace.wait()
            writer.write(request)
            tally.sent += 1
            await writer.drain()

        async def receive():
            nonlocal expected
            value = await reply(reader)
            expected += 1
            clock.answer()
            if value != expected:
                tally.mismatch(f"connection {index}", expected, value)

        try:
            await pipelined(stop, started, options.pipeline, send, receive)
        finally:
            writer.close()

    return lambda stop, ready: all_connections(options.connections, stop, ready, tally, one)


def connect(options, tally):
    """A new connection every --every ms, whether or not the one before is answered: PING, close.

    The last summary lists all of them in `connections`: [begun in ms since 1970, ms taken, how it
    ended].
    """
    connections = []
    tally.extra = {"opened": 0, "refused": 0, "failed": 0, "slowestMillis": 0.0}
    clock = Connection(tally)

    async def once(started):
        begun, wall = time.monotonic(), time.time()
        tally.sent += 1
        writer, outcome = None, "failed"
        try:
            reader, writer = await asyncio.open_connection(options.host, options.port)
            writer.write(command("PING"))
            value = await reply(reader)
            clock.answer()
            if value != "+PONG":
                tally.mismatch("connection", "+PONG", value)
            outcome = "opened"
            started.set()
        except ConnectionRefusedError as problem:
            outcome = "refused"
            tally.error("connect", problem)
        except (OSError, EOFError) as problem:
            tally.error("connect", problem)
        finally:
            took = round((time.monotonic() - begun) * 1000, 1)
            tally.extra[outcome] += 1
            connections.append([round(wall * 1000), took, outcome])
            tally.extra["slowestMillis"] = max(tally.extra["slowestMillis"], took)
            if writer:
                writer.close()

    async def work(stop, ready):
        pace, running = Pace(1000 / options.every), set()
        while not stop.is_set():
            await pace.wait()
            task = asyncio.create_task(once(ready))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)
        tally.extra["connections"] = connections

    return work


def fill(options, tally):
    """Loads --megabytes of random data; `sha256` is the digest of all of it."""

    async def work(stop, ready):
        reader, writer = await asyncio.open_connection(options.host, options.port)
        digest = hashlib.sha256()
        clock, count = Connection(tally), options.megabytes * (1 << 20) // VALUE_BYTES

        async def send_all():
            for index in range(count):
                value = seeded_block(options.key, index, VALUE_BYTES)
                digest.update(value)
                writer.write(command("SET", f"data:{index}", value))
                tally.sent += 1
                await writer.drain()

        sender = asyncio.create_task(send_all())
        for index in range(count):
            value = await reply(reader)
            clock.answer()
            if value != "+OK":
                tally.mismatch(f"SET data:{index}", "+OK", value)
        await sender
        ready.set()
        tally.extra = {"values": count, "sha256": digest.hexdigest()}

    return work


def verify(options, tally):
    """Reads back what `fill` wrote; `sha256` is to be the same."""

    async def work(stop, ready):
        reader, writer = await asyncio.open_connection(options.host, options.port, limit=1 << 20)
        digest = hashlib.sha256()
        clock, count = Connection(tally), options.megabytes * (1 << 20) // VALUE_BYTES
        slots = asyncio.Semaphore(16)

        async def send_all():
            for index in range(count):
                await slots.acquire()
                writer.write(command("GET", f"data:{index}"))
                tally.sent += 1
                await writer.drain()

        sender = asyncio.create_task(send_all())
        for index in range(count):
            value = await reply(reader)
            slots.release()
            clock.answer()
            if isinstance(value, bytes):
                digest.update(value)
            else:
                tally.mismatch(f"GET data:{index}", "a value", value)
        await sender
        ready.set()
        tally.extra = {"values": count, "sha256": digest.hexdigest()}

    return work


MODES = {"incr": incr, "connect": connect, "fill": fill, "verify": verify}


def main():
    parser = arguments(__doc__, 6379)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--pipeline", type=int, default=8, help="requests on their way at once")
    parser.add_argument("--every", type=float, default=10, help="ms between new connections")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--key", default="exile", help="names this client's keys and data")
    options = parser.parse_args()
    tally = Tally()
    run(options.seconds, tally, MODES[options.mode](options, tally))


if __name__ == "__main__":
    main()
