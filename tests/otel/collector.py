"""A wire to the server that keeps what is exported over it, as a collector in between would see it."""

import gzip
import json
from http.server import BaseHTTPRequestHandler

import requests
from google.protobuf.json_format import MessageToDict
from local import Local
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {"traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest}
HANDED_ON = ("authorization", "x-api-key", "content-type", "content-encoding")


class Collector(Local):
    def __init__(self, server):
        super().__init__(_Wire)
        self.server = server
        self.exports = []  # (path, request as OTLP's JSON)
        self.statuses = []


class _Wire(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.body()
        headers = {name: value for name, value in self.headers.items() if name.lower() in HANDED_ON}
        answer = requests.post(self.server.server + self.path, data=body, headers=headers, timeout=60)
        signal = self.path.rpartition("/v1/")[2]
        if signal in REQUESTS:
            packed = self.headers.get("Content-Encoding") == "gzip"
            plain = gzip.decompress(body) if packed else body
            self.server.exports.append((self.path, as_json(plain, self.headers["Content-Type"], REQUESTS[signal])))
            self.server.statuses.append(answer.status_code)
        self.send_response_only(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def body(self):
        """Of the length that was announced, or in the chunks that Node sends."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        chunks = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, *_):
        pass


def as_json(body, content_type, message):
    """A request in the JSON form of OTLP, in which ids are hexadecimal."""
    if content_type.startswith("application/json"):
        return json.loads(body)
    return _hexadecimal(MessageToDict(message.FromString(body), use_integers_for_enums=True))


def _hexadecimal(value):
    import base64

    if isinstance(value, list):
        return [_hexadecimal(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64decode(inner).hex() if key in ids else _hexadecimal(inner) for key, inner in value.items()
    }
