"""/openapi.json is true: whatever it allows to be asked, and much that it does not, is answered as it says.

Requests are made of the document, from a fixed seed. No answer is a failure of the server, none has a status, a type, a
header or a form that the document does not name.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from server import Server

BINARY = os.environ.get("AGENTSIGHT_BIN")
for name in [name for name in os.environ if name.startswith("AGENTSIGHT_")]:
    del os.environ[name]
os.environ["NO_PROXY"] = "*"

SEED = "20260302"
EXAMPLES = "3"
ENDED_WITHIN_S = 600
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
TRACE = "5e10711800eca7c1021db9cea659992b"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(BINARY, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    assert server.stop() == 0, server.said()


@pytest.mark.parametrize("role", ["write", "read"])
def test_every_answer_is_one_that_the_document_promises(server, tmp_path, role):
    agent = f"asked-by-{role}"
    seed(server.endpoint, server.create_key(agent, "write"))
    key = server.create_key(agent, role)

    command = [Path(sys.executable).with_name("schemathesis"), "run", f"{server.endpoint}/openapi.json"]
    command += ["--header", f"Authorization: Api-Key {key}", "--checks", ",".join(CHECKS)]
    command += ["--seed", SEED, "--max-examples", EXAMPLES, "--no-shrink", "--continue-on-failure"]
    # A reader may only see; what it may not do is refused all alike.
    phases = "coverage,fuzzing" if role == "write" else "fuzzing"
    command += ["--phases", phases, "--workers", "2", "--warnings", "off"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=ENDED_WITHIN_S)

    assert ended.returncode == 0, ended.stdout + ended.stderr + server.said()
    # It found the operations, and sent to them.
    assert " 0 selected" not in ended.stdout and "generated" in ended.stdout, ended.stdout


def seed(endpoint, key):
    """One of everything that can be read, so that paths lead somewhere."""

    def post(path, body):
        answer = requests.post(endpoint + path, json=body, headers={"Authorization": f"Api-Key {key}"}, timeout=30)
        assert answer.status_code in (200, 201), f"{path}: {answer.status_code} {answer.text}"

    at = "2026-03-02T09:15:00Z"
    post("/api/conversations/", {"conversation_id": "seed", "metadata": {"plan": "pro"}})
    post("/api/track/", {"conversation_id": "seed", "sender": "end_user", "content": "hi", "timestamp": at})
    run = {"action_name": "lookup", "started_at": at, "ended_at": at, "duration_ms": 1, "tools_used": {"a": 1}}
    post("/api/action_logs/", {"conversation_id": "seed", "timestamp": at, "response": "ok", **run})
    post("/api/buttons/", {"conversation_id": "seed", "timestamp": at, "button_event": "e", "label": "l", "value": "v"})
    post("/api/conversation-feedbacks/", {"conversation_id": "seed", "sentiment": "positive", "timestamp": at})
    attributes = [
        {"key": "gen_ai.conversation.id", "value": {"stringValue": "seed"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "100"}},
    ]
    span = {"traceId": TRACE, "spanId": "46e5e73d9914eecb", "name": "chat", "attributes": attributes}
    span |= {"startTimeUnixNano": "1772442900000000000", "endTimeUnixNano": "1772442901000000000"}
    post("/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
