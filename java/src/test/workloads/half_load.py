"""Half-closed connections to seeded_server.py: one direction has ended, the other flows on.

  client-ended   the client has ended its direction and receives a long stream
  server-ended   the server has ended its direction and the client sends on; the server's digest is
                 asked for at the end
"""

import asyncio
import hashlib

from harness import (BLOCK, Connection, Pace, Tally, all_connections, arguments, run, seeded_block,
                     seeded_stream)


def client_ended(options, tally):
    total = options.megabytes << 20
    tally.extra = {"bytes": 0}

    async def one(index, stop, started):
        reader, writer = await asyncio.open_connection(options.host, options.port)
        writer.write(f"GET half-{index} {total} {options.rate}\n".encode())
        writer.write_eof()
        tally.sent += 1
        clock = Connection(tally)
        for number, expected in enumerate(seeded_stream(f"half-{index}", total)):
            got = await reader.readexactly(len(expected))
            clock.answer(0)
            started.set()
            tally.extra["bytes"] += len(got)
            if got != expected:
                tally.mismatch(f"connection {index}, block {number}", expected, got)
        if rest := await reader.read():
            tally.mismatch(f"connection {index}, end", b"", rest)
        clock.answer()
        writer.close()

    return lambda stop, ready: all_connections(options.connections, stop, ready, tally, one)


def server_ended(options, tally):
    tally.extra = {"bytes": 0}

    async def one(index, stop, started):
        name = f"{options.name}-{index}"
        reader, writer = await asyncio.open_connection(options.host, options.port)
        writer.write(f"PUT-SHUT {name}\n".encode())
        if rest := await reader.read():
            tally.mismatch(f"connection {index}, end", b"", rest)
        tally.sent += 1
        digest, pace, count = hashlib.sha256(), Pace(options.rate * (1 << 20) / BLOCK), 0
        while not stop.is_set():
            await pace.wait()
            block = seeded_block(name, count)
            digest.update(block)
            count += 1
            writer.write(block)
            await writer.drain()
            tally.extra["bytes"] += len(block)
            started.set()
        writer.close()
        await writer.wait_closed()
        expected = f"{count * BLOCK} {digest.hexdigest()}"
        answer = "none"
        for _ in range(100):  # the server is still reading
            reader, writer = await asyncio.open_connection(options.host, options.port)
            writer.write(f"RESULT {name}\n".encode())
            answer = (await reader.read()).decode().strip()
            writer.close()
            if answer != "none":
                break
            await asyncio.sleep(0.1)
        Connection(tally).answer()
        if answer != expected:
            tally.mismatch(f"connection {index}", expected, answer)

    return lambda stop, ready: all_connections(options.connections, stop, ready, tally, one)


MODES = {"client-ended": client_ended, "server-ended": server_ended}


def main():
    parser = arguments(__doc__, 7100, rate=5)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--name", default="half")
    options = parser.parse_args()
    tally = Tally()
    run(options.seconds, tally, MODES[options.mode](options, tally))


if __name__ == "__main__":
    main()
