"""`agentsight.api`: what customers thought of a conversation, of a message, of the agent."""

import pytest
from agentsight import NotFoundError, PermissionDeniedError, ValidationError

from expect import ID, TIME, assert_is


@pytest.fixture
def chat(bot):
    """A conversation to have an opinion on; its primary key."""
    return bot.exchange("rag-956f", "What is RAG?", "A bit terse.")


@pytest.fixture
def answer(bot, chat):
    """The primary key of its answer."""
    return bot.conversation("rag-956f")["messages"][1]["id"]


def feedback(bot, kind, sentiment, **differing):
    """The row of a customer's feedback, as it looks when nothing more was said."""
    return {
        "id": ID,
        "kind": kind,
        "agent": bot.api.me()["agent_id"],
        "conversation": None,
        "conversation_id": None,
        "message": None,
        "user": None,
        "environment": None,
        "environment_id": None,
        "sentiment": sentiment,
        "category": None,
        "comment": None,
        "topic": None,
        "reason": None,
        "source": "customer",
        "metadata": {},
        "created_at": TIME,
    } | differing


def on_the_chat(chat):
    return {
        "conversation": chat,
        "conversation_id": "rag-956f",
        "environment": "production",
        "environment_id": ID,
    }


@pytest.mark.parametrize("named_by", ["string", "integer"])
def test_feedback_on_a_conversation_is_answered_and_shown_with_it(bot, chat, named_by):
    conversation = "rag-956f" if named_by == "string" else chat

    created = bot.api.feedbacks.create_for_conversation(conversation, "neutral", "A bit terse.")

    expected = feedback(bot, "conversation", "neutral", comment="A bit terse.", **on_the_chat(chat))
    assert_is(created, expected)
    assert_is(bot.conversation("rag-956f")["feedbacks"], [created])
    assert_is(bot.api.feedbacks.get(created["id"]), created | {"ticket": None})


def test_every_feedback_on_a_conversation_is_a_row_of_its_own(bot, chat):
    first, second = (bot.api.feedbacks.create_for_conversation(chat, "negative") for _ in range(2))

    assert first["id"] != second["id"]
    assert [row["id"] for row in bot.api.feedbacks.list()] == [second["id"], first["id"]]
    assert bot.conversation("rag-956f")["feedback_count"] == 2


def test_feedback_on_a_conversation_that_is_not_there_is_refused(bot):
    with pytest.raises(ValidationError) as refused:
        bot.api.feedbacks.create_for_conversation("never-seen", "positive")

    assert refused.value.errors == {"conversation_id": ["Conversation not found."]}


def test_a_message_has_one_vote_which_later_ones_change(bot, chat, answer):
    first = bot.api.feedbacks.create_for_message(answer, "negative", topic="style", reason="too_bold")
    again = bot.api.feedbacks.create_for_message(answer, "positive", "better now")

    voted = {"message": answer, "topic": "style", "reason": "too_bold"} | on_the_chat(chat)
    assert_is(first, feedback(bot, "message", "negative", **voted))
    assert_is(again, first | {"sentiment": "positive", "comment": "better now"})
    question, said = bot.conversation("rag-956f")["messages"]
    assert (question["feedback"], said["feedback"]) == (None, again)
    assert bot.conversation("rag-956f")["feedbacks"] == []


def test_a_vote_on_another_agent_s_message_is_refused(bot, new_bot, answer):
    with pytest.raises(ValidationError) as refused:
        new_bot().api.feedbacks.create_for_message(answer, "negative")

    assert refused.value.errors == {"message": ["Message not found."]}
    assert bot.api.feedbacks.list().count() == 0


def test_feedback_on_the_agent_may_name_an_environment(bot):
    plain = bot.api.feedbacks.create_for_agent("positive")
    placed = bot.api.feedbacks.create_for_agent("negative", "slow", environment="development")

    assert_is(plain, feedback(bot, "agent", "positive"))
    assert_is(
        placed,
        feedback(bot, "agent", "negative", comment="slow", environment="development", environment_id=ID),
    )


def test_feedback_on_another_agent_is_refused(bot, new_bot):
    with pytest.raises(ValidationError) as refused:
        bot.api.feedbacks.create_for_agent("positive", agent=new_bot().api.me()["agent_id"])

    assert refused.value.errors == {"agent": ["Invalid agent."]}


def test_feedback_can_be_changed_as_far_as_its_kind_has_the_field(bot, chat, answer):
    vote = bot.api.feedbacks.create_for_message(answer, "negative", topic="style")
    opinion = bot.api.feedbacks.create_for_conversation(chat, "negative")

    assert_is(bot.api.feedbacks.update(vote["id"], reason="too_bold"), vote | {"reason": "too_bold"})
    changed = {"sentiment": "positive", "comment": "solved"}
    assert_is(bot.api.feedbacks.update(opinion["id"], **changed), opinion | changed)
    with pytest.raises(ValidationError) as refused:
        bot.api.feedbacks.update(opinion["id"], topic="style")
    assert refused.value.errors == {"topic": ["Only message feedback has a topic."]}


def test_deleted_feedback_is_really_gone(bot, chat):
    opinion = bot.api.feedbacks.create_for_conversation(chat, "negative")

    assert bot.api.feedbacks.delete(opinion["id"]) == {}

    with pytest.raises(NotFoundError):
        bot.api.feedbacks.get(opinion["id"])
    assert bot.conversation("rag-956f")["feedbacks"] == []


@pytest.fixture
def opinions(bot, chat, answer):
    """One of each kind, oldest first; their ids by kind."""
    return {
        "conversation": bot.api.feedbacks.create_for_conversation(chat, "neutral", "A bit terse.")["id"],
        "message": bot.api.feedbacks.create_for_message(answer, "negative", topic="style", reason="too_bold")["id"],
        "agent": bot.api.feedbacks.create_for_agent("positive", environment="development")["id"],
    }


@pytest.mark.parametrize(
    "filters, expected",
    [
        ({}, ["agent", "message", "conversation"]),
        ({"kind": "agent"}, ["agent"]),
        ({"sentiment": "negative"}, ["message"]),
        ({"conversation_id": "rag-956f"}, ["message", "conversation"]),
        ({"conversation_id": "other"}, []),
        ({"topic": "style"}, ["message"]),
        ({"reason": "too_bold"}, ["message"]),
        ({"reason": "bold"}, []),
        ({"category": "bug"}, []),
        ({"user": 1}, []),
        ({"environment": "production"}, ["message", "conversation"]),
        ({"env": "dev"}, ["agent"]),
        ({"has_comment": True}, ["conversation"]),
        ({"has_comment": False}, ["agent", "message"]),
        ({"comment_contains": "TERSE"}, ["conversation"]),
        ({"search": "style"}, ["message"]),
        ({"search": "terse"}, ["conversation"]),
        ({"ordering": "created_at"}, ["conversation", "message", "agent"]),
        ({"ordering": "-kind"}, ["message", "conversation", "agent"]),
        ({"include_tickets": True}, []),
    ],
    ids=str,
)
def test_each_filter_of_feedback_selects(bot, opinions, filters, expected):
    assert [row["kind"] for row in bot.api.feedbacks.list(**filters)] == expected


def test_the_keys_and_times_of_feedback_select(bot, chat, answer, opinions):
    def found(**filters):
        return [row["kind"] for row in bot.api.feedbacks.list(**filters)]

    at = bot.api.feedbacks.get(opinions["message"])["created_at"]
    assert found(conversation=chat) == ["message", "conversation"]
    assert found(message=answer) == ["message"]
    assert found(agent=bot.api.me()["agent_id"]) == ["agent", "message", "conversation"]
    assert found(created_at_after=at) == ["agent", "message"]
    assert found(created_at_before=at) == ["message", "conversation"]


def test_without_tickets_a_page_counts_all_and_refuses_to_filter_by_them(bot, opinions):
    page = bot.api.feedbacks.page()

    assert (page.count, page.extra) == (3, {"counts": {"all": 3}})
    assert all("ticket" not in row for row in page)
    with pytest.raises(ValidationError) as refused:
        bot.api.feedbacks.page(has_ticket=True)
    assert refused.value.errors == {"has_ticket": "Ticket filters need ?include_tickets=true on the API-key plane."}


def test_with_tickets_a_page_shows_what_became_of_the_feedback(bot, opinions):
    ticket = bot.api.tickets.create("Too terse", feedback_id=opinions["conversation"], priority="high")
    bot.api.tickets.add_comment(ticket["id"], "Seen.")

    page = bot.api.feedbacks.page(include_tickets=True)
    closed = bot.api.feedbacks.page(include_tickets=True, ticket_status=["done", "closed"])

    tallies = {"backlog": 0, "open": 1, "in_progress": 0, "in_review": 0, "done": 0, "closed": 0}
    (row,) = page
    assert row["id"] == opinions["conversation"]
    ticket = bot.api.tickets.get(ticket["id"])
    shown = ("id", "title", "status", "priority", "tags", "created_at", "updated_at", "comments_count", "comments")
    assert_is(row["ticket"], {key: ticket[key] for key in shown})
    assert page.extra == {"counts": {"all": 1, "tickets": 1, "open_tickets": 1} | tallies}
    assert (closed.results, closed.extra["counts"]["open"]) == ([], 1)


def test_feedback_on_the_product_is_not_for_keys(bot):
    with pytest.raises(PermissionDeniedError):
        list(bot.api.feedbacks.list(kind="product"))


def test_conversations_are_found_by_their_feedback(bot, chat):
    bot.exchange("silent")
    bot.api.feedbacks.create_for_conversation(chat, "negative")

    def found(**filters):
        return [row["conversation_id"] for row in bot.api.conversations.list(**filters)]

    assert found(has_feedback=True) == ["rag-956f"]
    assert found(has_feedback=False) == ["silent"]
    assert found(feedback_sentiment="negative") == ["rag-956f"]
    assert found(feedback_sentiment="positive") == []


def test_the_older_sdk_s_feedback_is_in_the_same_list(bot, chat, older_sdk):
    older_sdk.submit_feedback(bot, "rag-956f", "positive", "Very helpful!", {"rating": 5})

    (row,) = bot.api.feedbacks.list()
    said = {"comment": "Very helpful!", "metadata": {"rating": 5}}
    assert_is(row, feedback(bot, "conversation", "positive", **said, **on_the_chat(chat)))
