"""A wire between the SDK and the server: it writes down what passes, and breaks when told to."""

import gzip
import http.client
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from local import Local

# What concerns one connection and not the request.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class Passed:
    """One request, and the status of its answer: None where the answer was lost or never came."""

    method: str
    path: str
    headers: dict
    body: bytes
    status: int | None = None
    answer: bytes = b""

    def json(self):
        """The body, as the server must read it."""
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


class Relay(Local):
    def __init__(self, endpoint):
        super().__init__(_Forward)
        self.target = urlsplit(endpoint).netloc
        self.passed = []
        self._faults = []
        self._lock = threading.Lock()

    def batches(self):
        """The posts to `/api/ingest/`, in order."""
        return [request for request in self.passed if request.path == "/api/ingest/"]

    def cut_before(self):
        """The next batch does not reach the server."""
        self._faults.append("before")

    def cut_after(self):
        """The next batch reaches the server, whose answer is lost."""
        self._faults.append("after")

    def hold(self):
        """The next batch waits here, until the event that this returns is set."""
        let_go = threading.Event()
        self._faults.append(let_go)
        return let_go

    def answer(self, status, headers=()):
        """The next batch is answered here, in the server's place."""
        self._faults.append((status, dict(headers)))

    def take_fault(self, path):
        with self._lock:
            return self._faults.pop(0) if path == "/api/ingest/" and self._faults else None


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def forward(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = Passed(self.command, self.path, headers, body)
        self.server.passed.append(request)
        fault = self.server.take_fault(self.path)
        if fault == "before":
            return self.hang_up()
        if isinstance(fault, tuple):
            status, answered = fault
            request.status = status
            return self.answer(status, answered, b"{}")
        if isinstance(fault, threading.Event):
            fault.wait(timeout=14)  # the SDK waits 15 s
        try:
            status, answered, content = self.ask(headers, body)
        except OSError:  # the server is away
            return self.hang_up()
        if fault == "after":
            return self.hang_up()
        request.status, request.answer = status, content
        self.answer(status, answered, content)

    def ask(self, headers, body):
        server = http.client.HTTPConnection(self.server.target, timeout=30)
        try:
            server.request(self.command, self.path, body, headers)  # Host too: links in answers lead back here
            answer = server.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            server.close()

    def answer(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def hang_up(self):
        self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = forward

    def log_message(self, *_):
        pass
