"""Job pager, one of whose two processes is killed again and again while it has work of every kind."""
import contextlib
import os
import random
import threading
import time

from pagers import BASE, PAGE, PagerCase
from support import alive, kill, until

MB = 1 << 20
HERE = (BASE, BASE + 24 * MB)
GAP = (BASE + 64 * MB, BASE + 72 * MB)
MOVED = (BASE + 128 * MB, BASE + 136 * MB)
DROPPED = (BASE + 192 * MB, BASE + 200 * MB)
AREAS = [HERE, GAP, MOVED, DROPPED]
MISSING = [GAP, (MOVED[0] + 4 * MB, MOVED[1]), (DROPPED[0] + 4 * MB, DROPPED[1])]


class Feeder(threading.Thread):
    """The agent: brings what is missing bit by bit, and comes again whenever it is hung up on."""

    def __init__(self, case, random_):
        super().__init__(daemon=True)
        self.case, self.store = case, case.store
        pieces = [(a, a + MB // 4) for start, end in MISSING for a in range(start, end, MB // 4)]
        random_.shuffle(pieces)
        self.pieces, self.brought = pieces, []
        self.hang_ups = 0
        self.failed = None

    def run(self):
        try:
            while not self.feed():
                self.hang_ups += 1
        except Exception as e:
            self.failed = e

    def feed(self):
        """True once all is there."""
        with contextlib.closing(self.case.connect()) as agent:
            try:
                agent.follow()
                lacking = agent.missing(7)
                for start, end in self.brought:
                    if any(a < end and start < b for a, b in lacking):
                        agent.say(f"here 7 {start:x} {end:x}")
                while self.pieces:
                    start, end = self.pieces[-1]
                    self.store.write(start, end)
                    self.brought.append(self.pieces.pop())
                    agent.say(f"here 7 {start:x} {end:x}")
                agent.await_event("finished")
                return True
            except OSError:
                return False


class PagerKill(PagerCase):
    def connect(self):
        """Another worker may be about to begin."""
        end = time.monotonic() + 5
        while True:
            try:
                return self.pager.connect()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.001)

    def pids(self):
        """Of a worker and a keeper that both live; it does not survive the kill of both at once."""
        while True:
            with contextlib.closing(self.connect()) as agent, contextlib.suppress(OSError, ValueError):
                pids = [int(n) for n in agent.ask("pid").split()[1:]]
                if all(alive(pid) for pid in pids):
                    return pids

    def one_storm(self, seed, kills):
        """What is touched, moved, dropped, forked while `kills` of the pager's processes are killed."""
        random_ = random.Random(seed)
        with contextlib.closing(self.connect()) as agent:
            agent.follow()
            paged = self.restore(agent, AREAS, MISSING, finish=False)
        feeder = Feeder(self, random_)
        feeder.start()
        slots = [paged.begin("wander", HERE[0], HERE[1] - HERE[0], random_.getrandbits(20)) for _ in range(3)]
        slots += [paged.begin("wander", GAP[0], GAP[1] - GAP[0], random_.getrandbits(20)) for _ in range(3)]
        killed = 0
        victim = None
        to = BASE + (1 << 33)
        work = [lambda: slots.append(paged.begin("fork", HERE[0], HERE[1] - HERE[0], HERE[0])),
                lambda: slots.append(paged.begin("fork", GAP[0], GAP[1] - GAP[0], GAP[0])),
                lambda: self.assertEqual("done", paged.do("move", MOVED[0] + MB, 5 * MB, to)),
                lambda: self.assertEqual("done", paged.do("drop", DROPPED[0] + MB, 5 * MB)),
                paged.finish]
        for i in range(max(kills, len(work))):
            if i < kills:
                pids = self.pids()
                time.sleep(random_.random() * 0.02)
                victim = random_.choice(pids)
                kill(victim)
                self.assertTrue(until(lambda: not alive(victim)))
                killed += 1
            if i < len(work):
                work[i]()
        for slot in slots:
            self.assertEqual("good", slot.get(timeout=20))
        feeder.join(20)
        self.assertIsNone(feeder.failed)
        self.assertFalse(feeder.is_alive(), "not finished")
        self.assert_good(paged, HERE, GAP, (MOVED[0], MOVED[0] + MB), (MOVED[0] + 6 * MB, MOVED[1]),
                         (DROPPED[0], DROPPED[0] + MB), (DROPPED[0] + 6 * MB, DROPPED[1]))
        self.assertEqual("good", paged.do("check", to, 5 * MB, MOVED[0] + MB))
        self.assertEqual("good", paged.do("zero", DROPPED[0] + MB, 5 * MB))
        return killed, feeder.hang_ups

    def test_twenty_kills_at_any_moment_lose_nothing(self):
        seed = int(os.environ.get("EXILE_SEED", "0")) or random.getrandbits(30)
        with self.subTest(f"EXILE_SEED={seed}"):
            killed, hang_ups = self.one_storm(seed, 20)
            print(f"{killed} killed, {hang_ups} of them workers ", end="", flush=True)
