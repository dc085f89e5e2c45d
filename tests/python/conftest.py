"""What the tests are given: the server that the wheel carries, and interpreters with our package and with the original."""

import http.server
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

for name in [name for name in os.environ if name.startswith("AGENTSIGHT_") and not name.startswith("AGENTSIGHT_TEST_")]:
    del os.environ[name]
os.environ["AGENTSIGHT_LOG_LEVEL"] = "CRITICAL"
os.environ["NO_PROXY"] = "*"

import pytest
import requests

from agentsight import AgentSightAPI, ConversationManager, ConversationTracker

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "sdk"))

from server import Server

ORIGINAL = os.environ.get("AGENTSIGHT_TEST_ORIGINAL_PYTHON")
COMMAND = Path(sys.executable).with_name("agentsight")
NOBODY = "ags_" + "0" * 32 + "_000000"
"""A key of the right form that no server knows."""


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The wheel's own command, serving."""
    server = Server(COMMAND, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    assert server.stop() == 0, server.said()


_names = (f"bot-{number}" for number in itertools.count(1))


@pytest.fixture
def key(server):
    """A write key of an agent that was never seen before."""
    return server.create_key(next(_names), "write")


def run_python(script, *arguments, python=sys.executable, **variables):
    """Runs a script in a process of its own; gives what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "AGENTSIGHT_API_KEY"} | variables
    ended = subprocess.run(
        [python, *(["-c", script] if isinstance(script, str) else [script]), *arguments],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


class Clients:
    """The three clients with settings of their own."""

    def __init__(self, **settings):
        self.api, self.tracker, self.manager = (
            client.separate(**settings) for client in (AgentSightAPI, ConversationTracker, ConversationManager)
        )

    def say(self, conversation_id, *texts):
        self.tracker.get_or_create_conversation(conversation_id)
        for text in texts:
            self.tracker.track_human_message(text)
        return self.tracker.send_tracked_data()

    def texts(self, conversation_id):
        return [message["content"] for message in self.api.fetch_conversation(conversation_id)["messages"]]


@pytest.fixture(params=["http", "in process"])
def clients(request, tmp_path):
    if request.param == "http":
        server, key = request.getfixturevalue("server"), request.getfixturevalue("key")
        return Clients(endpoint=server.endpoint, api_key=key)
    return Clients(endpoint=f"file://{tmp_path}/store")


@pytest.fixture
def door():
    """A server that can be away: 503 or nothing, until it lets requests through to what answers them."""
    with Door() as door:
        yield door


class Door(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        self.status, self.behind, self.seen = 503, None, []
        super().__init__(("127.0.0.1", 0), Passage)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Passage(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, answer = self.server.status, b"{}"
        self.server.seen.append((self.path, body))
        if status is None:
            names = ("Authorization", "Content-Type")
            kept = {name: self.headers[name] for name in names if self.headers[name]}
            passed = requests.request(self.command, self.server.behind + self.path, data=body, headers=kept)
            status, answer = passed.status_code, passed.content
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_):
        pass
