"""Clients of memcached over kept connections, text protocol: set, get and incr, all checked."""

import asyncio

from harness import (Connection, Pace, Tally, all_connections, arguments, pipelined, run,
                     seeded_block)


async def line(reader):
    text = await reader.readline()
    if not text.endswith(b"\r\n"):
        raise EOFError("the server closed the connection")
    return text[:-2]


def load(options, tally):
    async def one(index, stop, started):
        reader, writer = await asyncio.open_connection(options.host, options.port)
        clock, pace = Connection(tally), Pace(options.rate)
        key, counter = b"value-%d" % index, b"counter-%d" % index
        writer.write(b"set %s 0 0 1\r\n0\r\n" % counter)
        await line(reader)
        sent = received = 0

        async def send():
            nonlocal sent
            await pace.wait()
            turn, kind = divmod(sent, 3)
            if kind == 0:
                value = seeded_block(index, turn, 1000)
                writer.write(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
            elif kind == 1:
                writer.write(b"get %s\r\n" % key)
            else:
                writer.write(b"incr %s 1\r\n" % counter)
            sent += 1
            tally.sent += 1
            await writer.drain()

        async def receive():
            nonlocal received
            turn, kind = divmod(received, 3)
            got = await line(reader)
            if kind == 1 and got.startswith(b"VALUE "):
                got = (await reader.readexactly(int(got.split()[3]) + 2))[:-2]
                await line(reader)  # END
            expected = (b"STORED", seeded_block(index, turn, 1000), b"%d" % (turn + 1))[kind]
            received += 1
            clock.answer()
            if got != expected:
                tally.mismatch(f"connection {index}", expected, got)

        try:
            await pipelined(stop, started, options.pipeline, send, receive)
        finally:
            writer.close()

    return lambda stop, ready: all_connections(options.connections, stop, ready, tally, one)


def main():
    parser = arguments(__doc__, 11211)
    parser.add_argument("--pipeline", type=int, default=4, help="requests on their way at once")
    options = parser.parse_args()
    tally = Tally()
    run(options.seconds, tally, load(options, tally))


if __name__ == "__main__":
    main()
