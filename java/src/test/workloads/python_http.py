"""A Python web server, a thread per connection, kept alive: python_http.py ADDRESS PORT

Serves the small files of http_load.py from memory, and /big of MEGABYTES (third argument, or 20).
"""

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import SMALL_FILES, seeded_stream, small_file

MEGABYTES = int(sys.argv[3]) if len(sys.argv) > 3 else 20
SMALL = {f"/small-{index}": small_file(index) for index in range(SMALL_FILES)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def do_GET(self):
        if self.path == "/big":
            self.answer(200, MEGABYTES << 20, seeded_stream("big", MEGABYTES << 20))
        elif self.path in SMALL:
            self.answer(200, len(SMALL[self.path]), [SMALL[self.path]])
        else:
            self.answer(404, 0, [])

    def answer(self, status, size, blocks):
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for block in blocks:
            self.wfile.write(block)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    request_queue_size = 1024


Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
