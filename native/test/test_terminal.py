"""Deputies under a shell with job control."""
import os
import pty
import re
import select
import signal
import time

from deputies import DeputyCase, fields, state
from support import kill, needs_root, until


@needs_root
class TerminalTest(DeputyCase):
    """A shell with job control, in a terminal of its own."""

    def setUp(self):
        super().setUp()
        self.shell, self.terminal = pty.fork()
        if self.shell == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], dict(os.environ, PS1="$ ", TERM="dumb"))
        self.text = ""
        self.addCleanup(self.end_shell)

    def end_shell(self):
        kill(self.shell)
        os.close(self.terminal)
        os.waitpid(self.shell, 0)

    def type(self, text):
        self.text = ""
        os.write(self.terminal, text.encode())

    def shows(self, pattern, seconds=5):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, self.text):
                return True
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.text += os.read(self.terminal, 4096).decode(errors="replace")
        return False

    def on_signal(self, agent, pid, _tid, text):
        """Does as if a real process with no handlers did at the destination."""
        number = fields(text)[0]
        if number == signal.SIGTSTP:
            agent.tell(pid, "stop 20")
        elif number == signal.SIGINT:
            agent.tell(pid, "exit 2")

    def test_a_job_of_a_shell(self):
        agent = self.agent(on_signal=self.on_signal)
        self.type("sleep 77\n")
        self.assertTrue(until(lambda: self.job()))
        job = self.job()
        self.freeze(job)
        self.assertEqual("done", self.deputize(job)[-1])
        self.assertTrue(agent.has(job))
        self.type("\x1a")
        self.assertTrue(self.shows(r"Stopped\s+sleep 77"), self.text)
        self.type("jobs\n")
        self.assertTrue(self.shows(r"\[1\]\+\s+Stopped\s+sleep 77"), self.text)
        self.type("bg\n")
        self.assertTrue(self.shows(r"sleep 77 &"), self.text)
        self.type("jobs\n")
        self.assertTrue(self.shows(r"\[1\]\+\s+Running\s+sleep 77"), self.text)
        self.type("fg\n")
        self.assertTrue(self.shows("sleep 77"), self.text)
        # A stop that overtakes the SIGCONT before it has woken the job wipes it out, as ever.
        self.assertTrue(until(lambda: agent.numbers() == [signal.SIGTSTP, signal.SIGCONT]), agent.numbers())
        self.type("\x1a")
        self.assertTrue(self.shows(r"Stopped\s+sleep 77"), self.text)
        self.type("fg\n")
        self.assertTrue(self.shows("sleep 77"), self.text)
        self.assertTrue(until(lambda: state(job) == "S"))
        self.type("\x03")
        self.assertTrue(self.shows(r"\$ "), self.text)
        self.type("echo status=$?\n")
        self.assertTrue(self.shows("status=130"), self.text)
        self.assertEqual([signal.SIGTSTP, signal.SIGCONT, signal.SIGTSTP, signal.SIGCONT, signal.SIGINT],
                         agent.numbers())

    def job(self):
        with open(f"/proc/{self.shell}/task/{self.shell}/children") as f:
            for pid in f.read().split():
                with open(f"/proc/{pid}/cmdline", "rb") as c:
                    if c.read() == b"sleep\x0077\0":
                        return int(pid)
        return None
