"""The documentation page "Fetch Conversation": what it shows must be what comes back."""

import os
import subprocess
import sys

import pytest

import rows
from expect import ID, TIME, assert_holds, assert_is

# The page's example, word for word.
EXAMPLE = """
from agentsight import agentsight_api
# Fetch by string conversation_id
conversation = agentsight_api.fetch_conversation("conv-abc-123") # or database ID
print(f"Conversation: {conversation['name']}")
print(f"Messages: {len(conversation['messages'])}")
print(f"Feedbacks: {len(conversation['feedbacks'])}")
"""

# The page's response structure, with its own values. Ids are ours to give, times are checked below where the
# SDK stamps them, and a place needs a geolocation database, without which it is null.
PAGE = {
    "id": ID,
    "conversation_id": "conv-abc-123",
    "name": "Support Chat",
    "customer_id": "user-456",
    "customer_ip_address": "203.0.113.45",
    "device": "desktop",
    "language": "en",
    "environment": "production",
    "is_marked": True,
    "is_deleted": False,
    "is_used": True,
    "started_at": TIME,
    "ended_at": TIME,
    "deleted_at": None,
    "metadata": {"priority": "high", "customer_tier": "premium"},
    "geo_location": None,
    "messages": [
        {
            "id": ID,
            "timestamp": TIME,
            "sender": "end_user",
            "content": "I need help with my account",
            "action_name": None,
            "metadata": {},
            "attachments": [],
            "action_logs": [],
            "button": None,
        },
        {
            "id": ID,
            "timestamp": TIME,
            "sender": "agent",
            "content": "Action database_lookup performed",
            "action_name": "database_lookup",
            "metadata": {},
            "attachments": [],
            "action_logs": [
                {
                    "id": ID,
                    "started_at": "2024-01-15T10:30:07Z",
                    "ended_at": "2024-01-15T10:30:08Z",
                    "duration_ms": 150,
                    "tools_used": {"database": "users_db"},
                    "response": "User found",
                    "error_message": "",
                    "metadata": {},
                }
            ],
            "button": None,
        },
    ],
    "feedbacks": [
        {
            "id": ID,
            "sentiment": "positive",
            "source": "customer",
            "comment": "Very helpful!",
            "metadata": {},
            "created_at": TIME,
        }
    ],
}


@pytest.fixture
def page(agent):
    """The page's conversation, recorded with the SDK. Its two ways to be named: the string and the integer."""
    agent.tracker.get_or_create_conversation(
        "conv-abc-123",
        customer_id="user-456",
        customer_ip_address="203.0.113.45",
        device="desktop",
        language="en",
        name="Support Chat",
        environment="production",
        metadata={"priority": "high", "customer_tier": "premium"},
    )
    agent.tracker.track_human_message("I need help with my account")
    agent.tracker.track_action(
        "database_lookup",
        started_at="2024-01-15T10:30:07Z",
        ended_at="2024-01-15T10:30:08Z",
        duration_ms=150,
        tools_used={"database": "users_db"},
        response="User found",
    )
    pk = agent.send()["items"][0]["response"]["id"]
    agent.manager.mark_conversation("conv-abc-123", True)
    agent.manager.submit_feedback("conv-abc-123", "positive", comment="Very helpful!")
    return {"string": "conv-abc-123", "integer": pk}


@pytest.mark.parametrize("named_by", ["string", "integer"])
def test_the_page_s_conversation_comes_back_field_by_field(agent, page, named_by):
    conversation = agent.api.fetch_conversation(page[named_by])

    assert_holds(conversation, PAGE)
    question, lookup = (message["timestamp"] for message in conversation["messages"])
    assert conversation["started_at"] < question < lookup == conversation["ended_at"]


def test_the_page_s_own_example_prints_the_name_and_the_counts(agent, page):
    environment = os.environ | {"AGENTSIGHT_API_KEY": agent.key, "AGENTSIGHT_API_ENDPOINT": agent.endpoint}

    printed = subprocess.run([sys.executable, "-c", EXAMPLE], capture_output=True, text=True, env=environment)

    assert (printed.returncode, printed.stdout) == (0, "Conversation: Support Chat\nMessages: 2\nFeedbacks: 1\n"), (
        printed.stderr
    )


def test_both_ways_of_fetching_give_the_same_conversation_whole(agent, page):
    by_integer = agent.api.fetch_conversation(page["integer"])
    by_string = agent.api.fetch_conversation(page["string"])

    assert_is(
        by_integer,
        rows.conversation(
            "conv-abc-123",
            id=page["integer"],
            name="Support Chat",
            customer_id="user-456",
            customer_ip_address="203.0.113.45",
            device="desktop",
            language="en",
            environment="production",
            is_marked=True,
            metadata={"priority": "high", "customer_tier": "premium"},
            message_count=2,
            feedback_count=1,
            messages=[
                rows.message("end_user", "I need help with my account", conversation=page["integer"]),
                rows.action_message(
                    "database_lookup",
                    started_at="2024-01-15T10:30:07Z",
                    ended_at="2024-01-15T10:30:08Z",
                    duration_ms=150,
                    tools_used={"database": "users_db"},
                    response="User found",
                ),
            ],
            feedbacks=[
                rows.feedback(
                    "conv-abc-123",
                    "positive",
                    environment="production",
                    comment="Very helpful!",
                    conversation=page["integer"],
                )
            ],
        ),
    )
    assert_is(by_string, rows.as_listed(by_integer))
    assert list(by_integer["metadata"]) == ["priority", "customer_tier"]


def test_the_page_s_times_come_back_as_the_page_writes_them(agent):
    # The SDK stamps with the clock, so the page's own times go in as the bodies that it would have sent.
    pk = agent.post(
        "/api/conversations/",
        {
            "timestamp": "2024-01-15T10:30:00+00:00",
            "conversation_id": "conv-abc-123",
            "customer_id": "user-456",
            "customer_ip_address": None,
            "device": None,
            "source": None,
            "language": None,
            "name": None,
            "is_used": True,
            "environment": "production",
            "metadata": None,
        },
    )["id"]
    agent.post(
        "/api/track/",
        {
            "timestamp": "2024-01-15T10:30:05+00:00",
            "content": "I need help with my account",
            "sender": "end_user",
            "conversation_id": "conv-abc-123",
            "metadata": {},
            "conversation": pk,
        },
    )
    agent.post(
        "/api/action_logs/",
        {
            "timestamp": "2024-01-15T10:30:08+00:00",
            "action_name": "database_lookup",
            "conversation_id": "conv-abc-123",
            "metadata": {},
            "started_at": "2024-01-15T10:30:07Z",
            "ended_at": "2024-01-15T10:30:08Z",
            "duration_ms": 150,
            "conversation": pk,
        },
    )
    agent.post(
        "/api/track/",
        {
            "timestamp": "2024-01-15T10:35:00+00:00",
            "content": "Your account is open again",
            "sender": "agent",
            "conversation_id": "conv-abc-123",
            "metadata": {},
            "conversation": pk,
        },
    )

    conversation = agent.api.fetch_conversation("conv-abc-123")

    assert (conversation["started_at"], conversation["ended_at"]) == ("2024-01-15T10:30:00Z", "2024-01-15T10:35:00Z")
    assert [message["timestamp"] for message in conversation["messages"]] == [
        "2024-01-15T10:30:05Z",
        "2024-01-15T10:30:08Z",
        "2024-01-15T10:35:00Z",
    ]
