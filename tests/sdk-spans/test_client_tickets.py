"""`agentsight.api`: cases for people to work on."""

import pytest
from agentsight import NotFoundError, ValidationError

from expect import ID, TIME, assert_is


@pytest.fixture
def chat(bot):
    """A conversation that went wrong; its primary key."""
    return bot.exchange("order-956f", name="Refund")


def ticket(bot, title, **differing):
    """The row of a ticket of which only the title was said."""
    return {
        "id": ID,
        "agent": bot.api.me()["agent_id"],
        "title": title,
        "status": "open",
        "priority": None,
        "tags": [],
        "environment": "production",
        "environment_id": ID,
        "conversation": None,
        "feedback": None,
        "comments": [],
        "comments_count": 0,
        "created_at": TIME,
        "updated_at": TIME,
    } | differing


def refund(chat):
    return {
        "id": chat,
        "conversation_id": "order-956f",
        "name": "Refund",
        "environment": "production",
        "environment_id": ID,
    }


def test_a_ticket_needs_no_more_than_a_title(bot):
    created = bot.api.tickets.create(" Timeout in checkout ")

    assert_is(created, ticket(bot, "Timeout in checkout"))
    assert_is(bot.api.tickets.get(created["id"]), created)
    assert created["created_at"] == created["updated_at"]


@pytest.mark.parametrize("named_by", ["string", "integer"])
def test_a_ticket_hangs_on_a_conversation_and_is_shown_with_it(bot, chat, named_by):
    conversation = "order-956f" if named_by == "string" else chat

    created = bot.api.tickets.create(
        "Courier ETA was wrong",
        status="backlog",
        priority="high",
        tags=["delivery", "eta"],
        environment="development",
        conversation=conversation,
    )

    said = {"status": "backlog", "priority": "high", "tags": ["delivery", "eta"], "environment": "development"}
    assert_is(created, ticket(bot, "Courier ETA was wrong", conversation=refund(chat), **said))
    shown = ("id", "title", "status", "priority", "tags", "created_at", "updated_at", "comments")
    assert_is(bot.conversation("order-956f")["tickets"], [{key: created[key] for key in shown}])
    (listed,) = bot.api.conversations.list(include_tickets=True)
    assert_is(listed["tickets"], [{key: created[key] for key in shown}])


def test_a_ticket_from_feedback_takes_its_conversation(bot, chat):
    opinion = bot.api.feedbacks.create_for_conversation(chat, "negative", "It hung.")

    created = bot.api.tickets.create("It hung", feedback_id=opinion["id"])

    of = {key: opinion[key] for key in ("id", "kind", "sentiment", "comment", "created_at")}
    assert_is(created, ticket(bot, "It hung", conversation=refund(chat), feedback=of))
    assert bot.api.feedbacks.get(opinion["id"])["ticket"]["id"] == created["id"]
    with pytest.raises(ValidationError) as refused:
        bot.api.tickets.create("Once more", feedback_id=opinion["id"])
    assert list(refused.value.errors) == ["feedback_id"]


def test_a_ticket_outlives_the_feedback_that_it_came_from(bot, chat):
    opinion = bot.api.feedbacks.create_for_conversation(chat, "negative")
    created = bot.api.tickets.create("It hung", feedback_id=opinion["id"])

    bot.api.feedbacks.delete(opinion["id"])

    assert_is(bot.api.tickets.get(created["id"])["feedback"], None)


def test_a_ticket_on_what_is_not_there_is_refused(bot):
    with pytest.raises(ValidationError) as refused:
        bot.api.tickets.create("Lost", conversation=999_999_999)

    assert refused.value.errors == {"conversation_id": ['Invalid pk "999999999" - object does not exist.']}


def test_a_ticket_can_be_worked_on(bot):
    created = bot.api.tickets.create("Timeout", tags=["checkout"])

    changed = bot.api.tickets.update(
        created["id"], title="Timeout in checkout", status="in_progress", priority="low", tags=["checkout", "bug"]
    )

    assert_is(
        changed,
        created
        | {
            "title": "Timeout in checkout",
            "status": "in_progress",
            "priority": "low",
            "tags": ["checkout", "bug"],
            "updated_at": TIME,
        },
    )
    assert changed["updated_at"] > created["updated_at"]


def test_the_environment_of_a_ticket_cannot_be_changed(bot):
    created = bot.api.tickets.create("Timeout")

    answer = bot.request("PATCH", f"/api/tickets/{created['id']}/", json={"environment": "development"})

    assert (answer.status_code, answer.json()) == (
        400,
        {"environment": ["Environment cannot be changed after creation."]},
    )


def test_comments_are_a_thread_oldest_first_signed_by_the_key(bot):
    created = bot.api.tickets.create("Timeout")

    first, second = (bot.api.tickets.add_comment(created["id"], body) for body in ("Reproduced.", "Fixed in 1.2."))

    assert_is(first, {"id": ID, "author": first["author"], "role": "agent", "body": "Reproduced.", "created_at": TIME})
    assert first["author"]
    read = bot.api.tickets.get(created["id"])
    assert_is(read["comments"], [first, second])
    assert (read["comments_count"], read["updated_at"]) == (2, second["created_at"])
    assert_is(list(bot.api.tickets.comments(created["id"])), [first, second])


def test_a_deleted_ticket_is_gone_with_its_thread(bot, chat):
    created = bot.api.tickets.create("Timeout", conversation=chat)
    bot.api.tickets.add_comment(created["id"], "Reproduced.")

    assert bot.api.tickets.delete(created["id"]) == {}

    for attempt in (
        lambda: bot.api.tickets.get(created["id"]),
        lambda: list(bot.api.tickets.comments(created["id"])),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert bot.conversation("order-956f")["tickets"] == []


def test_another_agent_s_ticket_looks_like_none(bot, new_bot):
    created = bot.api.tickets.create("Mine")
    stranger = new_bot()

    for attempt in (
        lambda: stranger.api.tickets.get(created["id"]),
        lambda: stranger.api.tickets.update(created["id"], title="Yours"),
        lambda: stranger.api.tickets.add_comment(created["id"], "hello"),
        lambda: stranger.api.tickets.delete(created["id"]),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    assert bot.api.tickets.get(created["id"]) == created


@pytest.fixture
def board(bot, chat):
    """Three tickets, by their titles: one on a conversation, one done, one plain."""
    bot.api.tickets.create("alpha", priority="low", tags=["delivery"], conversation=chat)
    bot.api.tickets.create("Beta", status="done", priority="high", tags=["checkout", "bug"])
    bot.api.tickets.create("gamma", status="backlog")
    return bot


@pytest.mark.parametrize(
    "filters, expected",
    [
        ({}, ["gamma", "Beta", "alpha"]),
        ({"status": "done"}, ["Beta"]),
        ({"status": ["open", "backlog"]}, ["gamma", "alpha"]),
        ({"priority": "low"}, ["alpha"]),
        ({"conversation_id": "order-956f"}, ["alpha"]),
        ({"has_conversation": True}, ["alpha"]),
        ({"has_conversation": False}, ["gamma", "Beta"]),
        ({"has_feedback": True}, []),
        ({"has_feedback": False}, ["gamma", "Beta", "alpha"]),
        ({"tags": "delivery,bug"}, ["Beta", "alpha"]),
        ({"tags": "deliver"}, []),
        ({"search": "BET"}, ["Beta"]),
        ({"ordering": "created_at"}, ["alpha", "Beta", "gamma"]),
        ({"ordering": "priority"}, ["gamma", "alpha", "Beta"]),
        ({"ordering": "status"}, ["gamma", "alpha", "Beta"]),
        ({"ordering": "-status"}, ["Beta", "alpha", "gamma"]),
    ],
    ids=str,
)
def test_each_filter_of_tickets_selects(board, filters, expected):
    assert [row["title"] for row in board.api.tickets.list(**filters)] == expected


def test_the_keys_and_times_of_tickets_select(board, chat):
    def found(**filters):
        return [row["title"] for row in board.api.tickets.list(**filters)]

    gamma, beta, alpha = board.api.tickets.list()
    board.api.tickets.add_comment(alpha["id"], "touched")

    assert found(conversation=chat) == ["alpha"]
    assert found(created_at_after=beta["created_at"]) == ["gamma", "Beta"]
    assert found(created_at_before=beta["created_at"]) == ["Beta", "alpha"]
    assert found(updated_at_after=gamma["updated_at"]) == ["gamma", "alpha"]
    assert found(updated_at_before=beta["updated_at"]) == ["Beta"]
    assert found(ordering="-updated_at") == ["alpha", "gamma", "Beta"]


def test_a_page_of_tickets_has_the_envelope(board):
    page = board.api.tickets.page()

    assert (page.count, page.page_size, page.total_pages, page.current_page, page.extra) == (3, 100, 1, 1, {})
