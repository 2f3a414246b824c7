"""Terminals of the pump. A small shell at home runs a job, which plays the deputy; a bare pseudo terminal is
the one at the destination, with this process for the moved one."""
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time

from pumps import Pump, Relay
from support import Case, alive, kill, needs_root, until

# Leads the session of its stdin. Its jobs: "job", then one in the same group, "stays". Tells on fd 3 what it is
# asked for on fd 4: fg and bg.
SHELL = """
import os, signal, sys, time, fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def job(group, opened=None):
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, group)
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        kept = open(opened) if opened else None
        time.sleep(60)
        os._exit(0)
    os.setpgid(pid, group or pid)
    return pid
first = job(0)
second = job(first)
os.tcsetpgrp(0, first)
os.write(3, b"%d %d\\n" % (first, second))
while True:
    word = os.read(4, 10).strip()
    if not word: break
    if word == b"pager":
        pager = job(first, "/dev/tty")
        time.sleep(0.2)
    elif word == b"quit":
        os.kill(pager, 9)
        os.waitpid(pager, 0)
    else:
        os.tcsetpgrp(0, first if word == b"fg" else os.getpgrp())
    os.write(3, b"ok\\n")
time.sleep(60)
"""

# Stands in for the cell's init: holds the master, and writes down which signals come.
INIT = """
import os, signal, sys, time
for offset, name in ((2, b"fg "), (3, b"bg ")):
    signal.signal(signal.SIGRTMIN + offset, lambda *_, name=name: os.write(1, name))
os.write(1, b"ready ")
while True: time.sleep(60)
"""


def modes(fd):
    return termios.tcgetattr(fd)


def size(fd):
    return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@needs_root
class TerminalTest(Case):
    def setUp(self):
        super().setUp()
        self.open = []
        self.addCleanup(lambda: [self.close(fd) for fd in self.open])
        self.start_shell()
        self.start_there()
        self.home = Pump(self.folder, "home")
        self.addCleanup(self.home.close)
        self.there = Pump(self.folder, "there")
        self.addCleanup(self.there.close)

    def close(self, fd):
        if fd in self.open:
            self.open.remove(fd)
            os.close(fd)

    def pair(self):
        master, slave = os.openpty()
        os.set_blocking(master, False)
        self.open += [master, slave]
        return master, slave

    def start_shell(self):
        self.screen, terminal = self.pair()
        self.path = os.ttyname(terminal)
        answers, tell = os.pipe()
        hear, asks = os.pipe()
        # As numbers 3 and 4, whatever they are here.
        script = f"import os; os.dup2({tell}, 100); os.dup2({hear}, 101); os.dup2(100, 3); os.dup2(101, 4)\n"
        self.shell = subprocess.Popen([sys.executable, "-c", script + SHELL], stdin=terminal, stdout=terminal,
                                      stderr=subprocess.DEVNULL, pass_fds=(tell, hear), start_new_session=True)
        os.close(tell)
        os.close(hear)
        self.open += [answers, asks]
        self.answers, self.asks = answers, asks
        self.job, self.stays = (int(word) for word in os.read(answers, 100).split())
        self.addCleanup(lambda: [kill(pid) for pid in (self.job, self.stays)])
        self.addCleanup(self.shell.wait)
        self.addCleanup(self.shell.kill)
        self.terminal = terminal
        set_size(self.screen, 33, 99)

    def start_there(self):
        master, self.slave = self.pair()
        self.init = subprocess.Popen([sys.executable, "-c", INIT], stdout=subprocess.PIPE, pass_fds=(master,))
        self.master = master
        self.said = b""
        os.set_blocking(self.init.stdout.fileno(), False)
        self.addCleanup(self.init.stdout.close)
        self.addCleanup(self.init.wait)
        self.addCleanup(self.init.kill)
        self.assertTrue(until(lambda: "ready" in self.init_said()))

    def init_said(self):
        self.said += self.init.stdout.read() or b""
        return self.said.decode()

    def shell_does(self, word):
        os.write(self.asks, word.encode())
        self.assertEqual(b"ok\n", os.read(self.answers, 10))

    def move(self, keys="keys"):
        far = self.home.terminal("terminal", self.path, [self.job], keys)
        there = self.there.join("terminal", self.init.pid, self.master)
        self.close(self.master)  # the init's alone
        self.there.start()
        self.home.start()
        self.relay = Relay(far, there)
        self.assertTrue(until(lambda: self.home.status()["terminal"][0] > 0))  # the modes there

    def keys(self, text):
        os.write(self.screen, text)

    def shown(self, wanted, seconds=5):
        """Reads the screen until all of the wanted is there."""
        got = b""

        def more():
            nonlocal got
            try:
                got += os.read(self.screen, 10000)
            except BlockingIOError:
                pass
            return wanted in got
        until(more, seconds)
        return got

    def is_raw(self):
        return not modes(self.terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def test_keys_are_echoed_and_edited_by_the_terminal_there(self):
        self.move()
        self.assertTrue(self.is_raw())
        self.keys(b"helo\x7flo\r")
        self.assertEqual(b"helo\b \blo\r\n", self.shown(b"\n"))
        self.assertEqual(b"hello\n", os.read(self.slave, 100))
        os.write(self.slave, b"answer\n")
        self.assertEqual(b"answer\r\n", self.shown(b"\n"))

    def test_what_is_typed_without_echo_is_not_shown(self):
        self.move()
        quiet = modes(self.slave)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, quiet)
        self.keys(b"secret\r")
        self.assertEqual(b"secret\n", os.read(self.slave, 100))
        os.write(self.slave, b"thanks\n")
        self.assertEqual(b"thanks\r\n", self.shown(b"thanks\r\n"))

    def test_in_the_background_keys_are_the_shells(self):
        self.shell_does("bg")
        before = modes(self.terminal)
        self.move()
        self.keys(b"for the shell\r")
        self.assertEqual(before, modes(self.terminal))
        self.assertTrue(until(lambda: "bg" in self.init_said()))
        os.write(self.slave, b"a word meanwhile\n")
        self.assertIn(b"a word meanwhile", self.shown(b"meanwhile\r\n"))
        self.assertEqual(b"for the shell\n", os.read(self.terminal, 100))
        self.assertEqual(0, self.there.status()["terminal"][1])

        self.shell_does("fg")
        self.assertTrue(until(self.is_raw))
        self.assertTrue(until(lambda: "fg" in self.init_said()))
        self.keys(b"for the job\r")
        self.assertEqual(b"for the job\n", os.read(self.slave, 100))

    def test_released_it_has_the_modes_that_the_process_has_set(self):
        self.move()
        odd = modes(self.slave)
        odd[0] &= ~termios.IXON
        odd[3] &= ~termios.ECHOK
        termios.tcsetattr(self.slave, termios.TCSANOW, odd)
        sent = self.there.status()["terminal"][0]
        self.assertTrue(until(lambda: self.home.status()["terminal"][0] == sent))
        self.assertEqual("released", self.home.ask("release"))
        self.shell_does("bg")
        self.assertEqual(modes(self.slave), modes(self.terminal))

    def test_a_stopped_job_is_left_alone_until_it_is_continued_in_the_foreground(self):
        self.move()
        self.home.ask("release")
        os.kill(self.job, signal.SIGSTOP)
        self.shell_does("bg")
        time.sleep(0.3)
        self.assertFalse(self.is_raw())
        self.assertNotIn("bg", self.init_said())
        self.shell_does("fg")
        time.sleep(0.3)
        self.assertFalse(self.is_raw())
        os.kill(self.job, signal.SIGCONT)
        self.assertTrue(until(self.is_raw))

    def test_whether_the_job_is_in_the_background_is_told_when_it_is_continued(self):
        self.move()
        self.assertEqual("looked foreground", self.home.ask("look"))
        self.shell_does("bg")
        self.assertEqual("looked background", self.home.ask("look"))
        self.assertEqual("ok", self.there.ask("place background"))
        self.assertTrue(until(lambda: "bg" in self.init_said()))
        self.shell_does("fg")
        self.assertEqual("looked foreground", self.home.ask("look"))
        self.assertTrue(self.is_raw())

    def test_a_signal_key_reaches_those_who_stay_too(self):
        self.move()
        self.keys(b"\x1a")
        self.assertTrue(until(lambda: self.state(self.stays) == "T"))
        self.assertEqual("S", self.state(self.job))  # the agent stops that one
        self.keys(b"\x03")
        os.kill(self.stays, signal.SIGCONT)
        self.assertTrue(until(lambda: not alive(self.stays)))
        self.assertTrue(alive(self.job))

    def test_what_those_who_stay_write_is_shown_as_ever(self):
        self.move()
        os.write(self.slave, b"from there\n\r\n")
        self.assertEqual(b"from there\r\n\r\r\n", self.shown(b"\r\r\n"))
        os.write(self.terminal, b"from here\n")
        self.assertEqual(b"from here\r\n", self.shown(b"\n"))
        plain = modes(self.slave)
        plain[1] &= ~termios.OPOST
        termios.tcsetattr(self.slave, termios.TCSANOW, plain)
        os.write(self.slave, b"down\nand down")
        self.assertEqual(b"down\nand down", self.shown(b"and down"))

    def test_keys_that_nobody_of_the_moved_reads_stay_where_they_are(self):
        before = modes(self.terminal)
        self.move("none")
        self.keys(b"mine\r")
        os.write(self.slave, b"shown\n")
        self.assertIn(b"shown\r\n", self.shown(b"shown\r\n"))
        self.assertEqual(before, modes(self.terminal))
        self.assertEqual(b"mine\n", os.read(self.terminal, 100))
        self.home.ask("release")
        self.assertEqual(before, modes(self.terminal))
        time.sleep(0.1)  # it has answered, and is about to sleep
        idle = self.switches()
        time.sleep(0.3)
        self.assertEqual(idle, self.switches())

    def test_keys_are_left_to_a_pager_of_the_same_job(self):
        self.shell_does("pager")
        self.move()
        self.assertFalse(self.is_raw())
        self.keys(b"q\r")
        self.assertEqual(b"q\n", os.read(self.terminal, 100))
        self.shell_does("quit")
        self.assertTrue(until(self.is_raw))

    def test_a_program_may_take_the_signal_keys_for_itself(self):
        self.move()
        raw = modes(self.slave)
        raw[3] &= ~(termios.ISIG | termios.ICANON)
        termios.tcsetattr(self.slave, termios.TCSANOW, raw)
        os.write(self.slave, b"ready")
        self.shown(b"ready")
        self.keys(b"\x03\x1a")
        self.assertEqual(b"\x03\x1a", os.read(self.slave, 100))
        time.sleep(0.1)
        self.assertEqual("S", self.state(self.stays))

    def test_what_follows_a_signal_key_is_left_for_the_shell(self):
        self.move()
        self.keys(b"ab\x1alater\r")
        self.assertIn(b"^Z", self.shown(b"^Z"))
        self.home.ask("release")
        os.kill(self.job, signal.SIGSTOP)
        self.shell_does("bg")
        self.assertEqual(b"later\n", os.read(self.terminal, 100).replace(b"\r", b"\n"))

    def test_the_window_s_size_follows(self):
        set_size(self.screen, 50, 100)
        self.move()
        set_size(self.screen, 40, 132)
        self.assertEqual("ok", self.home.ask("resized"))
        self.assertTrue(until(lambda: size(self.slave)[:2] == (40, 132)), size(self.slave))

    def test_hung_up_at_home_it_is_hung_up_there(self):
        self.move()
        self.close(self.terminal)
        self.shell.kill()
        self.shell.wait()
        for pid in (self.job, self.stays):
            kill(pid)
        self.close(self.screen)

        def hung_up():
            try:
                return not os.read(self.slave, 1)
            except OSError:
                return True
        self.assertTrue(until(hung_up))
        self.assertTrue(until(lambda: self.home.status()["terminal"][2] and self.there.status()["terminal"][2]))

    def test_at_the_end_all_is_shown_and_the_modes_are_given_back(self):
        self.move()
        self.assertTrue(self.is_raw())
        last = b"".join(b"%d\n" % i for i in range(20000))
        os.set_blocking(self.slave, False)
        got = b""
        while last:
            try:
                last = last[os.write(self.slave, last):]
            except BlockingIOError:
                pass
            got += self.shown(b"19999", 0)
        wanted = modes(self.slave)
        self.close(self.slave)
        self.init.kill()
        got += self.shown(b"19999\r\n")
        self.assertEqual(list(range(20000)), [int(line) for line in got.split()])
        self.assertTrue(until(lambda: self.home.status()["terminal"][2] and self.there.status()["terminal"][2]))
        self.assertEqual(wanted, modes(self.terminal))
        self.relay.close()

    def test_it_sleeps_in_the_foreground(self):
        self.move()
        os.write(self.slave, b"x")
        self.shown(b"x")
        time.sleep(0.1)
        before = self.switches()
        time.sleep(0.3)
        self.assertEqual(before, self.switches())

    def switches(self):
        found = []
        for pump in (self.home, self.there):
            with open(f"/proc/{pump.pid}/status") as f:
                found += re.findall(r".*ctxt_switches.*", f.read())
        return found

    @staticmethod
    def state(pid):
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
