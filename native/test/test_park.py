"""Job park: sockets outlive whoever put them there."""
import os
import resource
import socket
import subprocess
import time

from parks import Park
from support import Case, SHIM, kill, needs_root, until

MANY = 10000


@needs_root
class ParkCase(Case):
    def setUp(self):
        super().setUp()
        self.park = Park(self.folder)
        self.addCleanup(self.park.close)
        self.listener = socket.socket()
        self.addCleanup(self.listener.close)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4096)

    def client(self):
        client = self.park.connect()
        self.addCleanup(client.close)
        return client

    def connection(self):
        one = socket.create_connection(self.listener.getsockname())
        self.addCleanup(one.close)
        other, _ = self.listener.accept()
        self.addCleanup(other.close)
        return one, other

    def assert_sleeps(self):
        time.sleep(0.1)
        before = self.park.ran()
        time.sleep(0.5)
        self.assertEqual(before, self.park.ran())

    def caller(self):
        caller = socket.create_connection(self.listener.getsockname())
        caller.settimeout(5)
        self.addCleanup(caller.close)
        return caller


class Holding(ParkCase):
    def test_a_socket_lives_on_after_its_client_and_is_found_by_the_next(self):
        one, other = self.connection()
        client = self.client()
        own = client.hold("c1", other.fileno(), "base 17 4")
        other.close()
        client.close()
        one.sendall(b"still there?")
        client = self.client()
        self.assertEqual({"c1": ("socket", own, "base 17 4")}, client.list())
        with self.park.take(own) as found:
            self.assertEqual(b"still there?", found.recv(100))
            found.sendall(b"yes")
        self.assertEqual(b"yes", one.recv(100))

    def test_a_dropped_socket_is_closed(self):
        one, other = self.connection()
        client = self.client()
        own = client.hold("c1", other.fileno())
        other.close()
        self.assertEqual(f"dropped {own}", client.ask(f"drop {own}"))
        one.settimeout(5)
        self.assertEqual(b"", one.recv(1))
        self.assertEqual({}, client.list())
        self.assertIn("error", client.ask(f"drop {own}"))

    def test_ten_thousand_are_held_at_once(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * MANY), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        sockets = [socket.socket() for _ in range(MANY)]
        lines = [f"hold c{i} {s.fileno()} base 0 {i}" for i, s in enumerate(sockets)]
        client = self.client()
        begin = time.monotonic()
        said = client.pipeline(lines)
        took = time.monotonic() - begin
        self.assertTrue(all(line.startswith(f"held c{i} ") for i, line in enumerate(said)))
        for s in sockets:
            s.close()
        print(f"{MANY} held in {took * 1000:.0f} ms ", end="", flush=True)
        found = client.list()
        self.assertEqual(MANY, len(found))
        self.assertEqual("base 0 77", found["c77"][2])

    def test_a_wrong_line_is_an_error_and_harms_nothing(self):
        client = self.client()
        for line in ("", "hold", "hold c1", "hold c1 x", "hold " + 200 * "n" + " 1",
                     "drop", "drop x", "drop 0", "drop 1", "drop 999999999999", "what"):
            self.assertRegex(client.ask(line), "^error ", line)
        self.assertRegex(client.ask("hold c1 99999 note"), "^refused c1 Bad file")
        self.assertEqual({}, client.list())

    def test_only_root_is_served(self):
        script = "import socket,sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
        os.chmod(self.folder, 0o711)
        said = subprocess.run(["python3", "-c", script, self.park.path], user=65534, capture_output=True, text=True)
        self.assertIn("PermissionError", said.stderr)
        os.chmod(self.park.path, 0o666)
        script += "; s.send(b'list\\n'); print(s.recv(9))"
        said = subprocess.run(["python3", "-c", script, self.park.path], user=65534, capture_output=True, text=True)
        self.assertRegex(said.stdout + said.stderr, "b''|ConnectionReset|BrokenPipe")


class Accepting(ParkCase):
    def test_nothing_is_touched_or_accepted_before_a_client_says_so(self):
        client = self.client()
        client.hold("l", self.listener.fileno(), "listener", "listen")
        self.caller()
        time.sleep(0.1)
        self.assertTrue(os.get_blocking(self.listener.fileno()))
        self.assertEqual(["l"], list(client.list()))
        self.listener.accept()[0].close()  # by the process, running on

    def test_a_connection_is_held_before_the_client_hears_of_it(self):
        client = self.client()
        client.hold("l", self.listener.fileno(), "listener", "listen")
        self.assertEqual("accepting", client.ask("accept"))
        caller = self.caller()
        word, own, name, listener = client.hear().split()
        self.assertEqual(("accepted", "l"), (word, listener))
        self.assertRegex(name, r"^l\.\d+$")
        self.assertEqual(("socket", int(own), "accepted l"), client.list()[name])
        with self.park.take(int(own)) as found:
            self.assertEqual(caller.getsockname(), found.getpeername())

    def test_without_a_client_connections_wait_and_the_next_client_gets_them(self):
        client = self.client()
        client.hold("l", self.listener.fileno(), "listener", "listen")
        self.assertEqual("accepting", client.ask("accept"))
        client.close()
        self.assertTrue(until(lambda: "socket:" in "".join(self.park.descriptors())))
        callers = [self.caller() for _ in range(50)]
        client = self.client()
        self.assertEqual(["l"], list(client.list()))
        self.assertEqual("accepting", client.ask("accept"))
        names = {client.hear().split()[2] for _ in callers}
        self.assertEqual(50, len(names))

    def test_a_client_that_does_not_read_loses_nothing(self):
        client = self.client()
        client.hold("l", self.listener.fileno(), "listener", "listen")
        self.assertEqual("accepting", client.ask("accept"))
        callers = [self.caller() for _ in range(2000)]
        time.sleep(0.2)
        names = {client.hear().split()[2] for _ in callers}
        self.assertEqual(2000, len(names))
        self.assertEqual(2001, len(client.list()))

    def test_a_listener_that_has_ended_costs_nothing(self):
        client = self.client()
        own = client.hold("l", self.listener.fileno(), "listener", "listen")
        self.assertEqual("accepting", client.ask("accept"))
        self.listener.shutdown(socket.SHUT_RDWR)
        client.list()
        self.assert_sleeps()
        self.assertEqual(f"dropped {own}", client.ask(f"drop {own}"))


class Living(ParkCase):
    def test_it_holds_nothing_of_its_starters_and_sleeps(self):
        client = self.client()
        _, other = self.connection()
        client.hold("c", other.fileno())
        self.assertEqual(["/dev/null"] * 3, [d for d in self.park.descriptors() if not d.startswith("socket:")])
        self.assertEqual(3, len([d for d in self.park.descriptors() if d.startswith("socket:")]))
        self.assertEqual(self.park.pid, os.getsid(self.park.pid))
        self.assert_sleeps()

    def test_quit_ends_it_and_leaves_no_socket(self):
        client = self.client()
        _, other = self.connection()
        client.hold("c", other.fileno())
        self.assertEqual("bye", client.ask("quit"))
        self.assertTrue(until(lambda: not self.park.alive()))
        self.assertFalse(os.path.exists(self.park.path))

    def test_it_ends_by_itself_when_it_holds_nothing_and_nobody_is_there(self):
        client = self.client()
        _, other = self.connection()
        own = client.hold("c", other.fileno())
        client.ask(f"drop {own}")
        time.sleep(0.05)
        self.assertTrue(self.park.alive())
        client.close()
        self.assertTrue(until(lambda: not self.park.alive()))
        self.assertFalse(os.path.exists(self.park.path))

    def test_signals_but_sigkill_do_not_end_it(self):
        client = self.client()
        for number in (1, 2, 3, 15):
            kill(self.park.pid, number)
        self.assertEqual({}, client.list())

    def test_a_second_one_at_its_place_takes_over_the_name(self):
        second = Park(self.folder)
        self.addCleanup(second.close)
        client = second.connect()
        self.assertEqual({}, client.list())
        client.close()

    def test_a_bad_command_line_is_told(self):
        for arguments in ([], ["--socket"], ["--socket", "x", "y"], ["--what"]):
            self.assertEqual(2, subprocess.run([SHIM, "park"] + arguments, capture_output=True).returncode)
        said = subprocess.run([SHIM, "park", "--socket", "/nowhere/park"], capture_output=True, text=True)
        self.assertIn("error cannot listen", said.stdout)
