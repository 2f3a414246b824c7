"""Job pager, one of whose two processes is killed again and again while it has work of every kind."""
import contextlib
import os
import random
import socket
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

    def kill_both(self):
        pids = self.pids()
        for pid in pids:
            kill(pid)
        for pid in pids:
            self.assertTrue(until(lambda: not alive(pid)))

    def test_killed_both_at_once_they_leave_nobody_with_zeros_whom_another_holds(self):
        with contextlib.closing(self.connect()) as agent:
            agent.follow()
            held = agent.hold()
            paged = self.restore(agent, AREAS, MISSING)
            self.addCleanup(held.close)  # before the program's end, whose child waits for that
            waiting = [paged.begin(word, page, PAGE, page) for word, page in
                       (("check", GAP[0]), ("fork", GAP[0] + PAGE))]
            agent.await_event("want")
            agent.await_event("want")
        self.kill_both()
        waiting.append(paged.begin("check", GAP[0] + MB, PAGE, GAP[0] + MB))
        self.assert_waits(*waiting)

    def test_what_is_held_is_what_is_served(self):
        with contextlib.closing(self.connect()) as agent:
            agent.follow()
            held = agent.hold()
            self.addCleanup(held.close)
            paged = self.restore(agent, AREAS, MISSING)
            kill(self.pids()[0])
            again = self.connect()
            self.addCleanup(again.close)
            again.follow()
            self.assertEqual(1, len(socket.recv_fds(held, 4, 10, socket.MSG_PEEK)[1]))
            forked = paged.begin("fork", GAP[0], PAGE, GAP[0])
            again.await_event("want")
            self.assertEqual(2, len(socket.recv_fds(held, 4, 10, socket.MSG_PEEK)[1]))
            for start, end in MISSING:
                self.store.write(start, end)
                again.say(f"here 7 {start:x} {end:x}")
            self.assertEqual("good", forked.get(timeout=20))
            again.await_event("finished")
            self.assertRaises(BlockingIOError, held.recv, 4)
            self.assert_good(paged, *AREAS)

    def test_twenty_kills_at_any_moment_lose_nothing(self):
        seed = int(os.environ.get("EXILE_SEED", "0")) or random.getrandbits(30)
        with self.subTest(f"EXILE_SEED={seed}"):
            killed, hang_ups = self.one_storm(seed, 20)
            print(f"{killed} killed, {hang_ups} of them workers ", end="", flush=True)
