"""What every workload client shares: its life, its tally and its summary.

A client prints `ready` when its load flows. A line `report` on its standard input is answered with
the tally so far, as one line of JSON. The end of standard input, or --seconds, ends the load: what
is still on its way is waited for, then the last summary is printed.

Whatever was sent and never answered is lost; an answer that is not the expected one is wrong. A
stall is the longest time between two answers on one connection, on the monotonic clock.
"""

import argparse
import asyncio
import json
import random
import sys
import threading
import time

DRAIN_SECONDS = 20
BLOCK = 65536


def seeded_block(seed, index, size=BLOCK):
    """Block `index` of the endless byte stream that `seed` names."""
    return random.Random(f"{seed}:{index}").randbytes(size)


def seeded_stream(seed, total):
    """The first `total` bytes of that stream, in blocks."""
    for index in range(0, (total + BLOCK - 1) // BLOCK):
        yield seeded_block(seed, index)[: total - index * BLOCK]


def small_file(index):
    """Content of the small file that every web server of the tests offers as /small-INDEX."""
    return seeded_block("small", index, 500 + 777 * index)


SMALL_FILES = 10


class Tally:
    """Counts of one client, and what its connections saw."""

    def __init__(self):
        self.sent = self.answered = self.wrong = 0
        self.error_count = 0
        self.errors = []
        self.stall = 0.0
        self.stall_from = 0.0
        self.extra = {}

    def error(self, where, problem):
        self.error_count += 1
        if len(self.errors) < 20:
            self.errors.append(f"{where}: {type(problem).__name__}: {problem}"
                               if isinstance(problem, BaseException) else f"{where}: {problem}")

    def mismatch(self, where, expected, got):
        self.wrong += 1
        if len(self.errors) < 20:
            self.errors.append(f"{where}: expected {expected!r:.80}, got {got!r:.80}")

    def summary(self):
        return {"sent": self.sent, "answered": self.answered, "wrong": self.wrong,
                "lost": self.sent - self.answered, "errorCount": self.error_count,
                "errors": self.errors, "stallMillis": round(self.stall * 1000, 1),
                "stallFromEpochMillis": round(self.stall_from * 1000), **self.extra}


class Connection:
    """One connection's clock: tells the tally of each answer, and of the gap before it."""

    def __init__(self, tally):
        self.tally = tally
        self.last = time.monotonic()

    def answer(self, count=1):
        now = time.monotonic()
        gap, self.last = now - self.last, now
        if gap > self.tally.stall:
            self.tally.stall = gap
            self.tally.stall_from = time.time() - gap
        self.tally.answered += count


def arguments(description, port, **defaults):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", required=True, help="address of the server")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--seconds", type=float, default=300, help="hard limit")
    parser.add_argument("--connections", type=int, default=defaults.get("connections", 1))
    parser.add_argument("--rate", type=float, default=defaults.get("rate", 200),
                        help="requests per second and connection, or MB/s of a transfer")
    return parser


class Pace:
    """Spreads requests evenly; a late start is not made up for in a burst."""

    def __init__(self, per_second):
        self.step = 1 / per_second if per_second > 0 else 0
        self.next = time.monotonic()

    async def wait(self):
        now = time.monotonic()
        self.next = max(self.next + self.step, now - 0.05)
        if self.next > now:
            await asyncio.sleep(self.next - now)


def _follow_stdin(loop, stop, tally):
    for line in sys.stdin:
        if line.strip() == "report":
            loop.call_soon_threadsafe(lambda: print(json.dumps(tally.summary()), flush=True))
    loop.call_soon_threadsafe(stop.set)


async def _drive(seconds, tally, work):
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_follow_stdin, args=(loop, stop, tally), daemon=True).start()
    task = asyncio.create_task(work(stop, ready))

    async def announce():
        await ready.wait()
        print("ready", flush=True)

    announcer = asyncio.create_task(announce())
    stopper = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopper}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    done, _ = await asyncio.wait({task}, timeout=DRAIN_SECONDS)
    if done:
        await task
    else:
        tally.error("end", f"answers still missing after {DRAIN_SECONDS} s")
        task.cancel()
        await asyncio.wait({task}, timeout=1)
    announcer.cancel()


def run(seconds, tally, work):
    """Runs `work(stop, ready)` to its end and prints the summary. Exit status 1: not all was well."""
    try:
        asyncio.run(_drive(seconds, tally, work))
    except Exception as problem:  # shown in the summary, which is what the caller reads
        tally.error("client", problem)
    summary = tally.summary()
    print(json.dumps(summary), flush=True)
    sys.exit(1 if summary["lost"] or summary["wrong"] or summary["errorCount"] else 0)


async def all_connections(count, stop, ready, tally, one):
    """Runs `one(index, stop, started)` for each connection; ready once every one has started."""
    started = [asyncio.Event() for _ in range(count)]

    async def guarded(index):
        try:
            await one(index, stop, started[index])
        except (OSError, EOFError, ValueError) as problem:
            tally.error(f"connection {index}", problem)
            await stop.wait()  # whoever asks for a report is to see the error

    async def announce():
        for event in started:
            await event.wait()
        ready.set()

    announcer = asyncio.create_task(announce())
    await asyncio.gather(*(guarded(index) for index in range(count)))
    announcer.cancel()


async def pipelined(stop, started, depth, send, receive):
    """Keeps up to `depth` requests on their way until `stop`, then collects what is outstanding.

    `send()` writes one request; `receive()` reads and judges the oldest outstanding answer.
    """
    slots = asyncio.Semaphore(depth)
    sent = received = 0
    finished = asyncio.Event()
    more = asyncio.Event()

    async def receiver():
        nonlocal received
        while not (finished.is_set() and received == sent):
            if received == sent:
                more.clear()
                await more.wait()
                continue
            await receive()
            received += 1
            started.set()
            slots.release()

    async def sender():
        nonlocal sent
        try:
            while not stop.is_set():
                await slots.acquire()
                if stop.is_set():
                    break
                sent += 1
                more.set()
                await send()
        finally:
            finished.set()
            more.set()

    tasks = [asyncio.create_task(receiver()), asyncio.create_task(sender())]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
