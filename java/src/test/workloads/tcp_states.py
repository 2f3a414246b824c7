"""A server with a connection in each state that TCP has: tcp_states.py ADDRESS PORT

A client's first line names a case (see tcp_states_load.py), which is brought into its state and stays there
until some connection says `CONTROL go`. PORT + 1 has a listener on which an accept waits, PORT + 2 one with a
short backlog on which nobody accepts before that. `CONTROL armed` tells which cases stand, `CONTROL results`
what became of them, as JSON.
"""

import hashlib
import json
import os
import select
import socket
import sys
import threading
import time

from harness import seeded_stream

ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING = 1, 2, 4, 5, 7, 8, 9, 11
PATIENCE = 40
FULL = 8 << 20
HELD = 100_000  # more than a client's small receive buffer takes, less than a send buffer
BACKLOG = 4

go = threading.Event()
armed, results = set(), {}
address, port = sys.argv[1], int(sys.argv[2])


def stream(seed, count):
    return b"".join(seeded_stream(seed, count))


def await_state(connection, state):
    deadline = time.monotonic() + PATIENCE
    while (now := connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]) != state:
        if time.monotonic() > deadline:
            raise AssertionError(f"is in state {now}, not in {state}")
        time.sleep(0.001)


def read_all(connection):
    data = bytearray()
    while part := connection.recv(1 << 16):
        data += part
    return bytes(data)


def read(connection, count):
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError(f"after {len(data)} of {count} bytes")
        data += part
    return bytes(data)


def expect(what, expected, got):
    if got != expected:
        raise AssertionError(f"{what}: expected {expected!r:.60}, got {got!r:.60}")


def hold(case):
    armed.add(case)
    go.wait()


def echo_digest(connection, count=1000):
    connection.sendall(hashlib.sha256(read(connection, count)).digest())


def full_queues(connection):
    sender = threading.Thread(target=lambda: connection.sendall(stream("full-down", FULL)))
    sender.start()
    time.sleep(0.5)  # both directions are full by then, and sendall waits
    hold("full-queues")
    data = read(connection, FULL)
    sender.join()
    connection.sendall(hashlib.sha256(data).digest())


def blocking_read(connection):
    armed.add("blocking-read")
    echo_digest(connection)


def half_closed_there(connection):
    await_state(connection, CLOSE_WAIT)
    hold("close-wait")
    expect("bytes before the end", stream("close-wait", 50_000), read_all(connection))
    connection.sendall(stream("close-wait-down", 200_000))


def half_closed_here(connection):
    connection.shutdown(socket.SHUT_WR)
    await_state(connection, FIN_WAIT2)
    hold("fin-wait-2")
    expect("bytes after our end", stream("fin-wait-2", 200_000), read_all(connection))


def end_with_bytes(connection, case, before=ESTABLISHED):
    await_state(connection, before)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * HELD)
    connection.sendall(stream(case, HELD))
    connection.shutdown(socket.SHUT_WR)


def fin_wait_1(connection):
    end_with_bytes(connection, "fin-wait-1")
    await_state(connection, FIN_WAIT1)
    hold("fin-wait-1")
    expect("bytes after our end", stream("fin-wait-1-up", 20_000), read_all(connection))


def closing(connection):
    end_with_bytes(connection, "closing")
    await_state(connection, FIN_WAIT1)
    armed.add("closing, first half")
    await_state(connection, CLOSING)
    hold("closing")
    expect("the end", b"", connection.recv(1))


def last_ack(connection):
    end_with_bytes(connection, "last-ack", CLOSE_WAIT)
    await_state(connection, LAST_ACK)
    hold("last-ack")
    expect("the end", b"", connection.recv(1))


def over(connection):
    """Both directions have ended, with bytes that nobody has read yet."""
    connection.shutdown(socket.SHUT_WR)
    await_state(connection, CLOSE)
    hold("over")
    expect("bytes before the end", stream("over", 1000), read_all(connection))


def reset_before(connection):
    await_state(connection, CLOSE)
    hold("reset-before")
    expect("bytes before the reset", stream("reset-before", 1000), read(connection, 1000))
    try:
        expect("a reset", "an error", connection.recv(1))
    except ConnectionResetError:
        pass


def urgent(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    hold("urgent")
    expect("the urgent byte among the others", b"abc!def", read(connection, 7))


def keepalive(connection):
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
               (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)]
    for option in options:
        connection.setsockopt(*option)
    hold("keepalive")
    for level, name, value in options:
        expect(f"option {name}", value, connection.getsockopt(level, name))
    echo_digest(connection)


def linger(connection):
    zero = b"\x01\0\0\0\0\0\0\0"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, zero)
    hold("linger")
    expect("SO_LINGER", zero, connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))


def two_processes(connection):
    """Both have the connection; the child speaks first."""
    wait, wake = os.pipe()
    child = os.fork()
    if child == 0:
        ours = {wait, connection.fileno()}
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd not in ours:
                try:
                    os.close(fd)
                except OSError:
                    pass  # that of the listing
        if os.read(wait, 1):
            os.write(connection.fileno(), b"child")
        os._exit(0)
    os.close(wait)
    hold("two-processes")
    os.write(wake, b"!")
    os.close(wake)
    os.waitpid(child, 0)
    connection.sendall(b"parent")


def passed(connection):
    here, there = socket.socketpair()
    with here, there:
        socket.send_fds(here, [b"!"], [connection.fileno()])
        connection.close()
        fds = socket.recv_fds(there, 1, 1)[1]
    with socket.socket(fileno=fds[0]) as received:
        hold("passed")
        echo_digest(received)


def registered(connection, events):
    poll = select.epoll()
    poll.register(connection, select.EPOLLIN | events)
    return poll


def event(poll):
    if not poll.poll(PATIENCE):
        raise AssertionError("no event")


def epoll_level(connection):
    with registered(connection, 0) as poll:
        event(poll)
        hold("epoll-level")
        event(poll)
        expect("what has waited", b"1", connection.recv(1))


def epoll_edge(connection):
    connection.setblocking(False)
    with registered(connection, select.EPOLLET) as poll:
        event(poll)
        expect("the first", b"1", connection.recv(2))
        hold("epoll-edge")
        while True:
            event(poll)
            try:
                expect("the second", b"2", connection.recv(2))
                break
            except BlockingIOError:
                pass  # one event too many does no harm


def epoll_oneshot(connection):
    with registered(connection, select.EPOLLONESHOT) as poll:
        event(poll)
        expect("the first", b"1", connection.recv(1))
        hold("epoll-oneshot")
        expect("no event before it is asked for", [], poll.poll(0.3))
        poll.modify(connection, select.EPOLLIN | select.EPOLLONESHOT)
        event(poll)
        expect("the second", b"2", connection.recv(1))


def epoll_waiting(connection):
    with registered(connection, 0) as poll:
        armed.add("epoll-waiting")
        while not poll.poll():
            pass
        expect("what it has waited for", b"1", connection.recv(1))


def connecting(connection, host, target):
    outgoing = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    problems = []

    def connect():
        try:
            outgoing.connect((host, int(target)))
        except OSError as problem:
            problems.append(problem)

    thread = threading.Thread(target=connect)
    thread.start()
    await_state(outgoing, SYN_SENT)
    hold("connecting")
    thread.join(PATIENCE)
    expect("problems", [], problems)
    expect("its peer", (host, int(target)), outgoing.getpeername())
    outgoing.sendall(stream("connecting", 200_000))
    outgoing.shutdown(socket.SHUT_WR)
    expect("the answer", b"thanks", read_all(outgoing))
    outgoing.close()


CASES = {"full-queues": full_queues, "blocking-read": blocking_read, "close-wait": half_closed_there,
         "fin-wait-2": half_closed_here, "fin-wait-1": fin_wait_1, "closing": closing, "last-ack": last_ack,
         "over": over, "reset-before": reset_before, "urgent": urgent, "keepalive": keepalive,
         "linger": linger, "two-processes": two_processes, "passed": passed, "epoll-level": epoll_level,
         "epoll-edge": epoll_edge, "epoll-oneshot": epoll_oneshot, "epoll-waiting": epoll_waiting,
         "connecting": connecting}


def line(connection):
    text = b""
    while not text.endswith(b"\n"):
        text += read(connection, 1)
    return text.decode().split()


def serve(connection):
    with connection:
        case, *rest = line(connection)
        if case == "CONTROL":
            if rest == ["go"]:
                go.set()
            connection.sendall(json.dumps(results if rest == ["results"] else sorted(armed)).encode())
            return
        try:
            CASES[case](connection, *rest)
            results[case] = "ok"
        except Exception as problem:  # told to the client, which judges
            results[case] = f"{type(problem).__name__}: {problem}"


def accept_one(listener):
    armed.add("accept")
    connection, _ = listener.accept()
    with connection:
        echo_digest(connection)


def accept_late(listener):
    hold("backlog")
    while True:
        connection, _ = listener.accept()
        with connection:
            echo_digest(connection)


def listen(number, backlog=100):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, number), family=family, backlog=backlog,
                                dualstack_ipv6=family == socket.AF_INET6)


def start(target, *arguments):
    threading.Thread(target=target, args=arguments, daemon=True).start()


def main():
    start(accept_one, listen(port + 1))
    start(accept_late, listen(port + 2, BACKLOG))
    with listen(port) as listener:
        while True:
            start(serve, listener.accept()[0])


main()
