"""A whole exchange, as one `send_tracked_data()` posts it, and what each kind of item leaves behind."""

import base64

import pytest

import rows
from expect import ID, TIME, assert_is

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.mark.parametrize("slash", ["", "/"], ids=["endpoint", "endpoint with a trailing slash"])
def test_a_whole_exchange_reads_in_the_order_of_its_times(server, new_agent, slash):
    agent = new_agent(server.endpoint + slash)
    photo = {"filename": "photo.png", "mime_type": "image/png", "data": base64.b64encode(PNG).decode()}
    tracker = agent.tracker
    tracker.get_or_create_conversation(
        "order-chat-7781",
        customer_id="c-204",
        device="mobile",
        source="whatsapp",
        language="hr",
        name="Late parcel",
        environment="production",
        metadata={"tier": "gold"},
    )
    tracker.track_human_message("Where is my parcel?", attachments=[photo], metadata={"channel": "wa"})
    tracker.track_action(
        "lookup_order",
        started_at="2026-03-02T09:15:02.4Z",
        duration_ms=150,
        tools_used={"order": "A-9"},
        response="shipped",
        error_msg="",
    )
    tracker.track_agent_message("It comes tomorrow.")
    tracker.track_token_usage(prompt_tokens=30, completion_tokens=12, total_tokens=42)

    sent = agent.send()

    assert sent["summary"] == {"questions": 1, "answers": 1, "attachments": 0, "actions": 2, "buttons": 0, "errors": 0}
    assert [item["type"] for item in sent["items"]] == ["conversation", "question", "action", "action", "answer"]
    pk = sent["items"][0]["response"]["id"]
    assert_is(
        agent.api.fetch_conversation(pk),
        rows.conversation(
            "order-chat-7781",
            id=pk,
            customer_id="c-204",
            device="mobile",
            source="whatsapp",
            language="hr",
            name="Late parcel",
            environment="production",
            metadata={"tier": "gold"},
            message_count=4,
            messages=[
                rows.message(
                    "end_user",
                    "Where is my parcel?",
                    metadata={"channel": "wa"},
                    attachments=[rows.attachment("photo.png", "image/png", len(PNG), "image")],
                ),
                rows.action_message(
                    "lookup_order",
                    started_at="2026-03-02T09:15:02.400000Z",
                    ended_at="2026-03-02T09:15:02.550000Z",
                    duration_ms=150,
                    tools_used={"order": "A-9"},
                    response="shipped",
                ),
                rows.message("agent", "It comes tomorrow."),
                rows.action_message(
                    "token_usage",
                    metadata={"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42, "embedding_tokens": 0},
                ),
            ],
            token_usage={
                "totals": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42},
                "cost_usd": "0.00000000",
                "cost_sources": ["unpriced"],
                "models": [
                    {
                        "model": None,
                        "cost_source": "unpriced",
                        "cost_usd": "0.00000000",
                        "prompt_tokens": 30,
                        "completion_tokens": 12,
                        "total_tokens": 42,
                    }
                ],
            },
        ),
    )


def test_the_answers_to_the_sdk_are_the_stored_rows(agent):
    agent.tracker.get_or_create_conversation("answers")
    agent.tracker.track_human_message("hello")
    agent.tracker.track_action("greet", duration_ms=3)
    agent.tracker.track_button("choice", "Tomorrow", "tomorrow")

    conversation, message, action, button = (item["response"] for item in agent.send()["items"])

    pk = conversation["id"]
    assert_is(conversation, rows.lean("answers"))
    assert_is(message, rows.message("end_user", "hello", conversation=pk))
    assert_is(action, rows.action_message("greet", duration_ms=3)["action_logs"][0])
    assert_is(
        button,
        {
            "id": ID,
            "conversation": pk,
            "message": ID,
            "button_event": "choice",
            "label": "Tomorrow",
            "value": "tomorrow",
            "metadata": {},
            "timestamp": TIME,
        },
    )


def test_a_click_is_a_line_of_the_transcript(agent):
    agent.tracker.get_or_create_conversation("clicks")
    agent.tracker.track_button("delivery_choice", "Tomorrow", "tomorrow", metadata={"screen": "home"})
    agent.send()

    messages = agent.api.fetch_conversation("clicks")["messages"]

    assert_is(
        messages,
        [
            rows.message(
                "end_user",
                "Button clicked: Tomorrow",
                metadata={"screen": "home"},
                button={
                    "id": ID,
                    "button_event": "delivery_choice",
                    "label": "Tomorrow",
                    "value": "tomorrow",
                    "metadata": {"screen": "home"},
                },
            )
        ],
    )


def test_a_failed_action_keeps_its_error_under_the_name_of_the_page(agent):
    agent.tracker.get_or_create_conversation("failed-action")
    agent.tracker.track_action(
        "charge_card",
        started_at="2024-01-15T10:30:00Z",
        ended_at="2024-01-15T10:30:02.5Z",
        error_msg="card expired",
        metadata={"try": 2},
    )
    agent.send()

    messages = agent.api.fetch_conversation("failed-action")["messages"]

    assert_is(
        messages,
        [
            rows.action_message(
                "charge_card",
                started_at="2024-01-15T10:30:00Z",
                ended_at="2024-01-15T10:30:02.500000Z",
                duration_ms=2500,
                error_message="card expired",
                metadata={"try": 2},
            )
        ],
    )


def test_a_duration_keeps_its_kind_of_number(agent):
    agent.tracker.get_or_create_conversation("durations")
    agent.tracker.track_action("whole", duration_ms=150)
    agent.tracker.track_action("broken", duration_ms=150.302)
    agent.send()

    logs = [message["action_logs"][0] for message in agent.api.fetch_conversation("durations")["messages"]]

    assert [repr(log["duration_ms"]) for log in logs] == ["150", "150.302"]


def test_a_message_without_a_conversation_item_makes_its_conversation_in_production(agent):
    agent.tracker.configure(conversation_id="+385 91 555 0101")
    agent.tracker.track_human_message("hello")
    agent.tracker.track_agent_message("good day")
    agent.send()

    conversation = agent.api.fetch_conversation("+385 91 555 0101")

    assert_is(
        conversation,
        rows.as_listed(
            rows.conversation(
                "+385 91 555 0101",
                environment="production",
                message_count=2,
                messages=[rows.message("end_user", "hello"), rows.message("agent", "good day")],
            )
        ),
    )
    assert conversation["started_at"] == conversation["messages"][0]["timestamp"]


def test_two_conversations_tracked_in_turns_stay_apart(agent):
    pks = [agent.conversation(f"turns-{which}", f"question of {which}", f"answer to {which}") for which in "ab"]
    for which in "ba":
        agent.conversation(f"turns-{which}", f"thanks from {which}")

    for pk, which in zip(pks, "ab"):
        messages = agent.api.fetch_conversation(pk)["messages"]
        assert [message["content"] for message in messages] == [
            f"question of {which}",
            f"answer to {which}",
            f"thanks from {which}",
        ]
