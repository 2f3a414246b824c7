"""A UDP server with many sockets: for each datagram an answer that tells what the server saw of it.

Arguments: a file, then addresses to bind to, as ADDRESS/PORT; `::` takes IPv6 only, and a `+` before it
makes two sockets that share it (SO_REUSEPORT). Once it is bound it makes FILE.ready. With `--hold` it reads nothing before there is a file FILE.go.

An answer is the datagram, the address and port that it came from, how many came from there so far, and
the server's own address and port, with a space between each.
"""

import os
import select
import socket
import sys
import time


def bind(text):
    address, port = text.lstrip("+").rsplit("/", 1)
    six = ":" in address
    server = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    if six:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if text.startswith("+"):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind((address, int(port)))
    return server


def main():
    arguments = sys.argv[1:]
    hold = "--hold" in arguments
    if hold:
        arguments.remove("--hold")
    servers = [bind(text) for text in arguments[1:]]
    servers += [bind(text) for text in arguments[1:] if text.startswith("+")]
    open(arguments[0] + ".ready", "w").close()
    while hold and not os.path.exists(arguments[0] + ".go"):
        time.sleep(0.01)
    counts = {}
    while True:
        for server in select.select(servers, [], [])[0]:
            data, client = server.recvfrom(70000)
            own = server.getsockname()
            key = (own, client[:2])
            counts[key] = counts.get(key, 0) + 1
            answer = b"%s %s/%d %d %s/%d" % (data, client[0].encode(), client[1], counts[key],
                                             own[0].encode(), own[1])
            server.sendto(answer, client)


if __name__ == "__main__":
    main()
