"""Job pump: two of them, joined as two agents join them, with this process for all others."""
import fcntl
import hashlib
import os
import random
import select
import signal
import socket
import subprocess
import threading
import time

from pumps import Pump, Relay
from support import Case, SHIM, alive, needs_root, until

BIG = 32 << 20


def ready(fd, seconds=0.0, write=False):
    return bool(select.select([] if write else [fd], [fd] if write else [], [], seconds)[1 if write else 0])


def broken(fd):
    """True where a writer to this pipe would get SIGPIPE."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


@needs_root
class PumpCase(Case):
    def setUp(self):
        super().setUp()
        self.home = Pump(self.folder, "home")
        self.addCleanup(self.home.close)
        self.there = Pump(self.folder, "there")
        self.addCleanup(self.there.close)

    def pipe(self):
        """Closed by whoever has closed its numbers; the rest at the end."""
        ends = os.pipe()
        self.addCleanup(lambda: [self.close(fd) for fd in ends])
        return ends

    @staticmethod
    def close(fd):
        try:
            os.close(fd)
        except OSError:
            pass

    def start(self):
        self.there.start()
        self.home.start()

    def reading(self):
        """What the process reads: the producer's end at home, the process's at the destination."""
        theirs, producer = self.pipe()
        far = self.home.take("in", "up", theirs)
        os.close(theirs)  # the deputy has closed it
        there, process = self.there.make("in", "down")
        return producer, process, lambda: Relay(far, there)

    def writing(self):
        """What the process writes: the consumer's end at home, the process's at the destination."""
        consumer, theirs = self.pipe()
        far = self.home.take("out", "down", theirs)
        os.close(theirs)
        there, process = self.there.make("out", "up")
        return consumer, process, lambda: Relay(far, there)


class PipeTest(PumpCase):
    def test_bytes_and_the_end_reach_the_process(self):
        producer, process, join = self.reading()
        os.write(producer, b"waited in the pipe\n")
        self.start()
        relay = join()
        os.write(producer, b"came later\n")
        os.close(producer)
        with open(process, "rb") as f:
            self.assertEqual(b"waited in the pipe\ncame later\n", f.read())
        self.assertTrue(until(lambda: self.home.status()["in"] == (30, 0, True)))
        self.assertTrue(until(lambda: self.there.status()["in"] == (30, 0, True)))
        relay.close()

    def test_bytes_and_the_end_reach_the_consumer(self):
        consumer, process, join = self.writing()
        self.start()
        relay = join()
        os.write(process, b"said\n")
        os.close(process)
        with open(consumer, "rb") as f:
            self.assertEqual(b"said\n", f.read())
        self.assertTrue(until(lambda: self.home.status()["out"] == (5, 0, True)))
        self.assertTrue(until(lambda: self.there.status()["out"] == (5, 0, True)))
        relay.close()

    def test_the_producer_is_told_when_the_process_reads_no_more(self):
        producer, process, join = self.reading()
        self.start()
        relay = join()
        self.assertFalse(broken(producer))
        os.close(process)
        self.assertTrue(until(lambda: broken(producer)))
        relay.close()
        self.assertTrue(self.home.status()["in"][2] and self.there.status()["in"][2])

    def test_the_process_is_told_when_the_consumer_reads_no_more(self):
        consumer, process, join = self.writing()
        self.start()
        relay = join()
        os.write(process, b"x" * 1000)
        self.assertTrue(ready(consumer, 5))
        os.close(consumer)
        self.assertTrue(until(lambda: broken(process)))
        relay.close()
        self.assertTrue(self.home.status()["out"][2] and self.there.status()["out"][2])

    def test_a_consumer_that_goes_while_much_is_under_way(self):
        consumer, process, join = self.writing()
        self.start()
        relay = join()
        writer = subprocess.Popen(["cat", "/dev/zero"], stdout=process)
        os.close(process)
        os.read(consumer, 1 << 20)
        os.close(consumer)
        self.assertEqual(-signal.SIGPIPE, writer.wait(10))
        relay.close()

    def test_much_goes_through_unchanged_both_ways(self):
        producer, process_in, join_in = self.reading()
        consumer, process_out, join_out = self.writing()
        self.start()
        relays = [join_in(), join_out()]
        process = subprocess.Popen(["cat"], stdin=process_in, stdout=process_out)
        os.close(process_in)
        os.close(process_out)
        data = random.Random(1).randbytes(1 << 20)
        sent, got = hashlib.sha256(), hashlib.sha256()

        def produce():
            for i in range(BIG >> 20):
                piece = data[i:] + data[:i]
                sent.update(piece)
                with open(producer, "wb", closefd=False) as f:
                    f.write(piece)
            os.close(producer)

        thread = threading.Thread(target=produce)
        thread.start()
        with open(consumer, "rb") as f:
            for piece in iter(lambda: f.read(100_000), b""):
                got.update(piece)
        thread.join()
        self.assertEqual(sent.hexdigest(), got.hexdigest())
        self.assertEqual(0, process.wait(5))
        for relay in relays:
            relay.close()

    def test_nothing_is_touched_before_the_start(self):
        producer, _, _ = self.reading()
        _, process, _ = self.writing()
        os.write(producer, b"mine\n")
        self.assertEqual((0, 5, False), self.home.status()["in"])
        self.assertEqual(f"pid {self.home.pid} {self.home.keeper}", self.home.ask("pid"))
        self.assertEqual("bye", self.home.ask("quit"))
        self.assertTrue(until(lambda: not alive(self.home.pid)))
        self.assertFalse(os.path.exists(self.home.path))
        self.assertTrue(until(lambda: broken(producer)))

    def test_halted_it_moves_nothing_and_goes_on_with_the_next_start(self):
        producer, process, join = self.reading()
        self.start()
        relay = join()
        os.write(producer, b"first\n")
        self.assertTrue(until(lambda: self.there.status()["in"][0] == 6))
        self.there.halt()
        os.write(producer, b"second\n")
        os.close(producer)
        self.assertTrue(until(lambda: self.there.status()["in"] == (6, 7, False)))
        self.assertEqual(b"first\n", os.read(process, 100))
        self.assertFalse(ready(process, 0.1))
        self.there.start()
        with open(process, "rb") as f:
            self.assertEqual(b"second\n", f.read())
        relay.close()

    def test_it_tells_its_ends_and_counts_on_from_what_has_passed_elsewhere(self):
        far, process = self.there.make("out", "up", 1 << 18, 1000)
        real, wire, size = self.there.ends()["out"]
        self.assertEqual(1 << 18, size)
        self.there.start()
        os.write(process, b"five\n")
        self.assertTrue(until(lambda: self.there.status()["out"][0] == 1005))
        pipe = os.readlink(f"/proc/self/fd/{process}")
        self.assertEqual(pipe, os.readlink(f"/proc/{self.there.pid}/fd/{real}"))
        self.assertRegex(os.readlink(f"/proc/{self.there.pid}/fd/{wire}"), "^socket:")
        os.close(process)
        self.assertTrue(until(lambda: self.there.ends()["out"][0] == -1))
        os.close(far)

    def test_a_slow_reader_pushes_back(self):
        producer, process, join = self.reading()
        self.start()
        relay = join()
        os.set_blocking(producer, False)
        sent = 0
        while ready(producer, 0.5, write=True):
            sent += os.write(producer, bytes(4096))
            self.assertLess(sent, 64 << 20)
        got = 0
        os.close(producer)
        with open(process, "rb") as f:
            for piece in iter(lambda: f.read(1 << 20), b""):
                got += len(piece)
        self.assertEqual(sent, got)
        relay.close()

    def test_it_sleeps_when_there_is_nothing_to_do(self):
        producer, _, join_in = self.reading()
        consumer, _, join_out = self.writing()
        self.start()
        join_in(), join_out()
        os.write(producer, b"x")
        self.assertTrue(until(lambda: self.there.status()["in"][0] == 1))
        time.sleep(0.1)
        before = self.switches()
        time.sleep(0.3)
        self.assertEqual(before, self.switches())

    def test_a_blocked_stream_whose_producer_has_gone_does_not_spin(self):
        producer, process, join = self.reading()
        self.start()
        join()
        os.set_blocking(producer, False)
        while ready(producer, 0.5, write=True):
            os.write(producer, bytes(65536))
        os.close(producer)
        time.sleep(0.1)
        before = self.switches()
        time.sleep(0.3)
        self.assertEqual(before, self.switches())

    def switches(self):
        found = []
        for pump in (self.home, self.there):
            with open(f"/proc/{pump.pid}/status") as f:
                found += [line for line in f if "ctxt_switches" in line]
        return found

    def test_a_fifo_is_like_a_pipe(self):
        path = os.path.join(self.folder, "fifo")
        os.mkfifo(path)
        both = os.open(path, os.O_RDWR)
        theirs = os.open(path, os.O_RDONLY)
        producer = os.open(path, os.O_WRONLY)
        os.close(both)
        far = self.home.take("in", "up", theirs)
        os.close(theirs)
        there, process = self.there.make("in", "down")
        self.start()
        relay = Relay(far, there)
        os.write(producer, b"through a name\n")
        os.close(producer)
        with open(process, "rb") as f:
            self.assertEqual(b"through a name\n", f.read())
        relay.close()

    def test_a_file_at_home_goes_on_where_it_was(self):
        path = os.path.join(self.folder, "file")
        with open(path, "wb", buffering=0) as theirs:
            theirs.write(b"before\n")
            far = self.home.take("out", "down", theirs.fileno())
            there, process = self.there.make("out", "up")
            self.start()
            relay = Relay(far, there)
            os.write(process, b"after\n" * 100_000)
            os.close(process)
            relay.close()
            self.assertTrue(until(lambda: self.home.status()["out"][2]))
            theirs.write(b"the shell's own\n")
        with open(path, "rb") as f:
            self.assertEqual(b"before\n" + b"after\n" * 100_000 + b"the shell's own\n", f.read())

    def test_a_full_disk_at_home_ends_the_stream(self):
        with open("/dev/full", "wb", buffering=0) as theirs:
            far = self.home.take("out", "down", theirs.fileno())
        there, process = self.there.make("out", "up")
        self.start()
        relay = Relay(far, there)
        os.write(process, b"x")
        self.assertTrue(until(lambda: broken(process)))
        relay.close()
        os.close(process)

    def test_the_pipe_has_the_size_that_it_had(self):
        for size in (4096, 65536, 1 << 20):
            _, end = self.there.make(f"s{size}", "up", size)
            self.assertEqual(size, fcntl.fcntl(end, fcntl.F_GETPIPE_SZ))
            self.home.take(f"s{size}", "down", end)
            self.assertEqual(str(size), self.home.size)
            os.close(end)


class DeathTest(PumpCase):
    def test_no_byte_is_lost_by_kills_of_a_worker_or_of_a_keeper(self):
        producer, process_in, join_in = self.reading()
        consumer, process_out, join_out = self.writing()
        self.start()
        relays = [join_in(), join_out()]
        process = subprocess.Popen(["cat"], stdin=process_in, stdout=process_out)
        os.close(process_in)
        os.close(process_out)
        data = random.Random(2).randbytes(1 << 20)
        sent, got = hashlib.sha256(), hashlib.sha256()
        enough = threading.Event()

        def produce():
            while not enough.is_set():
                sent.update(data)
                with open(producer, "wb", closefd=False) as f:
                    f.write(data)
            os.close(producer)

        def consume():
            with open(consumer, "rb") as f:
                for piece in iter(lambda: f.read(100_000), b""):
                    got.update(piece)

        threads = [threading.Thread(target=work) for work in (produce, consume)]
        for thread in threads:
            thread.start()
        for round in range(20):
            for pump in (self.home, self.there):
                before = pump.status()["in"][0]
                self.assertTrue(until(lambda: pump.status()["in"][0] > before))
                (self.kill_worker if round % 2 else self.kill_keeper)(pump)
        enough.set()
        for thread in threads:
            thread.join()
        self.assertEqual(sent.hexdigest(), got.hexdigest())
        self.assertEqual(0, process.wait(5))
        for relay in relays:
            relay.close()

    def kill_worker(self, pump):
        os.kill(pump.pid, signal.SIGKILL)
        self.assertTrue(until(lambda: not alive(pump.pid)))
        pump.pid = pump.now()

    def kill_keeper(self, pump):
        os.kill(pump.keeper, signal.SIGKILL)
        self.assertTrue(until(lambda: pump.now() != pump.pid))
        self.assertEqual(pump.pid, pump.keeper)  # it has started another worker
        pump.pid = pump.now()

    def test_the_pair_ends_together(self):
        self.kill_keeper(self.home)
        self.kill_worker(self.home)
        self.assertEqual("bye", self.home.ask("quit"))
        self.assertTrue(until(lambda: not alive(self.home.keeper) and not alive(self.home.pid)))
        self.assertFalse(os.path.exists(self.home.path))


class JobTest(PumpCase):
    def test_it_keeps_nothing_of_its_starter(self):
        kept = os.listdir(f"/proc/{self.home.pid}/fd")
        self.assertEqual({"0", "1", "2"}, {fd for fd in kept if int(fd) <= 2})
        self.assertEqual(6, len(kept))  # and the listener, our connection, its keeper
        self.assertEqual(self.home.keeper, os.getsid(self.home.pid))
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            os.kill(self.home.pid, number)
            os.kill(self.home.keeper, number)
        self.assertEqual({}, self.home.status())
        self.assertEqual(self.home.pid, self.home.now())

    def test_it_outlives_its_client_and_serves_the_next(self):
        producer, process, join = self.reading()
        self.start()
        relay = join()
        self.home.file.close()
        self.home.socket.close()
        os.write(producer, b"on its own\n")
        os.close(producer)
        with open(process, "rb") as f:
            self.assertEqual(b"on its own\n", f.read())
        self.home.socket = socket.socket(socket.AF_UNIX)
        self.home.socket.connect(self.home.path)
        self.home.file = self.home.socket.makefile("rw")
        self.assertTrue(until(lambda: self.home.status()["in"] == (11, 0, True)))
        relay.close()

    def test_bad_commands_are_told(self):
        ask = self.home.ask
        reader, _ = self.pipe()
        self.assertTrue(ask("what").startswith("error no such"))
        self.assertTrue(ask(f"take a sideways {os.getpid()} {reader}").startswith("error neither"))
        self.assertTrue(ask(f"take a up {os.getpid()} 9999").startswith("error cannot take descriptor 9999"))
        self.assertTrue(ask("take a up x 1").startswith("error take NAME"))
        self.assertTrue(ask("make a up x 0").startswith("error make NAME"))
        self.assertTrue(ask("take " + "n" * 65 + " up 1 1").startswith("error a name"))
        self.home.take("a", "up", reader)
        self.assertTrue(ask(f"take a up {os.getpid()} {reader}").startswith("error a name"))
        self.home.start()
        self.assertTrue(ask(f"take b up {os.getpid()} {reader}").startswith("error no more"))

    def test_usage(self):
        for arguments in ([], ["--socket"], ["--socket", "x", "y"], ["--other", "x"]):
            self.assertEqual(2, subprocess.run([SHIM, "pump"] + arguments, stderr=subprocess.DEVNULL).returncode)
        said = subprocess.run([SHIM, "pump", "--socket", "/nowhere/at/all"], capture_output=True, text=True)
        self.assertTrue(said.stdout.startswith("error cannot listen"), said)
