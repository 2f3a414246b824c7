"""A tree of two processes that talk over unix sockets, for the tests of what travels.

Arguments: a file, then a mode. It makes FILE.ready, waits for FILE.go, and writes to FILE.out what it
then found, as JSON.

  pairs        stream, seqpacket and datagram pairs between parent and child, with data in their queues
  listener     a listener at a path and at an abstract name, connections to them accepted and waiting
  log PATH     a datagram socket connected to PATH, and one that sends to it
  stream PATH  a stream connected to PATH, where somebody else listens
"""

import json
import os
import socket
import sys
import time
import traceback


def wait_for_go(file):
    open(file + ".ready", "w").close()
    while not os.path.exists(file + ".go"):
        time.sleep(0.01)


def pairs(file):
    kinds = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET,
             "dgram": socket.SOCK_DGRAM}
    ends = {name: socket.socketpair(socket.AF_UNIX, kind) for name, kind in kinds.items()}
    for ours, theirs in ends.values():
        ours.sendall(b"down")
        theirs.sendall(b"up")
    if os.fork() == 0:
        while not os.path.exists(file + ".go"):
            time.sleep(0.01)
        for ours, theirs in ends.values():
            ours.close()
            theirs.sendall(theirs.recv(100) + b" again")
        os._exit(0)
    for _, theirs in ends.values():
        theirs.close()
    wait_for_go(file)
    found = {}
    for name, (ours, _) in ends.items():
        got = [ours.recv(2)]
        while b"".join(got) != b"updown again":
            got.append(ours.recv(100))
        found[name] = True
    os.wait()
    return found


def listener(file):
    names = {"path": "/run/exile-it.sock", "abstract": "\0exile-it"}
    listeners, clients, accepted = {}, {}, {}
    for kind, name in names.items():
        listeners[kind] = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listeners[kind].bind(name)
        listeners[kind].listen(5)
        clients[kind] = []
        for _ in range(2):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.connect(name)
            clients[kind].append(client)
        accepted[kind] = listeners[kind].accept()[0]
        clients[kind][0].sendall(b"early")
    wait_for_go(file)
    found = {}
    for kind, name in names.items():
        second = listeners[kind].accept()[0]
        for server, client in ((accepted[kind], clients[kind][0]), (second, clients[kind][1])):
            client.sendall(b" late")
            got = server.recv(100)
            while not got.endswith(b" late"):
                got += server.recv(100)
            server.sendall(b"answer")
            wanted = b"early late" if server is accepted[kind] else b" late"
            found[f"{kind}{client.fileno()}"] = got == wanted and client.recv(10) == b"answer"
        new = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        new.connect(name)
        found[kind + " new"] = listeners[kind].accept()[0] is not None
    return found


def log(file, path):
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    connected.connect(path)
    connected.send(b"connected before")
    free = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    free.sendto(b"free before", path)
    wait_for_go(file)
    connected.send(b"connected after")
    free.sendto(b"free after", path)
    return {"sent": True}


def stream(file, path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(path)
    wait_for_go(file)
    return {"sent": client.send(b"hello") == 5}


def main():
    file, mode = sys.argv[1:3]
    modes = {"pairs": pairs, "listener": listener, "log": log, "stream": stream}
    try:
        found = modes[mode](file, *sys.argv[3:])
    except Exception:
        with open(file + ".error", "w") as out:
            out.write(traceback.format_exc())
        raise
    with open(file + ".new", "w") as out:
        json.dump(found, out)
    os.rename(file + ".new", file + ".out")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
