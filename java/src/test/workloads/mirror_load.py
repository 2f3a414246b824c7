"""Clients of mirror_server.py: what the server sees of a connection must be what they see of it.

  kept     asks over and over on the same connections
  new      asks once on each connection, and makes many

An answer is wrong where one of the two addresses differs; with --any-port only where the server's port
or one of the hosts differs. With --reopen the server is told first to open its listener anew. `workers` in the summary counts the answers of each.
"""

import asyncio
import json

from harness import Connection, Pace, Tally, all_connections, arguments, run


def seen_as(answer, any_port):
    return [answer["own"], answer["peer"][:1] if any_port else answer["peer"]]


async def ask(reader, writer, clock, tally, options, where, question=b"?\n"):
    tally.sent += 1
    writer.write(question)
    line = await reader.readline()
    if not line:
        raise EOFError("the server has ended the connection")
    answer = json.loads(line)
    clock.answer()
    ours = writer.get_extra_info("sockname")[:2]
    expected = [[options.host, options.port], list(ours[:1] if options.any_port else ours)]
    got = seen_as(answer, options.any_port)
    if got != expected:
        tally.mismatch(where, expected, got)
    workers = tally.extra["workers"]
    workers[str(answer["worker"])] = workers.get(str(answer["worker"]), 0) + 1


def kept(options, tally):
    async def one(index, stop, started):
        reader, writer = await asyncio.open_connection(options.host, options.port)
        clock, pace = Connection(tally), Pace(options.rate)
        try:
            while not stop.is_set():
                await ask(reader, writer, clock, tally, options, f"connection {index}")
                started.set()
                await pace.wait()
        finally:
            writer.close()

    return one


def new(options, tally):
    async def one(index, stop, started):
        clock, pace = Connection(tally), Pace(options.rate)
        question = b"reopen\n" if options.reopen else b"?\n"
        while not stop.is_set():
            reader, writer = await asyncio.open_connection(options.host, options.port)
            try:
                await ask(reader, writer, clock, tally, options, f"newcomer {index}", question)
            finally:
                writer.close()
            started.set()
            question = b"?\n"
            await pace.wait()

    return one


MODES = {"kept": kept, "new": new}


def main():
    parser = arguments(__doc__, 7200, rate=20)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--any-port", action="store_true")
    parser.add_argument("--reopen", action="store_true")
    options = parser.parse_args()
    tally = Tally()
    tally.extra = {"workers": {}}
    one = MODES[options.mode](options, tally)
    run(options.seconds, tally,
        lambda stop, ready: all_connections(options.connections, stop, ready, tally, one))


if __name__ == "__main__":
    main()
