"""The conversation's own row: visits, details, metadata and environments."""

import agentsight
import pytest

import rows
from expect import assert_is


def test_a_visit_is_a_conversation_that_nobody_used(bot):
    agentsight.open_conversation("visit", customer_id="u-7", device="desktop", metadata={"page": "/pricing"})
    bot.flush()

    (opened,) = bot.spans("visit")
    assert (opened["kind"], opened["name"]) == ("conversation", "conversation_opened")
    assert_is(
        bot.conversation("visit"),
        rows.conversation(
            "visit",
            customer_id="u-7",
            device="desktop",
            environment="production",
            metadata={"page": "/pricing"},
            is_used=False,
            started_at=opened["started_at"],
            ended_at=opened["ended_at"],
        ),
    )


def test_a_visit_becomes_used_with_its_first_turn_and_stays_so(bot):
    agentsight.open_conversation("visit-then-talk", device="desktop")
    bot.flush()
    bot.exchange("visit-then-talk")
    agentsight.open_conversation("visit-then-talk")
    bot.flush()

    conversation = bot.conversation("visit-then-talk")
    assert (conversation["is_used"], conversation["device"]) == (True, "desktop")


def test_a_detail_that_is_given_again_replaces_and_one_that_is_not_stays(bot):
    bot.exchange("details", customer_id="u1", device="desktop", language="en", name="First")
    bot.exchange("details", device="mobile", name="Second")

    conversation = bot.conversation("details")
    assert [conversation[field] for field in ("customer_id", "device", "language", "name")] == [
        "u1",
        "mobile",
        "en",
        "Second",
    ]


def test_details_longer_than_the_row_are_cut_by_the_sdk_and_arrive(bot):
    with agentsight.conversation("d" * 300, device="m" * 300), agentsight.turn():
        agentsight.user_message("hello")
    bot.flush()

    (conversation,) = bot.api.conversations.list()
    assert (conversation["conversation_id"], conversation["device"]) == ("d" * 255, "m" * 255)


@pytest.mark.parametrize(
    "given, stored",
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", None),
    ],
)
def test_an_address_is_stored_or_nothing_is_but_the_conversation_arrives(bot, given, stored):
    bot.exchange("address", customer_ip_address=given)

    assert bot.conversation("address")["customer_ip_address"] == stored


def test_update_metadata_merges_into_what_the_conversation_has(bot):
    with agentsight.conversation("metadata", metadata={"plan": "pro", "awaiting_reply": True}):
        with agentsight.turn():
            agentsight.user_message("hello")
        agentsight.update_metadata({"plan": "enterprise", "escalated": False, "note": None}, remove=["awaiting_reply"])
    bot.flush()

    conversation = bot.conversation("metadata")
    assert_is(conversation["metadata"], {"plan": "enterprise", "escalated": False, "note": None})
    assert [(span["kind"], span["name"]) for span in bot.spans("metadata")] == [
        ("turn", "turn"),
        ("conversation", "metadata_updated"),
    ]


def test_recording_metadata_is_no_use_of_the_conversation(bot):
    with agentsight.conversation("only-metadata"):
        agentsight.update_metadata({"page": "/pricing"})
    bot.flush()

    conversation = bot.conversation("only-metadata")
    assert (conversation["is_used"], conversation["metadata"]) == (False, {"page": "/pricing"})


def test_empty_metadata_clears(bot):
    bot.exchange("cleared", metadata={"plan": "pro"})
    with agentsight.conversation("cleared", metadata={"plan": "pro"}):
        agentsight.update_metadata(remove=["plan"])
    bot.flush()

    assert_is(bot.conversation("cleared")["metadata"], {})


def test_metadata_that_is_not_given_stays(bot):
    bot.exchange("kept", metadata={"plan": "pro"})
    bot.exchange("kept")

    assert_is(bot.conversation("kept")["metadata"], {"plan": "pro"})


def test_metadata_keeps_its_types_and_its_order(bot):
    document = {"z": 1, "a": 1.5, "nested": {"yes": True, "none": None, "list": [1, "two", []]}, "text": "1"}
    bot.exchange("typed", metadata=document)

    metadata = bot.conversation("typed")["metadata"]
    assert_is(metadata, document)
    assert list(metadata) == list(document)


def test_metadata_too_large_for_the_sdk_says_what_it_lost(bot):
    bot.exchange("large-metadata", metadata={f"key-{number}": "x" * 500 for number in range(100)} | {"plan": "pro"})

    metadata = bot.conversation("large-metadata")["metadata"]
    assert metadata["plan"] == "pro"
    assert metadata["_agentsight_truncated"]["dropped_count"] > 0


def test_two_conversations_of_one_batch_stay_apart(bot):
    for which in "ab":
        with agentsight.conversation(f"apart-{which}", customer_id=which):
            with agentsight.turn():
                agentsight.user_message(f"question of {which}")
    bot.flush()

    for which in "ab":
        assert bot.said(f"apart-{which}") == [("end_user", f"question of {which}")]
        assert bot.conversation(f"apart-{which}")["customer_id"] == which


def test_a_conversation_without_an_id_is_given_one(bot):
    with agentsight.conversation() as scope:
        with agentsight.turn():
            agentsight.user_message("hello")
    bot.flush()

    assert bot.said(scope.conversation_id) == [("end_user", "hello")]


def test_traffic_for_a_deleted_conversation_is_recorded_and_leaves_it_deleted(bot):
    pk = bot.exchange("deleted", "before")
    bot.api.conversations.delete("deleted")
    bot.exchange("deleted", "after")

    conversation = bot.api.conversations.get(pk)
    assert (conversation["is_deleted"], conversation["message_count"]) == (True, 4)
    assert bot.api.conversations.list().count() == 0


def test_without_a_word_about_it_a_conversation_is_in_production(bot):
    bot.exchange("silent")

    assert bot.conversation("silent")["environment"] == "production"


@pytest.mark.parametrize(
    "given, stored",
    [("development", "development"), ("DEV", "development"), (" prod ", "production"), ("stagin", "production")],
)
def test_an_environment_is_known_by_name_or_alias_and_an_unknown_one_is_dropped_by_the_sdk(bot, given, stored):
    bot.exchange("given", environment=given)

    assert bot.conversation("given")["environment"] == stored


def test_the_process_s_environment_holds_where_the_conversation_names_none(new_bot):
    bot = new_bot().track(environment="development")
    bot.exchange("of-the-process")
    bot.exchange("of-the-conversation", environment="production")

    assert bot.conversation("of-the-process")["environment"] == "development"
    assert bot.conversation("of-the-conversation")["environment"] == "production"


def test_the_environment_variable_of_the_sdk_is_obeyed(bot):
    bot.run(
        """
import agentsight

agentsight.init(auto_instrument=False)
with agentsight.conversation("by-variable"), agentsight.turn():
    agentsight.user_message("hello")
""",
        AGENTSIGHT_ENVIRONMENT="dev",
    )

    assert bot.conversation("by-variable")["environment"] == "development"


def test_a_later_environment_moves_the_conversation(bot):
    bot.exchange("moves", environment="development")
    bot.exchange("moves", environment="production")

    assert bot.conversation("moves")["environment"] == "production"
    assert {row["environment"] for row in bot.api.conversations.list()} == {"production"}


def test_a_custom_environment_is_learned_from_the_server_and_used(bot, server):
    assert server.create_environment(bot.api.me()["agent_name"], "Staging") == "staging"

    assert bot.api.environments(refresh=True) == ["production", "development", "staging"]
    bot.run(LEARNS)

    assert bot.conversation("in-staging")["environment"] == "staging"
    assert [row["conversation_id"] for row in bot.api.conversations.list(environment="staging")] == ["in-staging"]


# The SDK asks `/api/me/` on a thread of its own, and drops what it has not heard of by then.
LEARNS = """
import threading

import agentsight

agentsight.init(auto_instrument=False)
for thread in threading.enumerate():
    if thread.name == "agentsight-preflight":
        thread.join()
with agentsight.conversation("in-staging", environment="staging"), agentsight.turn():
    agentsight.user_message("hello")
"""
