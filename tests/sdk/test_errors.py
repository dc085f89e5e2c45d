"""What goes wrong comes back as the SDK's own exceptions, with their attributes filled."""

import pytest
import requests

from agents import Agent
from agentsight.exceptions import ConversationApiException, ForbiddenException, NotFoundException, UnauthorizedException

WRONG_KEY = "ags_" + "0" * 32 + "_000000"


def test_a_conversation_that_is_not_there_is_not_found(agent):
    with pytest.raises(NotFoundException) as by_string:
        agent.api.fetch_conversation("never-seen")
    with pytest.raises(NotFoundException) as by_integer:
        agent.api.fetch_conversation(2**31)
    with pytest.raises(NotFoundException) as managed:
        agent.manager.rename_conversation("never-seen", "name")

    assert [(str(raised.value), raised.value.status_code) for raised in (by_string, by_integer, managed)] == [
        ("Conversation with conversation_id 'never-seen' not found", 404),
        ("Not found.", 404),
        ("Conversation not found.", 404),
    ]


def test_another_agent_s_conversation_looks_like_none(agent, new_agent):
    pk = agent.conversation("mine", "hello")
    stranger = new_agent()

    for attempt in (
        lambda: stranger.api.fetch_conversation(pk),
        lambda: stranger.api.fetch_conversation("mine"),
        lambda: stranger.api.fetch_conversation_attachments(pk),
        lambda: stranger.manager.mark_conversation(pk, True),
        lambda: stranger.manager.delete_conversation(pk),
        lambda: stranger.manager.submit_feedback(pk, "negative"),
    ):
        with pytest.raises(NotFoundException):
            attempt()

    mine = agent.api.fetch_conversation("mine")
    assert (mine["is_marked"], mine["is_deleted"], mine["feedbacks"]) == (False, False, [])


def test_a_wrong_key_is_unauthorized(server):
    stranger = Agent(server.endpoint, WRONG_KEY)

    with pytest.raises(UnauthorizedException) as reading:
        stranger.api.fetch_conversations()
    with pytest.raises(UnauthorizedException) as managing:
        stranger.manager.rename_conversation(1, "name")
    with pytest.raises(ConversationApiException) as tracking:
        stranger.tracker.initialize_conversation("c-1")

    assert [(str(raised.value), raised.value.status_code) for raised in (reading, managing, tracking)] == [
        ("Invalid API key.", 401),
        ("Invalid API key.", 401),
        ("API error for conversation (401): Invalid API key.", 401),
    ]
    assert tracking.value.response_data == {"detail": "Invalid API key."}


def test_a_read_key_reads_and_is_forbidden_to_write(reader):
    writer, reader = reader
    pk = writer.conversation("shared", "hello")
    text = "You do not have permission to perform this action."

    assert reader.api.fetch_conversation("shared")["id"] == pk
    for attempt in (
        lambda: reader.manager.rename_conversation("shared", "name"),
        lambda: reader.manager.mark_conversation(pk, True),
        lambda: reader.manager.update_conversation(pk, language="de"),
        lambda: reader.manager.delete_conversation(2**31),
        lambda: reader.manager.submit_feedback("shared", "positive"),
    ):
        with pytest.raises(ForbiddenException) as raised:
            attempt()
        assert (str(raised.value), raised.value.status_code) == (text, 403)
    with pytest.raises(ConversationApiException) as tracking:
        reader.tracker.initialize_conversation("new")
    assert (tracking.value.status_code, tracking.value.response_data) == (403, {"detail": text})


def test_a_refused_value_is_named_in_the_exception(agent):
    with pytest.raises(ConversationApiException) as raised:
        agent.tracker.initialize_conversation("x" * 256)

    assert raised.value.status_code == 400
    assert raised.value.response_data == {"conversation_id": ["Ensure this field has no more than 255 characters."]}
    assert (
        str(raised.value)
        == "API error for conversation (400): conversation_id: Ensure this field has no more than 255 characters."
    )


def test_one_bad_item_does_not_stop_the_others(agent):
    agent.tracker.get_or_create_conversation("mixed")
    agent.tracker.track_human_message("before")
    agent.tracker.track_action("act", started_at="half past nine")
    agent.tracker.track_agent_message("after")

    sent = agent.tracker.send_tracked_data()

    assert sent["summary"] == {"questions": 1, "answers": 1, "attachments": 0, "actions": 0, "buttons": 0, "errors": 1}
    assert sent["items"][2]["error"] == "API error for action (400): started_at: Datetime has wrong format."
    messages = agent.api.fetch_conversation("mixed")["messages"]
    assert [message["content"] for message in messages] == ["before", "after"]


@pytest.mark.parametrize(
    "method, path, status, detail",
    [
        ("GET", "/api/track/", 405, 'Method "GET" not allowed.'),
        ("PUT", "/api/conversations/", 405, 'Method "PUT" not allowed.'),
        ("GET", "/api/no-such-thing/", 404, "Not found."),
    ],
)
def test_what_the_api_does_not_offer_is_said_in_json(agent, method, path, status, detail):
    answer = agent.request(method, path)

    assert (answer.status_code, answer.headers["Content-Type"], answer.json()) == (
        status,
        "application/json",
        {"detail": detail},
    )


def test_without_a_key_the_credentials_are_asked_for(server):
    answer = requests.get(f"{server.endpoint}/api/conversations/", timeout=15)

    assert (answer.status_code, answer.json()) == (401, {"detail": "Authentication credentials were not provided."})
    assert answer.headers["WWW-Authenticate"] == "Api-Key"
