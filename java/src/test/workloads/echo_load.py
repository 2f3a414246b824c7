"""Clients of an echo server: a random stream out, the same stream back, byte for byte.

At the end the client ends its direction; the server sends the rest, then the SHA-256 of all that it
received, which must be that of all that was sent. An answer is one echoed chunk.
"""

import asyncio
import hashlib

from harness import (Connection, Pace, Tally, all_connections, arguments, pipelined, run,
                     seeded_block)


def load(options, tally):
    tally.extra = {"bytes": 0}

    async def one(index, stop, started):
        reader, writer = await asyncio.open_connection(options.host, options.port)
        clock, pace, digest = Connection(tally), Pace(options.rate), hashlib.sha256()
        sent = received = 0

        async def send():
            nonlocal sent
            await pace.wait()
            chunk = seeded_block(index, sent, options.chunk)
            digest.update(chunk)
            writer.write(chunk)
            sent += 1
            tally.sent += 1
            await writer.drain()

        async def receive():
            nonlocal received
            got = await reader.readexactly(options.chunk)
            expected = seeded_block(index, received, options.chunk)
            received += 1
            clock.answer()
            tally.extra["bytes"] += len(got)
            if got != expected:
                tally.mismatch(f"connection {index}, chunk {received}", expected, got)

        try:
            await pipelined(stop, started, options.pipeline, send, receive)
            writer.write_eof()
            trailer = await reader.read()
            if trailer != digest.digest():
                tally.mismatch(f"connection {index}, server's digest", digest.digest(), trailer)
        finally:
            writer.close()

    return lambda stop, ready: all_connections(options.connections, stop, ready, tally, one)


def main():
    parser = arguments(__doc__, 7000)
    parser.add_argument("--chunk", type=int, default=1000, help="bytes in a chunk")
    parser.add_argument("--pipeline", type=int, default=8, help="chunks on their way at once")
    options = parser.parse_args()
    tally = Tally()
    run(options.seconds, tally, load(options, tally))


if __name__ == "__main__":
    main()
