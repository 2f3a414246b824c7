"""A process with connected UDP sockets, which talks to udp_server.py.

Arguments: a file, then servers, as ADDRESS/PORT. It asks each in turn, waits for the answer, and writes
how many were answered to FILE.count. What is wrong goes to FILE.error, and it ends.
"""

import os
import socket
import sys
import time

PATIENCE_SECONDS = 20


def connect(text):
    address, port = text.rsplit("/", 1)
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(PATIENCE_SECONDS)
    client.connect((address, int(port)))
    return client


def write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def main():
    clients = [connect(text) for text in sys.argv[2:]]
    names = [(client.getsockname(), client.getpeername()) for client in clients]
    count = 0
    while True:
        for client, (own, peer) in zip(clients, names):
            client.send(b"%d" % count)
            got = client.recv(70000).decode().split(" ")
            wanted = [str(count), f"{own[0]}/{own[1]}", str(count + 1)]
            if got[:3] != wanted or (client.getsockname(), client.getpeername()) != (own, peer):
                write(sys.argv[1] + ".error", f"{got}, not {wanted}; {client}")
                sys.exit(1)
        count += 1
        write(sys.argv[1] + ".count", f"{count}\n")
        time.sleep(0.005)


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        write(sys.argv[1] + ".error", repr(problem))
        raise
