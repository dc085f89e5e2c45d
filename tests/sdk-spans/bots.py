"""An agent of the server, as an application with SDK 0.1.x sees it: a key, an endpoint, and the SDK."""

import os
import subprocess
import sys
import time

import requests

import agentsight
from agentsight.api import AgentSight

AWAITED_FOR_S = 20


class Bot:
    """One agent of the server. It reads through `api`, the SDK's own client; one at a time it tracks."""

    _tracking = None

    def __init__(self, endpoint, key):
        self.endpoint = endpoint
        self.key = key
        self.api = AgentSight(key, endpoint=endpoint)

    def track(self, **settings):
        """Starts the SDK of this process for this agent. Nothing leaves before `flush`, unless a batch is full."""
        Bot._end_of_tracking()
        quiet = {"export_interval_ms": 600_000, "verify_key": False, "auto_instrument": False}
        assert agentsight.init(self.key, endpoint=self.endpoint, **quiet | settings)
        Bot._tracking = self
        return self

    def flush(self):
        """Sends what has ended."""
        assert agentsight.flush()

    def close(self):
        if Bot._tracking is self:
            Bot._end_of_tracking()
        self.api.close()

    @staticmethod
    def _end_of_tracking():
        agentsight.shutdown()
        Bot._tracking = None

    def conversation(self, conversation_id):
        """The whole conversation, of which everything was sent."""
        return self.api.conversations.get(conversation_id)

    def said(self, conversation_id):
        """The transcript as pairs of sender and content."""
        messages = self.conversation(conversation_id)["messages"]
        return [(message["sender"], message["content"]) for message in messages]

    def spans(self, conversation_id, **filters):
        """Its spans, oldest first."""
        return list(self.api.spans.list(conversation_id=conversation_id, ordering="started_at", **filters))

    def usage(self, conversation_id):
        """Its usage rows, oldest first."""
        return list(self.api.usage.list(conversation_id=conversation_id, ordering="started_at"))

    def exchange(self, conversation_id, question="hello", answer="good day", **details):
        """Tracks and sends one turn; returns the conversation's primary key."""
        with agentsight.conversation(conversation_id, **details):
            with agentsight.turn("ask"):
                agentsight.user_message(question)
                agentsight.agent_message(answer)
        self.flush()
        return self.api.conversations.resolve(conversation_id)

    def request(self, method, path, headers=None, **options):
        """Plain HTTP with this agent's key."""
        headers = {"Authorization": f"Api-Key {self.key}"} | (headers or {})
        return requests.request(method, self.endpoint + path, headers=headers, timeout=15, **options)

    def run(self, script, **environment):
        """Runs a program of its own with this agent's key; returns what it printed. It must not fail."""
        ended = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"AGENTSIGHT_API_KEY": self.key, "AGENTSIGHT_API_ENDPOINT": self.endpoint} | environment,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


def awaited(condition):
    """What `condition` returns, as soon as that is something."""
    deadline = time.monotonic() + AWAITED_FOR_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not so after {AWAITED_FOR_S} s: {condition.__qualname__}")
