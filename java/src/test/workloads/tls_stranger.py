"""Knocks at a TLS port: tls_stranger.py HOST PORT [CERTIFICATE KEY [AUTHORITY]]

Prints `refused: WHY` if the other side ends the connection, `kept` if it keeps it for two seconds.
TLS 1.3 tells a client of a refused certificate only after the handshake, hence the read.
"""

import socket
import ssl
import sys


def main():
    host, port, *keys = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if keys:
        context.load_cert_chain(keys[0], keys[1])
    try:
        with socket.create_connection((host, int(port)), timeout=5) as plain:
            with context.wrap_socket(plain) as connection:
                connection.settimeout(2)
                # HTTP/2's opening, so that a server that waits for it goes on.
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
                while connection.recv(4096):
                    pass
                print("refused: closed")
    except TimeoutError:
        print("kept")
    except OSError as problem:
        print(f"refused: {problem}")


main()
