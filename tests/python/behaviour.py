"""Plays every scene with whichever `agentsight` is installed, and prints what came of it as JSON.

Run three times: our package over HTTP, our package in process, and the original SDK over HTTP. What may differ between
two runs without meaning anything (ids, times, links) is numbered or hidden.
"""

import base64
import io
import json
import re
import sys
from datetime import datetime

from agentsight import agentsight_api as api
from agentsight import conversation_manager as manager
from agentsight import conversation_tracker as tracker
from agentsight.enums import Sentiment

SCENES = {}
IDS = {"id", "agent", "conversation", "message", "message_id", "action", "environment_id"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n....").decode()


def scene(play):
    SCENES[play.__name__] = play
    return play


def fails(call, *args, with_text=True, **kwargs):
    """What a caller can see of an error."""
    try:
        return {"no error": call(*args, **kwargs)}
    except Exception as error:
        seen = {
            "type": type(error).__name__,
            "ancestors": [kind.__name__ for kind in type(error).__mro__],
            "status_code": getattr(error, "status_code", "none"),
            "response_data": getattr(error, "response_data", "none"),
        }
        return {**seen, "text": str(error)} if with_text else seen


def exchange(conversation_id, *texts, **details):
    tracker.get_or_create_conversation(conversation_id, **details)
    for turn, text in enumerate(texts):
        (tracker.track_agent_message if turn % 2 else tracker.track_human_message)(text)
    return tracker.send_tracked_data()


@scene
def a_whole_exchange():
    tracker.get_or_create_conversation(
        "whole-1", customer_id="user-456", customer_ip_address="203.0.113.45", device="desktop", source="web",
        language="en", name="Support Chat", metadata={"priority": "high", "n": 2**70, "f": 1.0, "deep": {"a": [1, None]}},
    )  # fmt: skip
    picture = {"filename": "photo.png", "mime_type": "image/png", "data": PNG}
    tracker.track_human_message("I need help with my account", attachments=[picture], metadata={"channel": "wa"})
    tracker.track_action(
        "database_lookup", started_at="2024-01-15T10:30:07Z", ended_at="2024-01-15T10:30:08Z", duration_ms=150,
        tools_used={"database": "users_db"}, response="User found",
    )  # fmt: skip
    tracker.track_agent_message("Found you.")
    tracker.track_button("choice", "Yes", "yes", metadata={"k": "v"})
    tracker.track_attachments([{"filename": "a.txt", "mime_type": "text/plain", "data": b"text"}], mode="form_data")
    tracker.track_attachments([picture], sender="agent")
    tracker.track_human_message(
        "with a form", [{"filename": "b.bin", "mime_type": "application/pdf", "data": io.BytesIO(b"%PDF-")}], "form-data"
    )
    before = tracker.get_tracked_data_summary()
    for item in before["items"]:
        item.pop("data")  # Form files are objects in one and bytes in the other.
    sent = tracker.send_tracked_data()
    feedback = manager.submit_feedback("whole-1", Sentiment.POSITIVE, "Very helpful!", {"rating": 5})
    fetched = api.fetch_conversation("whole-1")
    return {
        "before": before,
        "sent": sent,
        "after": tracker.get_tracked_data_summary(),
        "feedback": feedback,
        "fetched": fetched,
        "by id": api.fetch_conversation(fetched["id"]),
        "attachments": api.fetch_conversation_attachments("whole-1"),
        "attachments by id": api.fetch_conversation_attachments(fetched["id"]),
        "listed": api.fetch_conversations(conversation_id="whole-1"),
    }


@scene
def lists_and_filters():
    exchange("list-1", "hello", "hi", customer_id="c-1", language="en", metadata={"tier": "gold"})
    exchange("list-2", "bonjour", "salut", customer_id="c-2", language="fr", device="mobile")
    exchange("list-3", "100% & more?", customer_id="c-1", name="Über: ü/?#")
    manager.mark_conversation("list-2", True)
    ask = api.fetch_conversations
    return [
        [row["conversation_id"] for row in page["results"]]
        + [page["count"], page["total_pages"], page["current_page"], bool(page["next"]), bool(page["previous"])]
        for page in (
            ask(customer_id="c-1"),
            ask(language="fr"),
            ask(device="mobile", has_messages=True),
            ask(message_contains="100% & more?"),
            ask(name="über: ü/?#"),
            ask(is_marked=True),
            ask(metadata="tier:gold"),
            ask(has_feedback=False, customer_id="c-2"),
            ask(page_size=1, page=2, customer_id="c-1"),
            ask(started_at_after=datetime(2020, 1, 1), customer_id="c-2"),
            ask(started_at_before="2020-01-01T00:00:00Z"),
            ask(customer_id="c-1", ordering="started_at"),
            ask(customer_id__icontains="C-2"),
            ask(conversation_id="list-1", has_action=False),
        )
    ]


@scene
def what_cannot_be_read():
    return [
        fails(api.fetch_conversation, "no-such-conversation"),
        fails(api.fetch_conversation, ""),
        fails(api.fetch_conversation, 999999999),
        fails(api.fetch_conversation, 1.5),
        fails(api.fetch_conversation, None),
        fails(api.fetch_conversation_attachments, "no-such-conversation"),
        fails(api.fetch_conversation_attachments, 999999999),
        fails(api.fetch_conversations, feedback_sentiment="meh"),
        fails(api.fetch_conversations, feedback_source="meh"),
        fails(api.fetch_conversations, started_at_after="yesterday"),
        fails(api.fetch_conversations, page=99),
        fails(api.fetch_conversations, metadata="nonsense"),
    ]


@scene
def what_cannot_be_tracked():
    tracker.get_or_create_conversation("bad-1")
    good = {"filename": "a", "mime_type": "text/plain", "data": "YQ=="}
    return [
        fails(tracker.track_human_message, ""),
        fails(tracker.track_agent_message, "  "),
        fails(tracker.track_action, ""),
        fails(tracker.track_action, "  "),
        fails(tracker.track_button, "", "l", "v"),
        fails(tracker.track_button, "e", " ", "v"),
        fails(tracker.track_button, "e", "l", None),
        fails(tracker.track_attachments, []),
        fails(tracker.track_attachments, (good,)),
        fails(tracker.track_attachments, ["a"]),
        fails(tracker.track_attachments, [{"filename": "a"}]),
        fails(tracker.track_attachments, [{**good, "filename": " "}]),
        fails(tracker.track_attachments, [{**good, "mime_type": None}]),
        fails(tracker.track_attachments, [{**good, "data": b"bytes"}]),
        fails(tracker.track_attachments, [good, {**good, "data": "%%"}]),
        fails(tracker.track_attachments, [good], mode="pigeon"),
        fails(tracker.track_attachments, [good], mode="form_data"),
        fails(tracker.track_attachments, [{"filename": "a"}], mode="form_data"),
        fails(tracker.track_human_message, "text", [good], "pigeon"),
        tracker.get_tracked_data_summary(),
        tracker.send_tracked_data(),
        fails(tracker.send_tracked_data),
    ]


@scene
def what_the_server_refuses():
    tracker.get_or_create_conversation("refused-1", environment="nowhere")
    tracker.track_human_message("still arrives")
    sent = tracker.send_tracked_data()
    tracker.get_or_create_conversation("refused-2")
    tracker.track_action("timed", started_at="not a time")
    tracker.track_agent_message("after it")
    return [sent, tracker.send_tracked_data(), fails(tracker.initialize_conversation, "refused-3", environment="nowhere")]


@scene
def managing():
    exchange("manage-1", "hello", "hi")
    fetched = api.fetch_conversation("manage-1")
    return [
        manager.rename_conversation("manage-1", "  Parcel found  "),
        manager.mark_conversation(fetched["id"], True),
        manager.update_conversation("manage-1", customer_id="c-9", device="mobile", language="hr", metadata={"a": 1}),
        manager.update_conversation(fetched["id"], name="N", is_marked=False),
        manager.submit_feedback(fetched["id"], "negative"),
        manager.submit_feedback("manage-1", "neutral", comment=""),
        api.fetch_conversation("manage-1"),
        manager.delete_conversation("manage-1"),
        fails(manager.delete_conversation, "manage-1"),
        fails(manager.delete_conversation, fetched["id"]),
        fails(api.fetch_conversation, "manage-1"),
        api.fetch_conversation(fetched["id"]),
        api.fetch_conversations(conversation_id="manage-1", include_deleted=True),
    ]


@scene
def what_cannot_be_managed():
    return [
        fails(manager.rename_conversation, "", "n"),
        fails(manager.rename_conversation, "unknown", "n"),
        fails(manager.rename_conversation, "unknown", ""),
        fails(manager.rename_conversation, "unknown", "  "),
        fails(manager.rename_conversation, "unknown", 5),
        fails(manager.rename_conversation, "unknown", "x" * 256),
        fails(manager.rename_conversation, 1.5, "n"),
        fails(manager.mark_conversation, 0, True),
        fails(manager.mark_conversation, 999999999, True),
        fails(manager.update_conversation, "unknown"),
        fails(manager.update_conversation, "unknown", metadata=[1]),
        fails(manager.update_conversation, "unknown", name=5),
        fails(manager.update_conversation, "unknown", name=" "),
        fails(manager.submit_feedback, "unknown", "positive"),
        fails(manager.submit_feedback, 999999999, "positive"),
        fails(manager.submit_feedback, "unknown", "meh"),
        fails(manager.submit_feedback, "unknown", "positive", 5),
        fails(manager.submit_feedback, "unknown", "positive", "x" * 5001),
        fails(manager.submit_feedback, None, "positive"),
    ]


@scene
def a_widget_that_was_loaded():
    made = tracker.initialize_conversation("widget-1", customer_id="c-1", environment="production", metadata={"a": 1})
    return [made, api.fetch_conversation("widget-1")]


@scene
def messages_without_a_conversation_item():
    tracker.configure(conversation_id="implicit-1")
    tracker.track_human_message("hello")
    tracker.track_agent_message("hi 🙂 \u0000 \ud800 end")
    return [tracker.send_tracked_data(), api.fetch_conversation("implicit-1")]


@scene
def tokens():
    tracker.track_token_usage(prompt_tokens=30, completion_tokens=12, total_tokens=42)
    before = tracker.get_token_usage()
    sent = exchange("tokens-1", "question", "answer")
    return [before, sent, api.fetch_conversation("tokens-1"), api.fetch_conversation(sent["items"][0]["response"]["id"])]


def plain(value, key=None):
    """The value without what differs from run to run."""
    if isinstance(value, dict):
        return {name: plain(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one, key) for one in value]
    if key in IDS and isinstance(value, int):
        return "#"
    if isinstance(value, str):
        if key in ("file_url", "next", "previous"):
            return re.sub(r"^https?://[^/]+/(files/.*)?", "/", value)
        return TIME.sub("<time>", value)
    return value


def main():
    played = {}
    for name, play in SCENES.items():
        try:
            came = play()
        except Exception as error:
            came = {"scene broke off": repr(error)}
        played[name] = plain(came)
    json.dump(played, sys.stdout, default=repr)


main()
