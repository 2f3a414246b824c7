"""Clients of udp_server.py: each sends numbered datagrams and wants each answered once, in order, by the
address that it has sent to, and seen by the server as what it is.

Options are those of the harness; --size pads datagrams to so many bytes. Of --burst, so many are sent at first, at once.
"""

import asyncio
import socket

from harness import Connection, Pace, all_connections, arguments, run, Tally

PATIENCE_SECONDS = 10
SO_RCVBUFFORCE = 33


def load(options, tally):
    async def one(index, stop, started):
        loop = asyncio.get_running_loop()
        six = ":" in options.host
        client = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        server = (options.host, options.port)
        client.connect(server)  # for its own address
        own = client.getsockname()
        client.close()
        client = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.bind((own[0], 0))
        own = client.getsockname()
        clock, pace = Connection(tally), Pace(options.rate)
        sent = received = 0
        quiet = asyncio.Event()

        async def send():
            nonlocal sent
            quiet.clear()
            datagram = (b"%d" % sent).rjust(options.size, b".")
            sent += 1
            tally.sent += 1
            await loop.sock_sendto(client, datagram, server)

        async def receive():
            nonlocal received
            while True:
                data, source = await loop.sock_recvfrom(client, 70000)
                words = data.split(b" ")
                expected = [b"%d" % received, b"%s/%d" % (own[0].encode(), own[1]),
                            b"%d" % (received + 1)]
                got = [words[0].lstrip(b"."), words[1], words[2]]
                if got != expected or source[:2] != server or len(words[0]) < options.size:
                    tally.mismatch(f"client {index}", (expected, server), (got, source))
                received += 1
                clock.answer()
                started.set()
                if received == sent:
                    quiet.set()

        task = asyncio.create_task(receive())
        try:
            if options.burst:
                client.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
                for _ in range(options.burst):
                    await send()
                started.set()
            while not stop.is_set():
                await pace.wait()
                await send()
            if received < sent:
                try:
                    await asyncio.wait_for(quiet.wait(), PATIENCE_SECONDS)
                except asyncio.TimeoutError:
                    tally.error(f"client {index}", f"{received} answers to {sent} datagrams")
        finally:
            task.cancel()
            client.close()

    return lambda stop, ready: all_connections(options.connections, stop, ready, tally, one)


def main():
    parser = arguments(__doc__, 5300, connections=3, rate=100)
    parser.add_argument("--size", type=int, default=0, help="bytes in a datagram")
    parser.add_argument("--burst", type=int, default=0, help="datagrams that are sent at first")
    options = parser.parse_args()
    tally = Tally()
    run(options.seconds, tally, load(options, tally))


if __name__ == "__main__":
    main()
