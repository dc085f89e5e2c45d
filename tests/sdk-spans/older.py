"""SDK 0.0.44, in a Python of its own: both generations have the same package name.

Imported, this is how the tests ask for it; run by that Python, it does what standard input says.
"""

import json
import os
import subprocess
import sys


class Sdk:
    """The older SDK, as another program beside this one uses it."""

    def __init__(self, python):
        self.python = python

    def fetch(self, bot, conversation):
        """`fetch_conversation`, by string or by integer."""
        return self._ask(bot, {"fetch": conversation})

    def record(self, bot, conversation_id, *calls, **details):
        """Tracks in an environment and sends. A call is the tracker's method with its arguments."""
        return self._ask(bot, {"record": conversation_id, "details": details, "calls": calls})

    def submit_feedback(self, bot, conversation, sentiment, comment, metadata):
        """`submit_feedback` of its manager."""
        return self._ask(bot, {"feedback": [conversation, sentiment, comment, metadata]})

    def _ask(self, bot, wish):
        ended = subprocess.run(
            [self.python, __file__],
            input=json.dumps(wish),
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ
            | {
                "AGENTSIGHT_API_KEY": bot.key,
                "AGENTSIGHT_API_ENDPOINT": bot.endpoint,
                "AGENTSIGHT_LOG_LEVEL": "ERROR",
            },
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


def _do(wish):
    from agentsight import agentsight_api, conversation_manager, conversation_tracker

    if "fetch" in wish:
        return agentsight_api.fetch_conversation(wish["fetch"])
    if "feedback" in wish:
        return conversation_manager.submit_feedback(*wish["feedback"])
    conversation_tracker.get_or_create_conversation(wish["record"], **wish["details"])
    for method, *arguments in wish["calls"]:
        getattr(conversation_tracker, method)(*arguments)
    sent = conversation_tracker.send_tracked_data()
    assert sent["summary"]["errors"] == 0, sent
    return sent


if __name__ == "__main__":
    json.dump(_do(json.load(sys.stdin)), sys.stdout)
