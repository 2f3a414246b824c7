"""The deputy's life, and its watcher's."""
import os
import random
import signal
import subprocess
import time

from deputies import DeputyCase, fields, sigqueue, state, status
from support import SHIM, kill, needs_root, until


@needs_root
class LifeTest(DeputyCase):
    def switches(self, pid):
        return status(pid, "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")

    def watch(self, *pids):
        watch = subprocess.Popen([SHIM, "watch", "--id", "m1", *map(str, pids)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_watch, watch)
        for pid in pids:
            self.assertEqual(f"watching {pid}\n", watch.stdout.readline())
        return watch

    @staticmethod
    def end_watch(watch):
        watch.stdin.close()
        watch.wait(5)
        watch.stdout.close()

    def hears(self, watch, wanted):
        line = watch.stdout.readline().strip()
        while line != wanted and line.startswith("continued"):
            line = watch.stdout.readline().strip()
        self.assertEqual(wanted, line)

    def test_idle_it_sleeps_and_so_does_its_watcher(self):
        agent = self.agent()
        victim = self.victim()
        self.deputy(victim)
        self.assertTrue(agent.has(victim.pid))
        watch = self.watch(victim.pid)
        time.sleep(0.1)
        before = self.switches(victim.pid), self.switches(watch.pid)
        time.sleep(2)
        self.assertEqual(before, (self.switches(victim.pid), self.switches(watch.pid)))

    def test_while_the_agent_is_away_signals_stay_in_the_kernel(self):
        victim = self.victim()
        self.deputy(victim)
        for value in range(100):
            sigqueue(victim.pid, 40, value)
            kill(victim.pid, 10)
        before = int(self.switches(victim.pid)[0])
        time.sleep(2)
        self.assertLessEqual(int(self.switches(victim.pid)[0]) - before, 3)
        agent = self.agent()
        self.assertTrue(until(lambda: len(agent.signals) == 101))
        self.assertEqual([10] + [40] * 100, agent.numbers())
        self.assertEqual(list(range(100)), [fields(text)[4] for _, _, text in agent.signals[1:]])

    def test_what_is_not_acknowledged_is_sent_again_and_bounded(self):
        agent = self.agent(acknowledge=False)
        victim = self.victim()
        self.deputy(victim)
        for value in range(200):
            sigqueue(victim.pid, 40, value)
        self.assertTrue(until(lambda: len(agent.signals) == 64))
        time.sleep(0.1)
        self.assertEqual(64, len(agent.signals))
        agent.close()
        again = self.agent()
        self.assertTrue(until(lambda: len(again.signals) == 200))
        self.assertEqual(list(range(200)), [fields(text)[4] for _, _, text in again.signals])
        self.assertEqual([(victim.pid, n) for n in range(1, 201)], again.seen)

    def test_stop_and_continue(self):
        agent = self.agent()
        victim = self.victim(process_group=0)
        self.deputy(victim)
        for number in (signal.SIGTSTP, signal.SIGSTOP, signal.SIGTTIN):
            agent.tell(victim.pid, f"stop {int(number)}")
            self.assertEqual((victim.pid, number << 8 | 0x7f), os.waitpid(victim.pid, os.WUNTRACED))
            kill(victim.pid, signal.SIGCONT)
            self.assertEqual((victim.pid, 0xffff), os.waitpid(victim.pid, os.WCONTINUED))
        # The agent's own SIGCONT (this process's) is not told to the agent. Pending, it would swallow another's.
        self.assertTrue(until(lambda: int(status(victim.pid, "ShdPnd")[0], 16) == 0))
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCONT]))

    def test_where_no_shell_could_stop_it_it_stops_all_the_same(self):
        """In an orphaned process group the kernel ignores the keyboard's stop signals."""
        agent = self.agent()
        victim = self.victim(start_new_session=True)
        self.deputy(victim)
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            agent.tell(victim.pid, f"stop {int(number)}")
            self.assertEqual((victim.pid, 0x137f), os.waitpid(victim.pid, os.WUNTRACED))
            subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
            self.assertEqual((victim.pid, 0xffff), os.waitpid(victim.pid, os.WCONTINUED))
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCONT] * 3), agent.numbers())

    def test_a_stop_signal_that_nobody_can_catch_is_noticed(self):
        agent = self.agent()
        victim = self.victim(process_group=0)
        self.deputy(victim)
        watch = self.watch(victim.pid)
        kill(victim.pid, signal.SIGSTOP)
        self.hears(watch, f"asked {victim.pid}")
        self.hears(watch, f"stopped {victim.pid} 19")
        self.assertEqual((victim.pid, 0x137f), os.waitpid(victim.pid, os.WUNTRACED))
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        self.assertEqual((victim.pid, 0xffff), os.waitpid(victim.pid, os.WCONTINUED))
        self.hears(watch, f"continued {victim.pid}")
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGCONT]))
        agent.tell(victim.pid, "stop 19")
        self.hears(watch, f"stopped {victim.pid} 19 own")
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        self.hears(watch, f"continued {victim.pid}")
        agent.tell(victim.pid, "stop 20")
        self.hears(watch, f"stopped {victim.pid} 20 own")
        self.assertEqual((victim.pid, 0x147f), os.waitpid(victim.pid, os.WUNTRACED))
        # Killed, it leaves the deputy as it stands; the next one finds it so.
        watch.kill()
        watch.wait()
        time.sleep(0.1)
        self.assertEqual("T", state(victim.pid))
        again = self.watch(victim.pid)
        self.hears(again, f"stopped {victim.pid} 20 own")
        subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
        agent.tell(victim.pid, "exit 15")
        self.hears(again, f"continued {victim.pid}")
        self.hears(again, f"ended {victim.pid} 15")
        self.assertEqual(-15, victim.process.wait(5))

    def test_who_begins_to_watch_knows_who_has_stopped_it(self):
        agent = self.agent()
        victim = self.victim(process_group=0)
        self.deputy(victim)
        for own in (True, False, True):
            if own:
                agent.tell(victim.pid, "stop 19")
            else:
                kill(victim.pid, signal.SIGSTOP)
            self.assertTrue(until(lambda: state(victim.pid) == "T"))
            watch = self.watch(victim.pid)
            self.hears(watch, f"stopped {victim.pid} 19" + (" own" if own else ""))
            subprocess.run(["kill", "-CONT", str(victim.pid)], check=True)
            self.hears(watch, f"continued {victim.pid}")
            self.assertTrue(until(lambda: state(victim.pid) == "S"))
            self.end_watch(watch)

    def test_a_killed_watcher_loses_no_stop(self):
        self.agent()
        victim = self.victim()
        self.deputy(victim)
        for number in range(20):
            watch = self.watch(victim.pid)
            kill(victim.pid, signal.SIGSTOP)
            if number % 2:
                time.sleep(random.uniform(0, 0.001))
            watch.kill()
            self.assertTrue(until(lambda: state(victim.pid) == "T"), number)
            kill(victim.pid, signal.SIGCONT)
            self.assertTrue(until(lambda: state(victim.pid) == "S"), number)

    def test_only_deputies_of_this_migration_are_watched(self):
        victim = self.victim()
        watch = self.watch()
        watch.stdin.write(f"add {victim.pid}\n")
        watch.stdin.flush()
        self.assertEqual(f"gone {victim.pid}\n", watch.stdout.readline())
        count = victim.value()
        self.assertTrue(until(lambda: victim.value() > count))
