"""An https server that keeps connections open and accepts every token. Run by test-fork.R with a folder that holds
`key` and `cert`; it writes `port`, and a line into `handshakes` for each connection."""

import http.server
import os
import ssl
import sys

folder = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        with open(os.path.join(folder, "handshakes"), "a") as file:
            file.write("one\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"project_id":7,"project_title":"made up"}'
        kind = "application/json"
        if b"content=version" in body:
            answer, kind = b"14.5.1", "text/plain"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(folder, "cert"), os.path.join(folder, "key"))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(os.path.join(folder, "port~"), "w") as file:
    file.write(str(server.server_address[1]) + "\n")
os.rename(os.path.join(folder, "port~"), os.path.join(folder, "port"))
server.serve_forever()
