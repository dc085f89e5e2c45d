"""An agent of the server, as an application sees it: a key, an endpoint, and the SDK."""

import requests

from agentsight import AgentSightAPI, ConversationManager, ConversationTracker


class Agent:
    """One agent of the server, used through the original SDK or, where the SDK has no way, by plain HTTP."""

    def __init__(self, endpoint, key):
        self.endpoint = endpoint
        self.key = key
        self.tracker, self.api, self.manager = (
            _as_in_a_fresh_process(client, endpoint, key)
            for client in (ConversationTracker, AgentSightAPI, ConversationManager)
        )

    def request(self, method, path, **options):
        """Plain HTTP with this agent's key."""
        return requests.request(
            method, self.endpoint + path, headers={"Authorization": f"Api-Key {self.key}"}, timeout=15, **options
        )

    def post(self, path, body):
        """Posts JSON that must be accepted; returns the answer."""
        answer = self.request("POST", path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def send(self):
        """Sends what was tracked; every item must arrive."""
        sent = self.tracker.send_tracked_data()
        assert sent["summary"]["errors"] == 0, sent
        return sent

    def conversation(self, conversation_id, *messages, **details):
        """Tracks a conversation whose end user and agent speak in turns, and returns its primary key."""
        self.tracker.get_or_create_conversation(conversation_id, **details)
        for turn, content in enumerate(messages):
            speak = self.tracker.track_agent_message if turn % 2 else self.tracker.track_human_message
            speak(content)
        return self.send()["items"][0]["response"]["id"]


def _as_in_a_fresh_process(client, endpoint, key):
    """The SDK keeps one object of each kind per process; a test wants what a fresh process would have."""
    client._instance = None
    return client(endpoint=endpoint, api_key=key)
