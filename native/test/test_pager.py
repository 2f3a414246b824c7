"""Job pager: memory comes as it is touched, is always right, and whoever must wait waits."""
import os
import time

from pagers import BASE, PAGE, PagerCase
from support import alive, until

MB = 1 << 20
AREA = (BASE, BASE + 16 * MB)
SECOND = (BASE + 64 * MB, BASE + 68 * MB)


CHURNS = int(os.environ.get("EXILE_TEST_CHURNS", "5"))
LARGE = (AREA[0], AREA[0] + 128 * MB)


class Local(PagerCase):
    def test_a_process_that_changes_its_mappings_all_the_time_finds_each_page_as_it_left_it(self):
        for seed in range(CHURNS):
            with self.subTest(seed):
                agent = self.agent()
                paged = self.restore(agent, [LARGE], finish=False)
                churned = paged.begin("churn", LARGE[0], LARGE[1] - LARGE[0], seed)
                paged.finish()
                self.assertEqual("good", churned.get(timeout=60))
                agent.await_event("finished")
                self.doCleanups()
                self.setUp()

    def test_all_that_is_here_is_put_in_and_then_the_process_is_on_its_own(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA, SECOND])
        self.assertEqual("resumed", agent.await_event("resumed"))
        self.assertEqual("finished 7", agent.await_event("finished"))
        self.assert_good(paged, AREA, SECOND)
        self.assertEqual({"missing": 0, "here": 0, "installed": 5 * 1024, "faults": 0, "waiting": 0,
                          "state": "finished"}, agent.status(7))

    def test_touches_are_served_before_all_is_restored_and_nothing_else_is(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], finish=False)
        self.assert_good(paged, (AREA[0] + MB, AREA[0] + 2 * MB))
        time.sleep(0.1)
        self.assertGreater(agent.status(7)["here"], 3500)
        self.assertNotIn("resumed", agent.heard)
        paged.finish()
        agent.await_event("finished")
        self.assert_good(paged, AREA)

    def test_a_process_of_which_nothing_was_said_is_zeros(self):
        agent = self.agent()
        paged = self.arrive(agent, [AREA], 8, finish=False)
        self.assertEqual("good", paged.do("zero", AREA[0], MB))
        paged.finish()
        agent.await_event("resumed")
        self.assertEqual("good", paged.do("zero", *AREA[:1], AREA[1] - AREA[0]))

    def test_a_store_is_emptied_as_its_pages_are_put_in(self):
        agent = self.agent()
        self.restore(agent, [AREA])
        agent.await_event("finished")
        self.assertLess(self.store.bytes(), MB)

    def test_three_gigabytes_of_almost_nothing_are_passed_quickly(self):
        agent = self.agent()
        big = (BASE, BASE + (3 << 30))
        self.store = self.make_store([(BASE, BASE + PAGE)])
        with open(self.store.plan, "w") as f:
            f.write(f"area {big[0]:x} {big[1]:x}\n")
        os.truncate(self.store.path, big[1])
        self.store.write(big[1] - MB, big[1])
        self.store.write(big[0] + (5 << 28), big[0] + (5 << 28) + MB)
        agent.ask(f"process 7 {self.store.path} {self.store.plan}")
        paged = self.arrive(agent, [big], finish=False)
        self.assert_good(paged, (big[1] - MB // 2, big[1]))
        begin = time.monotonic()
        paged.finish()
        agent.await_event("finished")
        print(f"3 GB of holes in {(time.monotonic() - begin) * 1000:.0f} ms ", end="", flush=True)
        self.assert_good(paged, (big[1] - MB, big[1]), (big[0] + (5 << 28), big[0] + (5 << 28) + MB))
        self.assertEqual("good", paged.do("zero", big[0] + (1 << 31), 16 * MB))

    def test_a_touch_takes_less_than_a_millisecond_and_the_rest_comes_fast(self):
        agent = self.agent()
        big = (BASE, BASE + 256 * MB)
        paged = self.restore(agent, [big], finish=False)
        median, _, _ = map(float, paged.do("measure", BASE, 64 * MB, 16 * PAGE).split()[1:])
        size = self.store.bytes()
        begin = time.monotonic()
        paged.finish()
        agent.await_event("finished")
        rate = size / (time.monotonic() - begin) / 1e9
        print(f"{median:.0f} us a touch, {rate:.2f} GB/s ahead ", end="", flush=True)
        self.assertLess(median, 1000)

    def test_what_is_cut_into_several_mappings_is_put_in(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], finish=False)
        for i in range(0, 16, 2):
            self.assertEqual("done", paged.do("protect", AREA[0] + i * MB + 7 * PAGE, 5 * PAGE, 1))
        paged.finish()
        agent.await_event("finished")
        self.assert_good(paged, AREA)

    def test_an_area_that_is_not_mapped_is_told_of_and_the_others_are_served(self):
        agent = self.agent()
        self.store = self.make_store([AREA, SECOND])
        agent.ask(f"process 7 {self.store.path} {self.store.plan}")
        paged = self.arrive(agent, [SECOND])
        self.assertRegex(agent.await_event("error"), "^error 7 .*not registered")
        self.assert_good(paged, SECOND)
        self.assertTrue(until(lambda: agent.status(7)["here"] <= 4096))
        time.sleep(1)
        self.assertNotIn("finished 7", agent.heard)

    def test_a_store_too_short_or_a_bad_plan_is_refused(self):
        agent = self.agent()
        store = self.make_store([AREA])
        for plan in (f"area {AREA[0]:x} {AREA[1] + PAGE:x}\n", f"area {AREA[1]:x} {AREA[0]:x}\n", "area 1 2\n",
                     f"area {AREA[0]:x} {AREA[1]:x}", f"missing {AREA[0]:x} {AREA[1]:x}\n", "what\n"):
            with open(store.plan, "w") as f:
                f.write(plan)
            self.assertRegex(agent.ask(f"process 7 {store.path} {store.plan}"), "^error ", plan)
        for line in ("", "process", "process x y z", f"process 7 /none {store.plan}", "listen /none", "missing 9",
                     "here 9 0 1000", f"here 9 {AREA[0]:x} {AREA[1]:x}", "what"):
            self.assertRegex(agent.ask(line), "^error ", line)

    def test_a_store_that_cannot_be_read_makes_threads_wait_not_zeros(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], finish=False)
        os.truncate(self.store.path, AREA[0] + 8 * MB)
        waiting = paged.begin("check", AREA[0] + 9 * MB, MB, AREA[0] + 9 * MB)
        self.assertRegex(agent.await_event("error"), "^error 7 .*short")
        self.assert_waits(waiting)
        paged.finish()
        agent.await_event("error")
        os.truncate(self.store.path, AREA[1])
        self.store.write(AREA[0] + 8 * MB, AREA[1])
        self.assertEqual("good", waiting.get(timeout=5))
        agent.await_event("finished")
        self.assert_good(paged, AREA)


class Missing(PagerCase):
    GAP = (AREA[0] + 2 * MB, AREA[0] + 10 * MB)

    @staticmethod
    def thousand_wants(agent):
        wanted = set()
        while len(wanted) < 1000:
            wanted.add(agent.await_event("want"))
        return wanted

    def here(self, agent, start, end):
        self.store.write(start, end)
        agent.say(f"here 7 {start:x} {end:x}")

    def test_threads_wait_for_what_is_missing_and_go_on_as_it_comes(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA, SECOND], [self.GAP])
        self.assertEqual([self.GAP], agent.missing(7))
        middle = self.GAP[0] + MB
        waiting = [paged.begin("check", middle + i * MB, MB, middle + i * MB) for i in range(3)]
        for i in range(3):
            self.assertEqual(f"want 7 {middle + i * MB:x}", agent.await_event(f"want 7 {middle + i * MB:x}"))
        self.assert_waits(*waiting)
        self.assertEqual(3, agent.status(7)["waiting"])
        self.assert_good(paged, (AREA[0], self.GAP[0]), (self.GAP[1], AREA[1]), SECOND)
        self.here(agent, middle, middle + MB)
        self.assertEqual("good", waiting[0].get(timeout=5))
        self.assertEqual([(self.GAP[0], middle), (middle + MB, self.GAP[1])], agent.missing(7))
        self.here(agent, middle + MB, self.GAP[1])
        for slot in waiting[1:]:
            self.assertEqual("good", slot.get(timeout=5))
        self.assertNotIn("finished 7", agent.heard)
        self.here(agent, self.GAP[0], middle)
        agent.await_event("finished")
        self.assert_good(paged, AREA)
        self.assertEqual([], [line for line in agent.heard if line.startswith("want")])

    def test_a_page_is_asked_for_once_however_many_wait_and_of_each_new_agent_again(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        waiting = [paged.begin("check", self.GAP[0], PAGE, self.GAP[0]) for _ in range(8)]
        agent.await_event("want")
        self.assert_waits(*waiting)
        agent.status(7)
        self.assertEqual([], [line for line in agent.heard if line.startswith("want")])
        agent.close()
        agent = self.agent()
        self.assertEqual(f"want 7 {self.GAP[0]:x}", agent.await_event("want"))
        agent.await_event("resumed")
        self.here(agent, *self.GAP)
        for slot in waiting:
            self.assertEqual("good", slot.get(timeout=5))
        agent.await_event("finished")
        agent = self.agent()
        self.assertEqual("finished 7", agent.await_event("finished"))

    def test_a_follower_that_does_not_read_holds_nobody_up_and_hears_all_in_the_end(self):
        deaf = self.agent()
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        waiting = {paged.begin("check", a, PAGE, a): a for a in range(self.GAP[0], self.GAP[0] + 1000 * PAGE, PAGE)}
        wanted = self.thousand_wants(agent)
        begin = time.monotonic()
        self.assert_good(paged, (AREA[0], AREA[0] + MB))
        self.assertLess(time.monotonic() - begin, 2)
        self.assertEqual(wanted, self.thousand_wants(deaf))
        self.here(agent, *self.GAP)
        for slot in waiting:
            self.assertEqual("good", slot.get(timeout=5))
        agent.await_event("finished")
        deaf.await_event("finished")

    def test_dropped_memory_is_zeros_and_asked_for_no_more(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        self.assertEqual("done", paged.do("drop", AREA[0] + MB, 2 * MB))
        self.assertEqual("good", paged.do("zero", AREA[0] + MB, 2 * MB))
        self.assertEqual([(self.GAP[0] + MB, self.GAP[1])], agent.missing(7))
        self.assert_good(paged, (AREA[0], AREA[0] + MB))
        waiting = paged.begin("check", self.GAP[0] + MB, MB, self.GAP[0] + MB)
        agent.await_event("want")
        self.here(agent, *self.GAP)
        self.assertEqual("good", waiting.get(timeout=5))
        agent.await_event("finished")
        self.assertEqual("good", paged.do("zero", AREA[0] + MB, 2 * MB))
        self.assert_good(paged, (AREA[0] + 3 * MB, AREA[1]))

    def test_unmapped_memory_is_forgotten_and_mapped_anew_is_the_process_s_own(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        self.assertEqual("done", paged.do("unmap", AREA[0] + MB, 2 * MB))
        self.assertEqual("done", paged.do("map", AREA[0] + MB, MB))
        self.assertEqual("good", paged.do("zero", AREA[0] + MB, MB))
        self.assertEqual([(self.GAP[0] + MB, self.GAP[1])], agent.missing(7))
        self.here(agent, *self.GAP)
        agent.await_event("finished")
        self.assertEqual("good", paged.do("zero", AREA[0] + MB, MB))
        self.assert_good(paged, (AREA[0] + 3 * MB, AREA[1]))

    def test_moved_memory_is_served_where_it_is(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        to = BASE + (1 << 32)
        self.assertEqual("done", paged.do("move", AREA[0] + MB, 2 * MB, to))
        self.assertEqual("good", paged.do("check", to, MB, AREA[0] + MB))
        waiting = paged.begin("check", to + MB, MB, AREA[0] + 2 * MB)
        self.assertEqual(f"want 7 {self.GAP[0]:x}", agent.await_event("want"))
        self.assert_waits(waiting)
        self.assertEqual([self.GAP], agent.missing(7))
        self.here(agent, *self.GAP)
        self.assertEqual("good", waiting.get(timeout=5))
        agent.await_event("finished")
        self.assert_good(paged, (AREA[0], AREA[0] + MB), (AREA[0] + 3 * MB, AREA[1]))

    def test_memory_of_which_a_part_was_dropped_can_still_be_moved_as_one(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        to = BASE + (1 << 32)
        self.assertEqual("done", paged.do("drop", AREA[0] + MB, MB))
        self.assertEqual("done", paged.do("move", AREA[0], AREA[1] - AREA[0], to))
        self.assertEqual("good", paged.do("zero", to + MB, MB))
        self.here(agent, *self.GAP)
        agent.await_event("finished")
        for start, end in ((0, MB), (2 * MB, AREA[1] - AREA[0])):
            self.assertEqual("good", paged.do("check", to + start, end - start, AREA[0] + start))

    def test_grown_memory_is_zeros_at_its_end(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        self.assertEqual("done", paged.do("grow", AREA[0] + 12 * MB, 4 * MB, 2 * MB))
        to = AREA[0] + 12 * MB + (1 << 36)
        self.assertEqual("good", paged.do("zero", to + 4 * MB, MB))
        self.assertEqual("good", paged.do("check", to, 4 * MB, AREA[0] + 12 * MB))
        self.here(agent, *self.GAP)
        agent.await_event("finished")
        self.assertEqual("good", paged.do("zero", to + 4 * MB, 2 * MB))

    def test_children_are_served_too(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP], finish=False)
        children = [paged.begin("fork", AREA[0], 16 * MB, AREA[0]) for _ in range(3)]
        agent.await_event("want")
        self.assert_waits(*children)
        paged.finish()
        self.here(agent, *self.GAP)
        for child in children:
            self.assertEqual("good", child.get(timeout=20))
        agent.await_event("finished")
        self.assert_good(paged, AREA)

    def test_a_process_that_exits_is_told_of(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        paged.begin("check", self.GAP[0], PAGE, self.GAP[0])
        agent.await_event("want")
        paged.process.kill()
        self.assertEqual("gone 7", agent.await_event("gone"))
        self.assertEqual("gone", agent.status(7)["state"])

    def test_it_ends_by_itself_once_nobody_needs_it(self):
        agent = self.agent()
        self.restore(agent, [AREA])
        agent.await_event("finished")
        agent.close()
        self.assertTrue(until(lambda: not alive(self.pager.pid), 10))
        self.assertFalse(os.path.exists(self.pager.path))

    def test_it_does_not_end_while_something_is_missing_and_sleeps(self):
        agent = self.agent()
        paged = self.restore(agent, [AREA], [self.GAP])
        waiting = paged.begin("check", self.GAP[0], PAGE, self.GAP[0])
        agent.await_event("want")
        agent.close()
        time.sleep(1)
        with open(f"/proc/{self.pager.now()[0]}/schedstat") as f:
            before = int(f.read().split()[0])
        time.sleep(6)
        with open(f"/proc/{self.pager.now()[0]}/schedstat") as f:
            self.assertLess(int(f.read().split()[0]) - before, 20e6)
        self.assert_waits(waiting)
        agent = self.agent()
        self.here(agent, *self.GAP)
        self.assertEqual("good", waiting.get(timeout=5))
