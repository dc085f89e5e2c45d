"""The conversation manager: rename, mark, update, delete, feedback, each by string and by integer."""

import pytest

import rows
from agentsight.enums import Sentiment
from agentsight.exceptions import NotFoundException
from expect import TIME, assert_is

NAMED_BY = pytest.mark.parametrize("named_by", ["string", "integer"])


@pytest.fixture
def managed(agent):
    """A conversation with a name for each way to refer to it."""
    pk = agent.conversation(
        "managed", "hello", customer_id="c-1", language="en", name="First name", metadata={"tier": "gold"}
    )
    return {"string": "managed", "integer": pk}


@NAMED_BY
def test_a_conversation_is_renamed(agent, managed, named_by):
    answer = agent.manager.rename_conversation(managed[named_by], "  Parcel found  ")

    assert_is(answer, {"id": managed["integer"], "conversation_id": "managed", "name": "Parcel found"})
    assert agent.api.fetch_conversation("managed")["name"] == "Parcel found"


@NAMED_BY
def test_a_conversation_is_marked_and_unmarked(agent, managed, named_by):
    for is_marked in (True, True, False):
        answer = agent.manager.mark_conversation(managed[named_by], is_marked)

        assert_is(answer, {"id": managed["integer"], "conversation_id": "managed", "is_marked": is_marked})
        assert agent.api.fetch_conversation("managed")["is_marked"] is is_marked


@NAMED_BY
def test_an_update_changes_what_it_names(agent, managed, named_by):
    answer = agent.manager.update_conversation(managed[named_by], customer_id="c-204", metadata={"order": "A-9"})

    assert_is(
        answer,
        {
            "id": managed["integer"],
            "conversation_id": "managed",
            "updated_fields": ["customer_id", "metadata"],
            "customer_id": "c-204",
            "metadata": {"order": "A-9"},
        },
    )
    assert_is(
        agent.api.fetch_conversation(managed["integer"]),
        rows.conversation(
            "managed",
            id=managed["integer"],
            name="First name",
            language="en",
            customer_id="c-204",
            metadata={"order": "A-9"},
            message_count=1,
            messages=[rows.message("end_user", "hello")],
        ),
    )


def test_an_update_may_change_everything_at_once(agent, managed):
    changes = {
        "name": "New",
        "is_marked": True,
        "customer_id": "x",
        "device": "tablet",
        "language": "de",
        "metadata": {},
    }

    answer = agent.manager.update_conversation("managed", **changes)

    assert_is(
        answer, {"id": managed["integer"], "conversation_id": "managed", "updated_fields": list(changes)} | changes
    )


def test_metadata_is_merged_with_the_documented_recipe(agent, managed):
    conversation = agent.api.fetch_conversation("managed")
    agent.manager.update_conversation(
        "managed", metadata={**conversation["metadata"], "order": "A-9", "nested": {"z": 1, "a": [None, 1.0]}}
    )

    metadata = agent.api.fetch_conversation("managed")["metadata"]

    assert_is(metadata, {"tier": "gold", "order": "A-9", "nested": {"z": 1, "a": [None, 1.0]}})
    assert list(metadata["nested"]) == ["z", "a"]


def test_the_recipe_works_where_nothing_was_recorded(agent):
    agent.conversation("no-metadata")
    conversation = agent.api.fetch_conversation("no-metadata")
    agent.manager.update_conversation("no-metadata", metadata={**conversation["metadata"], "first": True})

    assert agent.api.fetch_conversation("no-metadata")["metadata"] == {"first": True}


@NAMED_BY
def test_a_deleted_conversation_is_hidden_and_kept(agent, managed, named_by):
    answer = agent.manager.delete_conversation(managed[named_by])

    assert_is(answer, {"id": managed["integer"], "conversation_id": "managed", "is_deleted": True, "deleted_at": TIME})
    assert agent.api.fetch_conversations()["count"] == 0
    assert agent.api.fetch_conversations(include_deleted=True)["count"] == 1
    kept = agent.api.fetch_conversation(managed["integer"])
    assert (kept["is_deleted"], kept["deleted_at"], len(kept["messages"])) == (True, answer["deleted_at"], 1)
    with pytest.raises(NotFoundException, match="^Conversation with conversation_id 'managed' not found$"):
        agent.api.fetch_conversation("managed")


@pytest.mark.parametrize(
    "named_by, text",
    [
        # By string the SDK looks the conversation up first, and a deleted one is not found there.
        ("string", "Conversation not found."),
        ("integer", "Conversation not found or already deleted."),
    ],
)
def test_a_second_delete_finds_nothing(agent, managed, named_by, text):
    agent.manager.delete_conversation(managed[named_by])

    with pytest.raises(NotFoundException) as raised:
        agent.manager.delete_conversation(managed[named_by])

    assert (str(raised.value), raised.value.status_code) == (text, 404)


def test_a_deleted_conversation_goes_on_recording_and_stays_deleted(agent, managed):
    agent.manager.delete_conversation("managed")
    assert agent.conversation("managed", "one more thing") == managed["integer"]

    kept = agent.api.fetch_conversation(managed["integer"])

    assert ([message["content"] for message in kept["messages"]], kept["is_deleted"]) == (
        ["hello", "one more thing"],
        True,
    )


@NAMED_BY
def test_feedback_is_stored_and_echoed_whole(agent, managed, named_by):
    answer = agent.manager.submit_feedback(
        managed[named_by], Sentiment.NEGATIVE, comment="Too slow.", metadata={"rating": 2}
    )

    expected = rows.feedback(
        "managed", "negative", conversation=managed["integer"], comment="Too slow.", metadata={"rating": 2}
    )
    assert_is(answer, expected)
    assert_is(agent.api.fetch_conversation("managed")["feedbacks"], [answer])


def test_every_feedback_is_a_row_of_its_own_oldest_first(agent, managed):
    for sentiment in ("positive", "neutral", "positive"):
        agent.manager.submit_feedback("managed", sentiment)

    conversation = agent.api.fetch_conversation("managed")

    assert [row["sentiment"] for row in conversation["feedbacks"]] == ["positive", "neutral", "positive"]
    assert conversation["feedback_count"] == 3


def test_feedback_makes_no_conversation(agent):
    with pytest.raises(NotFoundException, match=r"^Conversation not found\.$"):
        agent.manager.submit_feedback("never-seen", "positive")

    assert agent.api.fetch_conversations(include_deleted=True)["count"] == 0
