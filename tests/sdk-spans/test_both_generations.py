"""SDK 0.0.44 and SDK 0.1.4 on one server: what one writes, the other reads."""

import agentsight
import pytest

import rows
from expect import ID, TIME, assert_is


@agentsight.tool
def lookup(order):
    return "shipped"


@pytest.fixture
def by_the_newer(bot):
    """A conversation that 0.1.4 recorded; its primary key."""
    with agentsight.conversation("newer", customer_id="u1", name="Order questions", metadata={"plan": "pro"}):
        agentsight.upload_attachments({"filename": "a.txt", "data": b"hello"})
        with agentsight.turn():
            agentsight.user_message("hi", metadata={"locale": "hr"})
            lookup("A-9")
            agentsight.agent_message("hello")
    bot.flush()
    return bot.api.conversations.resolve("newer")


@pytest.fixture
def by_the_older(bot, older_sdk):
    """A conversation that 0.0.44 recorded; its primary key."""
    sent = older_sdk.record(
        bot,
        "older",
        ["track_human_message", "hi", None, None, {"locale": "hr"}],
        ["track_action", "lookup", None, None, 150, {"order": "A-9"}, "shipped"],
        ["track_button", "choice", "Tomorrow", "tomorrow"],
        ["track_agent_message", "hello"],
        customer_id="u1",
        name="Order questions",
        metadata={"plan": "pro"},
    )
    return sent["items"][0]["response"]["id"]


def unsigned(conversation):
    """Links to files are signed anew by every answer."""
    for message in conversation["messages"]:
        for attachment in message["attachments"]:
            attachment["file_url"] = attachment["file_url"].partition("?")[0]
    return conversation


def test_what_the_newer_wrote_the_older_fetches_by_string_and_by_integer(bot, older_sdk, by_the_newer):
    newer = unsigned(bot.conversation("newer"))

    by_integer = unsigned(older_sdk.fetch(bot, by_the_newer))
    by_string = unsigned(older_sdk.fetch(bot, "newer"))

    assert_is(by_integer, newer)
    assert_is(by_string, rows.as_listed(newer))
    assert [message["content"] for message in newer["messages"]] == [
        "[Attachments]",
        "hi",
        "Action lookup performed",
        "hello",
    ]


def test_what_the_older_wrote_the_newer_reads_the_same(bot, older_sdk, by_the_older):
    older = older_sdk.fetch(bot, by_the_older)

    for named in (by_the_older, "older"):
        assert_is(bot.api.conversations.get(named), older)
    (listed,) = bot.api.conversations.list_full()
    assert_is(listed, rows.as_listed(older))
    assert [message["content"] for message in older["messages"]] == [
        "hi",
        "Action lookup performed",
        "Button clicked: Tomorrow",
        "hello",
    ]
    assert (older["name"], older["environment"], older["metadata"]) == (
        "Order questions",
        "development",
        {"plan": "pro"},
    )


def test_one_conversation_can_be_recorded_by_both(bot, older_sdk, by_the_older):
    with agentsight.conversation("older", device="mobile"), agentsight.turn():
        agentsight.user_message("me again")
        lookup("B-1")
        agentsight.agent_message("welcome back")
    bot.flush()

    conversation = older_sdk.fetch(bot, by_the_older)
    assert (conversation["id"], conversation["device"], conversation["customer_id"]) == (
        by_the_older,
        "mobile",
        "u1",
    )
    assert [message["content"] for message in conversation["messages"]] == [
        "hi",
        "Action lookup performed",
        "Button clicked: Tomorrow",
        "hello",
        "me again",
        "Action lookup performed",
        "welcome back",
    ]
    of_the_older, of_the_newer = (
        message["action_logs"][0] for message in conversation["messages"] if message["action_logs"]
    )
    assert of_the_older["action"] == of_the_newer["action"]


def test_a_conversation_that_the_newer_began_goes_on_with_the_older_in_its_environment(bot, older_sdk, by_the_newer):
    older_sdk.record(bot, "newer", ["track_human_message", "by the older"], environment="development")

    conversation = bot.conversation("newer")
    assert (conversation["id"], conversation["environment"]) == (by_the_newer, "production")
    assert conversation["messages"][-1]["content"] == "by the older"


def test_the_older_leaves_no_span_and_the_newer_does(bot, by_the_older, by_the_newer):
    assert {span["conversation_id"] for span in bot.api.spans.list()} == {"newer"}


def test_the_transcripts_of_both_have_the_same_form(bot, by_the_older, by_the_newer):
    older, newer = bot.conversation("older"), bot.conversation("newer")

    def form(value):
        if isinstance(value, dict):
            return {key: form(item) for key, item in value.items() if key not in ("metadata", "tools_used")}
        return [form(value[0])] if value and isinstance(value, list) else type(value).__name__

    def at(conversation, content):
        return next(message for message in conversation["messages"] if message["content"] == content)

    assert older.keys() == newer.keys()
    for content in ("hi", "hello"):
        assert form(at(older, content)) == form(at(newer, content))
    ran = "Action lookup performed"
    assert_is(at(older, ran)["action_logs"][0] | {"duration_ms": 1.5}, log(duration_ms=1.5))
    assert_is(at(newer, ran)["action_logs"][0] | {"duration_ms": 1.5}, log(duration_ms=1.5))


def log(**differing):
    """The log of the lookup, whichever SDK recorded it."""
    return {
        "id": ID,
        "action": ID,
        "message": ID,
        "started_at": TIME,
        "ended_at": TIME,
        "duration_ms": None,
        "tools_used": {"order": "A-9"},
        "response": "shipped",
        "error_message": "",
        "metadata": {},
    } | differing
