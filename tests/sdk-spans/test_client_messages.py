"""`agentsight.api`: one message, and what was learned about it after its turn."""

import pytest
from agentsight import NotFoundError

from expect import assert_is


@pytest.fixture
def said(bot):
    """A question and its answer, as they stand in the transcript."""
    bot.exchange("said", "Draw a cat", "Here it is")
    return bot.conversation("said")["messages"]


def test_a_message_is_read_as_it_stands_in_the_transcript(bot, said):
    for message in said:
        assert_is(bot.api.messages.get(message["id"]), message)


def test_a_message_of_a_deleted_conversation_can_be_read(bot, said):
    bot.api.conversations.delete("said")

    assert_is(bot.api.messages.get(said[0]["id"]), said[0])


def test_another_agent_s_message_looks_like_none(new_bot, said):
    for message in (said[0]["id"], 2**31):
        with pytest.raises(NotFoundError):
            new_bot().api.messages.get(message)


def test_there_is_no_list_of_messages(bot):
    answer = bot.request("GET", "/api/track/")

    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "GET" not allowed.'})


def test_metadata_replaces_what_was_there(bot, said):
    question, answer = said
    document = {"draft": False, "image": {"url": "https://example.org/cat.png"}, "none": None}

    changed = bot.api.messages.update(answer["id"], metadata=document)

    assert_is(changed, answer | {"metadata": document})
    assert_is(bot.conversation("said")["messages"], [question, changed])


def test_metadata_merges_with_what_was_there(bot, said):
    _, answer = said
    bot.api.messages.update_metadata(answer["id"], {"draft": True, "score": 0})

    changed = bot.api.messages.update_metadata(answer["id"], {"score": 0.5}, remove=["draft", "never-was"])

    assert_is(changed["metadata"], answer["metadata"] | {"score": 0.5})
    assert_is(bot.api.messages.get(answer["id"]), changed)


def test_metadata_that_was_changed_is_found_among_the_keys(bot, said):
    bot.api.messages.update_metadata(said[1]["id"], {"score": 0.5})

    assert bot.api.conversations.message_metadata_keys() == {"keys": ["latency_ms", "score"]}


def test_nothing_but_metadata_can_be_changed(bot, said):
    question, _ = said
    path = f"/api/track/{question['id']}/"

    changed = bot.request("PATCH", path, json={"metadata": {"seen": True}, "content": "Draw a dog", "sender": "agent"})
    without = bot.request("PATCH", path, json={"content": "Draw a dog"})
    other = bot.request("PATCH", path, json={"metadata": ["seen"]})

    assert_is(changed.json(), question | {"metadata": {"seen": True}})
    assert (without.status_code, without.json()) == (400, {"metadata": ["This field is required."]})
    assert (other.status_code, other.json()) == (400, {"metadata": ["Must be a JSON object."]})


def test_another_agent_s_message_cannot_be_changed(bot, new_bot, said):
    with pytest.raises(NotFoundError):
        new_bot().api.messages.update(said[0]["id"], metadata={"mine": True})

    assert_is(bot.api.messages.get(said[0]["id"]), said[0])
