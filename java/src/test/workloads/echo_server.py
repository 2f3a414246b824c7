"""An echo server, a thread per connection, IPv4 and IPv6: echo_server.py ADDRESS PORT

At the end of the client's direction it sends the SHA-256 of what it received. With ADDRESS `::` it
takes IPv4 clients on the same socket (v4-mapped addresses).
"""

import hashlib
import socket
import sys
import threading


def serve(connection):
    digest = hashlib.sha256()
    try:
        while data := connection.recv(65536):
            digest.update(data)
            connection.sendall(data)
        connection.sendall(digest.digest())
    except OSError:
        pass  # the client judges
    finally:
        connection.close()


def main():
    address, port = sys.argv[1], int(sys.argv[2])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((address, port))
    listener.listen(1024)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
