"""Turns that are larger than a request, come in pieces, or are outlived by what they began."""

import contextvars
import threading

import agentsight
from agentsight.sdk.processors import TurnBufferingProcessor
from openai import OpenAI

from expect import assert_is

SPANS_PER_REQUEST = 512


@agentsight.tool
def count(number):
    return number


def test_a_turn_of_more_than_512_spans_comes_in_several_requests_children_first(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    with agentsight.conversation("large"), agentsight.turn("ask") as turn:
        agentsight.user_message("count to 600")
        for number in range(600):
            count(number)
        agentsight.agent_message("done")
    bot.flush()

    batches = [batch.json()["conversations"][0]["spans"] for batch in relay.batches()]
    assert [len(spans) for spans in batches] == [SPANS_PER_REQUEST, 601 - SPANS_PER_REQUEST]
    assert [any(span["kind"] == "turn" for span in spans) for spans in batches] == [False, True]
    conversation = bot.conversation("large")
    first, *runs, last = conversation["messages"]
    assert (first["content"], last["content"]) == ("count to 600", "done")
    assert [run["action_logs"][0]["tools_used"] for run in runs] == [{"number": number} for number in range(600)]
    trace = bot.api.spans.trace(bot.spans("large", kind="turn")[0]["trace_id"])
    assert (trace["span_count"], trace["truncated"]) == (601, False)
    assert [(root["span_id"], len(root["children"])) for root in trace["roots"]] == [(turn.turn_id, 600)]


def test_an_unfinished_turn_in_several_requests_leaves_no_message_either(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    with agentsight.conversation("large-abandoned"), agentsight.turn():
        agentsight.user_message("count to 600")
        for number in range(600):
            count(number)
        agentsight.abandon_turn()
    bot.flush()

    assert len(relay.batches()) == 2
    assert bot.conversation("large-abandoned")["messages"] == []
    assert bot.api.spans.list(conversation_id="large-abandoned").count() == 601


def test_tools_that_arrive_before_their_turn_wait_for_it(new_bot):
    bot = new_bot().track()
    held = TurnBufferingProcessor.MAX_BUFFERED_SPANS
    # More than the SDK holds back: it lets go of them while the turn is still open.
    with agentsight.conversation("early"), agentsight.turn():
        agentsight.user_message("count")
        for number in range(held + 1):
            count(number)
        bot.flush()
        early = bot.conversation("early")
        archived = bot.api.spans.list(conversation_id="early", kind="tool").count()
        agentsight.agent_message("done")
    bot.flush()

    assert (early["message_count"], early["messages"]) == (0, [])
    assert 0 < archived <= held + 1
    conversation = bot.conversation("early")
    # What the SDK's own queue (2 048 spans) let go of never left the process; what was archived is all here.
    tools = bot.api.spans.list(conversation_id="early", kind="tool").count()
    assert conversation["message_count"] == tools + 2
    assert [conversation["messages"][place]["content"] for place in (0, 1, -1)] == [
        "count",
        "Action count performed",
        "done",
    ]


def test_a_tool_that_outlives_its_turn_is_put_where_it_began(bot):
    began, go_on = threading.Event(), threading.Event()

    @agentsight.tool
    def slow_lookup():
        began.set()
        assert go_on.wait(timeout=20)
        return "found"

    with agentsight.conversation("outlived"), agentsight.turn() as turn:
        agentsight.user_message("look it up")
        outliving = threading.Thread(target=contextvars.copy_context().run, args=(slow_lookup,))
        outliving.start()
        assert began.wait(timeout=20)
        agentsight.agent_message("I will tell you when I have it.")
    bot.flush()
    before = bot.said("outlived")
    go_on.set()
    outliving.join()
    bot.flush()

    assert before == [("end_user", "look it up"), ("agent", "I will tell you when I have it.")]
    assert bot.said("outlived") == [
        ("end_user", "look it up"),
        ("agent", "Action slow_lookup performed"),
        ("agent", "I will tell you when I have it."),
    ]
    (late,) = bot.spans("outlived", kind="tool")
    assert (late["parent_span_id"], late["attributes"]["agentsight.turn.id"]) == (turn.turn_id, turn.turn_id)


def test_a_tool_that_outlives_an_unfinished_turn_stays_in_the_archive(bot):
    began, go_on = threading.Event(), threading.Event()

    @agentsight.tool
    def slow_lookup():
        began.set()
        assert go_on.wait(timeout=20)

    with agentsight.conversation("outlived-abandoned"), agentsight.turn():
        outliving = threading.Thread(target=contextvars.copy_context().run, args=(slow_lookup,))
        outliving.start()
        assert began.wait(timeout=20)
        agentsight.abandon_turn()
    bot.flush()
    go_on.set()
    outliving.join()
    bot.flush()

    assert bot.conversation("outlived-abandoned")["messages"] == []
    assert [span["kind"] for span in bot.spans("outlived-abandoned")] == ["turn", "tool"]


def test_the_tokens_of_a_turn_that_comes_in_pieces_are_one_row(new_bot, models):
    bot = new_bot().track(auto_instrument=["openai"])
    client = OpenAI(api_key="none", base_url=models.openai)

    def ask():
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}])

    with agentsight.conversation("tokens-in-pieces"), agentsight.turn() as turn:
        ask()
        outliving = contextvars.copy_context()
    bot.flush()
    (before,) = bot.usage("tokens-in-pieces")
    outliving.run(ask)
    bot.flush()

    (after,) = bot.usage("tokens-in-pieces")
    assert (before["turn_id"], before["calls"], before["total_tokens"]) == (turn.turn_id, 1, 120)
    assert_is(
        after,
        before
        | {
            "prompt_tokens": 120,
            "completion_tokens": 40,
            "cache_read_tokens": 80,
            "reasoning_tokens": 14,
            "total_tokens": 240,
            "calls": 2,
            "cost_usd": after["cost_usd"],
        },
    )


def test_turns_of_one_conversation_from_two_processes_are_one_transcript(bot):
    bot.exchange("two-processes", "from the first", "hello")
    bot.run(
        """
import agentsight

agentsight.init(auto_instrument=False)
with agentsight.conversation("two-processes"), agentsight.turn():
    agentsight.user_message("from the second")
"""
    )

    assert bot.said("two-processes") == [
        ("end_user", "from the first"),
        ("agent", "hello"),
        ("end_user", "from the second"),
    ]
    assert bot.api.conversations.list(conversation_id="two-processes").count() == 1
