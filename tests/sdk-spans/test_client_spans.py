"""`agentsight.api`: the archive of spans, its filters, single spans and traces."""

from datetime import datetime

import agentsight
import pytest
from agentsight import NotFoundError, ValidationError

from expect import assert_is


@agentsight.tool
def lookup(order):
    return "shipped"


@agentsight.tool
def charge_card(amount):
    raise PermissionError("card expired")


@pytest.fixture
def archive(bot):
    """Two conversations in two environments, and a visit: turns, tools that work or not, a task."""
    with agentsight.conversation("one"), agentsight.turn("ask"):
        agentsight.user_message("hello")
        lookup("A-9")
        with pytest.raises(PermissionError):
            charge_card(12)
    with agentsight.conversation("two", environment="dev"), agentsight.turn("ask"):
        agentsight.task(lambda: 1, name="rank")()
    agentsight.open_conversation("visit")
    bot.flush()
    return bot


def names(bot, **filters):
    return [span["name"] for span in bot.api.spans.list(**filters)]


def test_spans_are_listed_newest_first(archive):
    assert names(archive) == ["conversation_opened", "rank", "ask", "charge_card", "lookup", "ask"]


@pytest.mark.parametrize(
    "filters, expected",
    [
        ({"kind": "tool"}, ["charge_card", "lookup"]),
        ({"kind": "never-heard-of"}, []),
        ({"status": "error"}, ["charge_card"]),
        ({"status": "unset"}, ["conversation_opened"]),
        ({"name": "ask"}, ["ask", "ask"]),
        ({"name": "as"}, []),
        ({"conversation_id": "two"}, ["rank", "ask"]),
        ({"environment": "development"}, ["rank", "ask"]),
        ({"environment": "production", "kind": "turn"}, ["ask"]),
        ({"ordering": "started_at"}, ["ask", "lookup", "charge_card", "ask", "rank", "conversation_opened"]),
        ({"ordering": "-id", "conversation_id": "visit"}, ["conversation_opened"]),
    ],
    ids=str,
)
def test_each_filter_of_spans_selects(archive, filters, expected):
    assert names(archive, **filters) == expected


def test_the_ids_of_a_span_find_it_in_either_case(archive):
    lookup_, charged = archive.spans("one", kind="tool")
    turn = lookup_["parent_span_id"]

    assert names(archive, conversation=lookup_["conversation"], kind="tool") == ["charge_card", "lookup"]
    for form in (str.lower, str.upper):
        assert names(archive, span_id=form(lookup_["span_id"])) == ["lookup"]
        assert names(archive, parent_span_id=form(turn)) == ["charge_card", "lookup"]
        assert names(archive, trace_id=form(lookup_["trace_id"])) == ["charge_card", "lookup", "ask"]


def test_the_order_by_time_and_duration_can_be_chosen(archive):
    spans = list(archive.api.spans.list())

    for key in ("ended_at", "duration_ms", "id"):
        ordered = sorted(spans, key=lambda span: (span[key], span["id"]))
        assert [span["id"] for span in archive.api.spans.list(ordering=key)] == [span["id"] for span in ordered]


def test_the_bounds_of_time_are_inclusive(archive):
    first, *_, last = archive.spans("one")
    after, before = (datetime.fromisoformat(span["started_at"]) for span in (first, last))

    found = archive.api.spans.list(conversation_id="one", started_at_after=after, started_at_before=before)

    assert [span["name"] for span in found] == ["charge_card", "lookup", "ask"]


def test_an_environment_that_the_agent_has_not_is_refused(archive):
    with pytest.raises(ValidationError) as refused:
        names(archive, environment="staging")

    assert list(refused.value.errors) == ["environment"]


def test_one_span_comes_with_what_was_sent_when_that_is_asked_for(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    bot.exchange("payload")
    (batch,) = relay.batches()
    (sent,) = batch.json()["conversations"][0]["spans"]
    (listed,) = bot.api.spans.list()

    assert_is(bot.api.spans.get(listed["id"]), listed)
    assert_is(bot.api.spans.get(listed["id"], payload=True), listed | {"payload": sent})
    assert sent["otel"]["resource"]["service.name"] == "agentsight-python"
    assert listed["events"] == sent["events"]


def test_a_trace_is_a_tree_of_its_spans(archive):
    turn, *tools = archive.spans("one")

    trace = archive.api.spans.trace(turn["trace_id"])

    assert_is(
        trace,
        {
            "trace_id": turn["trace_id"],
            "span_count": 3,
            "truncated": False,
            "roots": [turn | {"children": [tool | {"children": []} for tool in tools]}],
        },
    )


def test_a_span_or_trace_that_is_not_there_is_not_found(archive):
    for attempt in (lambda: archive.api.spans.get(2**31), lambda: archive.api.spans.trace("f" * 32)):
        with pytest.raises(NotFoundError):
            attempt()


def test_spans_are_paged_like_everything_else(bot):
    with agentsight.conversation("many"):
        for number in range(101):
            lookup(number)
    bot.flush()

    listing = bot.api.spans.list()

    assert len(list(listing)) == listing.count() == 101
    assert (len(listing.page(1)), len(listing.page(2))) == (100, 1)


def test_the_spans_of_a_deleted_conversation_stay_in_the_archive(archive):
    archive.api.conversations.delete("two")

    assert names(archive, conversation_id="two") == ["rank", "ask"]
