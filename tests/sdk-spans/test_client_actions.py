"""`agentsight.api`: what an agent can do, declared or simply done, and each time it did."""

import agentsight
import pytest
from agentsight import NotFoundError, ValidationError

from expect import ID, assert_is


@agentsight.tool
def lookup_order(order):
    return f"{order} is shipped"


def ran(bot, *orders):
    with agentsight.conversation("runs"):
        for order in orders:
            lookup_order(order)
    bot.flush()


def action(bot, name, **differing):
    return {
        "id": ID,
        "name": name,
        "display_name": name,
        "description": "",
        "agent": bot.api.me()["agent_id"],
    } | differing


def test_a_tool_that_ran_is_an_action_under_its_name(bot):
    ran(bot, "A-1", "A-2")

    (listed,) = bot.api.actions.list()

    assert_is(listed, action(bot, "lookup_order"))
    assert_is(bot.api.actions.get(listed["id"]), listed)


def test_its_logs_are_its_runs_newest_first(bot):
    ran(bot, "A-1", "A-2")
    (listed,) = bot.api.actions.list()

    logs = bot.api.actions.logs(listed["id"])

    messages = bot.conversation("runs")["messages"]
    assert_is(logs, [message["action_logs"][0] for message in reversed(messages)])
    assert [log["tools_used"] for log in logs] == [{"order": "A-2"}, {"order": "A-1"}]


def test_the_logs_of_a_deleted_conversation_are_left_out(bot):
    ran(bot, "A-1")
    (listed,) = bot.api.actions.list()

    bot.api.conversations.delete("runs")

    assert bot.api.actions.logs(listed["id"]) == []


def test_a_declared_action_is_adopted_by_its_first_run_and_keeps_its_labels(bot):
    created = bot.api.actions.create("lookup_order", display_name="Look up", description="Finds a parcel.")
    ran(bot, "A-1")

    assert_is(created, action(bot, "lookup_order", display_name="Look up", description="Finds a parcel."))
    assert_is(list(bot.api.actions.list()), [created])
    assert [log["action"] for log in bot.api.actions.logs(created["id"])] == [created["id"]]


def test_a_name_is_taken_once(bot):
    taken = {"name": ['An action named "lookup_order" already exists for this agent.']}
    bot.api.actions.create("lookup_order")
    other = bot.api.actions.create("charge_card")

    for attempt in (
        lambda: bot.api.actions.create("lookup_order"),
        lambda: bot.api.actions.update(other["id"], name="lookup_order"),
    ):
        with pytest.raises(ValidationError) as refused:
            attempt()
        assert refused.value.errors == taken


def test_two_agents_may_have_the_same_name(bot, new_bot):
    mine, theirs = (which.api.actions.create("lookup_order") for which in (bot, new_bot()))

    assert mine["agent"] != theirs["agent"]
    with pytest.raises(NotFoundError):
        bot.api.actions.get(theirs["id"])


def test_labels_can_be_changed_and_runs_do_not_change_them_back(bot):
    ran(bot, "A-1")
    (listed,) = bot.api.actions.list()
    labels = {"display_name": "Look up", "description": "Finds a parcel."}

    assert_is(bot.api.actions.update(listed["id"], **labels), listed | labels)
    ran(bot, "A-2")

    assert_is(bot.api.actions.get(listed["id"]), listed | labels)


def test_after_a_new_name_the_next_run_under_the_old_one_begins_another(bot):
    ran(bot, "A-1")
    (listed,) = bot.api.actions.list()
    bot.api.actions.update(listed["id"], name="find_order")
    ran(bot, "A-2")

    assert [row["name"] for row in bot.api.actions.list()] == ["find_order", "lookup_order"]
    assert [message["action_name"] for message in bot.conversation("runs")["messages"]] == ["lookup_order"] * 2


def test_an_action_cannot_be_deleted(bot):
    created = bot.api.actions.create("lookup_order")

    answer = bot.request("DELETE", f"/api/actions/{created['id']}/")

    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "DELETE" not allowed.'})


@pytest.mark.parametrize(
    "filters, expected",
    [
        ({}, ["lookup_order", "charge_card", "Escalate"]),
        ({"name": "charge_card"}, ["charge_card"]),
        ({"name": "charge"}, []),
        ({"name__icontains": "ORDER"}, ["lookup_order"]),
        ({"display_name": "look"}, ["lookup_order"]),
        ({"search": "money"}, ["charge_card"]),
        ({"search": "escal"}, ["Escalate"]),
        ({"ordering": "-id"}, ["Escalate", "charge_card", "lookup_order"]),
    ],
    ids=str,
)
def test_each_filter_of_actions_selects(bot, filters, expected):
    bot.api.actions.create("lookup_order", display_name="Look up")
    bot.api.actions.create("charge_card", description="Takes money.")
    bot.api.actions.create("Escalate")

    assert [row["name"] for row in bot.api.actions.list(**filters)] == expected
