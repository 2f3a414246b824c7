"""Clients of a web server with the tests' files: keep-alive GETs, or one long download."""

import asyncio
import hashlib
import socket

from harness import (BLOCK, SMALL_FILES, Connection, Pace, Tally, all_connections, arguments, run,
                     seeded_stream, small_file)

DIGESTS = [hashlib.sha256(small_file(index)).hexdigest() for index in range(SMALL_FILES)]


async def head(reader):
    """Status and headers of the next answer."""
    text = await reader.readuntil(b"\r\n\r\n")
    first, *rest = text.decode("latin-1").split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in rest if field)
    return int(first.split()[1]), headers


def request(options, path):
    return f"GET {path} HTTP/1.1\r\nHost: {options.host}\r\n\r\n".encode()


def get(options, tally):
    """A connection that the server closes is an error, and is opened again."""
    tally.extra["reconnects"] = 0

    async def one(index, stop, started):
        reader = writer = None
        clock, pace, turn = Connection(tally), Pace(options.rate), index
        while not stop.is_set():
            await pace.wait()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(options.host, options.port)
                number = turn % SMALL_FILES
                turn += 1
                tally.sent += 1
                writer.write(request(options, f"/small-{number}"))
                status, headers = await head(reader)
                body = await reader.readexactly(int(headers["content-length"]))
                clock.answer()
                if status != 200 or hashlib.sha256(body).hexdigest() != DIGESTS[number]:
                    tally.mismatch(f"/small-{number}", f"200 {DIGESTS[number]}",
                                   f"{status} {hashlib.sha256(body).hexdigest()}")
                started.set()
            except (OSError, EOFError) as problem:
                tally.error(f"connection {index}", problem)
                tally.extra["reconnects"] += 1
                if writer:
                    writer.close()
                writer = None
        if writer:
            writer.close()

    return lambda stop, ready: all_connections(options.connections, stop, ready, tally, one)


def download(options, tally):
    """One download at --rate MB/s; the end of standard input lifts the limit."""
    total = options.megabytes << 20

    async def work(stop, ready):
        # A small receive buffer keeps most of the file on the server's side.
        family, kind, proto, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        reader, writer = await asyncio.open_connection(sock=sock, limit=BLOCK)
        writer.write(request(options, "/big"))
        tally.sent += 1
        status, headers = await head(reader)
        size = int(headers["content-length"])
        digest, got = hashlib.sha256(), 0
        pace, clock = Pace(options.rate * (1 << 20) / BLOCK), Connection(tally)
        tally.extra = {"bytes": 0, "sha256": ""}
        while got < size:
            if not stop.is_set():
                await pace.wait()
            data = await reader.read(BLOCK)
            if not data:
                raise EOFError(f"the download ended after {got} of {size} bytes")
            digest.update(data)
            got += len(data)
            clock.answer(0)
            tally.extra["bytes"] = got
            if got > 1 << 20:
                ready.set()
        writer.close()
        clock.answer()
        expected = hashlib.sha256()
        for block in seeded_stream("big", total):
            expected.update(block)
        tally.extra["sha256"] = digest.hexdigest()
        if status != 200 or got != total or digest.digest() != expected.digest():
            tally.mismatch("/big", f"200 {total} {expected.hexdigest()}",
                           f"{status} {got} {digest.hexdigest()}")

    return work


MODES = {"get": get, "download": download}


def main():
    parser = arguments(__doc__, 8080)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--megabytes", type=int, default=200, help="size of /big")
    options = parser.parse_args()
    tally = Tally()
    run(options.seconds, tally, MODES[options.mode](options, tally))


if __name__ == "__main__":
    main()
