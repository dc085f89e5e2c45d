"""The SDK repeats a request whose answer was lost. What had been stored is stored once."""

import base64
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

FILE = b"the only copy"


class LossyProxy(ThreadingHTTPServer):
    """Stands between SDK and server, hands every request on, and swallows the first answer to one path."""

    daemon_threads = True

    def __init__(self, upstream, path):
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream = urlsplit(upstream).netloc
        self.path = path
        self.answers = []

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Forward(BaseHTTPRequestHandler):
    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=15)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if self.path == self.server.path:
            self.server.answers.append((answer.status, content))
            if len(self.server.answers) == 1:
                return  # the connection closes without a byte
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = forward

    def log_message(self, *_):
        pass


@pytest.fixture
def losing(server, new_agent):
    """An agent behind a proxy that loses the first answer to `path`."""
    proxies = []

    def start(path):
        proxy = LossyProxy(server.endpoint, path)
        proxies.append(proxy)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        return new_agent(proxy.endpoint), proxy

    yield start
    for proxy in proxies:
        proxy.shutdown()
        proxy.server_close()


def track(tracker, what):
    if what == "message":
        tracker.track_human_message("said once")
    elif what == "action":
        tracker.track_action("done_once", duration_ms=1)
    elif what == "click":
        tracker.track_button("event", "pressed once", "value")
    else:
        data = base64.b64encode(FILE).decode() if what == "base64" else FILE
        tracker.track_attachments([{"filename": "a.txt", "mime_type": "text/plain", "data": data}], mode=what)


@pytest.mark.parametrize(
    "what, path",
    [
        ("message", "/api/track/"),
        ("action", "/api/action_logs/"),
        ("click", "/api/buttons/"),
        ("base64", "/api/attachments/"),
        ("form_data", "/api/attachments/"),
    ],
)
def test_what_is_sent_again_after_a_lost_answer_is_stored_once(losing, what, path):
    agent, proxy = losing(path)
    agent.tracker.get_or_create_conversation("lossy")
    track(agent.tracker, what)

    agent.send()

    assert [status for status, _ in proxy.answers] == [201, 200]
    first, second = (content for _, content in proxy.answers)
    assert first == second or what in ("base64", "form_data")  # a file's link is signed anew
    conversation = agent.api.fetch_conversation("lossy")
    assert conversation["message_count"] == len(conversation["messages"]) == 1
    assert len(conversation["messages"][0]["attachments"]) == (what in ("base64", "form_data"))


def test_a_conversation_post_sent_again_is_the_same_conversation(losing):
    agent, proxy = losing("/api/conversations/")

    pk = agent.conversation("lossy", "hello", customer_id="c-1")

    assert len(proxy.answers) == 2
    assert [(row["id"], row["customer_id"]) for row in agent.api.fetch_conversations()["results"]] == [(pk, "c-1")]


def test_the_same_words_said_twice_are_two_messages(agent):
    agent.conversation("twice", "yes", "sure?", "yes")

    assert [message["content"] for message in agent.api.fetch_conversation("twice")["messages"]] == [
        "yes",
        "sure?",
        "yes",
    ]
