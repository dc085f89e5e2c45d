"""A turn that did not end well: nothing of it is in the transcript, all of it is in the archive, its tokens count."""

import asyncio
import concurrent.futures

import agentsight
import pytest
from openai import OpenAI

import span_rows
from bots import awaited
from expect import assert_is
from models import OPENAI_ROW, answering


@pytest.fixture
def bot(new_bot):
    return new_bot().track(auto_instrument=["openai"])


@pytest.fixture
def work(models):
    """What a turn does before it fails: a question, a tool, a model."""
    client = OpenAI(api_key="none", base_url=models.openai)

    def work():
        agentsight.user_message("Where is my parcel?")
        lookup("A-9")
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}])

    return work


@agentsight.tool
def lookup(order):
    return "shipped"


def assert_kept_out_of_the_transcript(bot, conversation_id, reason):
    """No message; the turn and its two children in the archive; the tokens marked with the reason."""
    conversation = bot.conversation(conversation_id)
    assert (conversation["is_used"], conversation["messages"], conversation["message_count"]) == (True, [], 0)
    turn, *children = bot.spans(conversation_id)
    assert [turn["kind"], *(child["kind"] for child in children)] == ["turn", "tool", "llm"]
    assert (turn["status"], turn["attributes"]["agentsight.turn.complete"]) == ("error", False)
    assert turn["attributes"]["agentsight.turn.incomplete_reason"] == reason
    assert {child["parent_span_id"] for child in children} == {turn["span_id"]}
    assert_is(
        bot.usage(conversation_id),
        [
            span_rows.usage(
                conversation_id,
                turn_id=turn["span_id"],
                model=answering("gpt-4o-mini"),
                incomplete=True,
                incomplete_reason=reason,
                started_at=turn["started_at"],
                ended_at=turn["ended_at"],
                cost_usd=bot.usage(conversation_id)[0]["cost_usd"],
                cost_source=bot.usage(conversation_id)[0]["cost_source"],
                **OPENAI_ROW,
            )
        ],
    )


def test_a_turn_that_raises_is_an_error_and_the_exception_is_the_application_s(bot, work):
    with pytest.raises(LookupError, match="no such parcel"):
        with agentsight.conversation("raises"), agentsight.turn():
            work()
            raise LookupError("no such parcel")
    bot.flush()

    assert_kept_out_of_the_transcript(bot, "raises", "error")
    exception = bot.spans("raises", kind="turn")[0]["events"][-1]
    assert exception["name"] == "exception"
    assert exception["attributes"]["exception.type"] == "LookupError"
    assert exception["attributes"]["exception.message"] == "no such parcel"


def test_a_turn_that_the_application_abandons_has_no_answer(bot, work):
    with agentsight.conversation("abandoned"), agentsight.turn():
        work()
        agentsight.abandon_turn()
    bot.flush()

    assert_kept_out_of_the_transcript(bot, "abandoned", "abandoned")


def test_a_stream_that_the_customer_leaves_is_abandoned(bot, work):
    def answer():
        work()
        yield "It comes"
        agentsight.agent_message("It comes tomorrow.")
        yield " tomorrow."

    with agentsight.conversation("left"), agentsight.turn():
        stream = agentsight.wrap(answer())
    assert next(stream) == "It comes"
    stream.close()
    bot.flush()

    assert_kept_out_of_the_transcript(bot, "left", "abandoned")


def test_a_task_that_is_cancelled_is_abandoned(bot, work):
    async def serve():
        with agentsight.conversation("cancelled"), agentsight.turn():
            work()
            task = agentsight.wrap(asyncio.ensure_future(asyncio.Event().wait()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(serve())
    bot.flush()

    assert_kept_out_of_the_transcript(bot, "cancelled", "abandoned")


def test_a_turn_whose_work_never_ends_hits_its_deadline(new_bot, work):
    bot = new_bot().track(auto_instrument=["openai"], turn_timeout_ms=1)
    with agentsight.conversation("deadline"), agentsight.turn():
        work()
        agentsight.wrap(concurrent.futures.Future())

    def turn_arrived():
        bot.flush()
        return bot.spans("deadline", kind="turn")

    awaited(turn_arrived)

    assert_kept_out_of_the_transcript(bot, "deadline", "deadline")


def test_a_turn_that_is_open_when_the_process_ends_says_so(bot, work):
    with agentsight.conversation("shutdown"), agentsight.turn() as turn:
        work()
        turn.keep_open()
    agentsight.shutdown()

    assert_kept_out_of_the_transcript(bot, "shutdown", "shutdown")


def test_a_process_that_just_ends_sends_what_it_has(bot):
    bot.run(
        """
import agentsight

agentsight.init(auto_instrument=False)
with agentsight.conversation("exits"):
    with agentsight.turn():
        agentsight.user_message("bye")
    with agentsight.turn() as turn:
        agentsight.user_message("and another thing")
        turn.keep_open()
"""
    )

    assert bot.said("exits") == [("end_user", "bye")]
    assert [span["attributes"].get("agentsight.turn.incomplete_reason") for span in bot.spans("exits")] == [
        None,
        "shutdown",
    ]


def test_children_of_a_turn_that_never_comes_stay_in_the_archive_alone(bot):
    # A plain block that is still open in a thread when the process ends: its turn cannot be sent.
    bot.run(
        """
import threading

import agentsight

agentsight.init(auto_instrument=False)
inside = threading.Event()

def serve():
    with agentsight.conversation("orphans"), agentsight.turn():
        agentsight.tool(lambda: "done", name="lookup")()
        inside.set()
        threading.Event().wait()

threading.Thread(target=serve, daemon=True).start()
inside.wait()
"""
    )

    conversation = bot.conversation("orphans")
    (orphan,) = bot.spans("orphans")
    assert (conversation["is_used"], conversation["messages"]) == (True, [])
    assert (orphan["kind"], orphan["name"]) == ("tool", "lookup")
    assert orphan["attributes"]["agentsight.turn.id"] == orphan["parent_span_id"]
    (root,) = bot.api.spans.trace(orphan["trace_id"])["roots"]
    assert root == orphan | {"children": []}


def test_the_next_turn_of_the_conversation_is_not_held_against_it(bot):
    with agentsight.conversation("second-try"):
        with pytest.raises(ConnectionError), agentsight.turn():
            agentsight.user_message("first try")
            raise ConnectionError
        with agentsight.turn():
            agentsight.user_message("second try")
            agentsight.agent_message("good day")
    bot.flush()

    assert bot.said("second-try") == [("end_user", "second try"), ("agent", "good day")]
