"""A load balancer of a few lines: every request goes to a node that chance picks, whatever connection it came on."""

import http.client
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# What concerns one connection and not the request.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Spread(ThreadingHTTPServer):
    """Stands in front of several nodes, and counts what each was asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, endpoints, seed=0):
        super().__init__(("127.0.0.1", 0), _Forward)
        self.nodes = [urlsplit(endpoint).netloc for endpoint in endpoints]
        self.asked = dict.fromkeys(self.nodes, 0)
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._connections = threading.local()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}"

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()

    def pick(self):
        """A connection to some node, kept by the thread of the client's connection."""
        with self._lock:
            node = self._chance.choice(self.nodes)
            self.asked[node] += 1
        kept = self._connections.__dict__.setdefault("by_node", {})
        return kept.setdefault(node, http.client.HTTPConnection(node, timeout=30))


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        node = self.server.pick()
        node.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            node.putheader(name, value)  # Host too: links in answers lead back here
        node.endheaders(body)
        answer = node.getresponse()
        content = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

    def log_message(self, *_):
        pass
