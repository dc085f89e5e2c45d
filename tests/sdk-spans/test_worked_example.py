"""One exchange with everything in it: what a customer asked, a tool, a model, and the answer."""

import json

import agentsight
import pytest
from openai import OpenAI

import rows
import span_rows
from expect import assert_is
from models import OPENAI_ROW, answering

MODEL = answering("gpt-4o-mini")


@agentsight.tool
def lookup(order):
    return {"order": order, "status": "shipped"}


@pytest.fixture
def exchange(new_bot, models):
    """The exchange, sent; its bot and the id of its turn."""
    bot = new_bot().track(auto_instrument=["openai"])
    with agentsight.conversation(
        "wa-1",
        customer_id="u1",
        customer_ip_address="203.0.113.7",
        device="mobile",
        source="web",
        language="en",
        name="Order questions",
        metadata={"plan": "pro"},
    ):
        with agentsight.turn("ask") as turn:
            agentsight.user_message("hi", metadata={"locale": "hr"})
            lookup("A-9")
            client = OpenAI(api_key="none", base_url=models.openai)
            client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
            agentsight.agent_message("hello")
    bot.flush()
    return bot, turn.turn_id


def test_the_transcript_has_the_messages_the_tool_s_run_and_the_latency(exchange):
    bot, turn_id = exchange
    turn, ran, called = bot.spans("wa-1")

    conversation = bot.api.conversations.get("wa-1")

    pk = conversation["id"]
    question, answer = (span_rows.in_utc(event["timestamp"]) for event in turn["events"])
    assert_is(
        conversation,
        rows.conversation(
            "wa-1",
            name="Order questions",
            customer_id="u1",
            customer_ip_address="203.0.113.7",
            device="mobile",
            source="web",
            language="en",
            environment="production",
            metadata={"plan": "pro"},
            started_at=turn["started_at"],
            ended_at=answer,
            message_count=3,
            messages=[
                rows.message("end_user", "hi", conversation=pk, timestamp=question, metadata={"locale": "hr"}),
                rows.action_message(
                    "lookup",
                    started_at=ran["started_at"],
                    ended_at=ran["ended_at"],
                    duration_ms=ran["duration_ms"],
                    tools_used={"order": "A-9"},
                    response="{'order': 'A-9', 'status': 'shipped'}",
                )
                | {"timestamp": ran["started_at"]},
                rows.message(
                    "agent",
                    "hello",
                    conversation=pk,
                    timestamp=answer,
                    metadata={"latency_ms": turn["duration_ms"]},
                ),
            ],
            token_usage=conversation["token_usage"],
        ),
    )
    assert turn["started_at"] < question < ran["started_at"] < called["started_at"] < answer


def test_the_model_s_tokens_are_one_row_of_the_turn(exchange):
    bot, turn_id = exchange
    turn = bot.spans("wa-1", kind="turn")[0]

    (row,) = bot.usage("wa-1")

    assert_is(
        row,
        span_rows.usage(
            "wa-1",
            turn_id=turn_id,
            model=MODEL,
            started_at=turn["started_at"],
            ended_at=turn["ended_at"],
            cost_usd=row["cost_usd"],
            cost_source=row["cost_source"],
            **OPENAI_ROW,
        ),
    )


def test_the_conversation_sums_its_tokens_up(exchange):
    bot, _ = exchange

    usage = bot.api.conversations.get("wa-1")["token_usage"]

    cost, sources = usage["cost_usd"], usage["cost_sources"]
    assert_is(
        usage,
        {
            "totals": OPENAI_ROW,
            "cost_usd": cost,
            "cost_sources": sources,
            "models": [{"model": MODEL, "cost_source": sources[0], "cost_usd": cost} | OPENAI_ROW],
        },
    )


def test_every_span_is_in_the_archive_as_it_was_sent(exchange):
    bot, turn_id = exchange

    turn, ran, called = bot.spans("wa-1")

    of_the_conversation = {
        "agentsight.conversation.id": "wa-1",
        "agentsight.conversation.customer_id": "u1",
        "agentsight.conversation.customer_ip": "203.0.113.7",
        "agentsight.conversation.device": "mobile",
        "agentsight.conversation.source": "web",
        "agentsight.conversation.language": "en",
        "agentsight.conversation.name": "Order questions",
        "agentsight.conversation.metadata": '{"plan": "pro"}',
        "agentsight.turn.id": turn_id,
    }
    assert_is(
        turn,
        span_rows.span(
            turn,
            span_id=turn_id,
            parent_span_id=None,
            kind="turn",
            name="ask",
            status="ok",
            attributes=of_the_conversation
            | {
                "agentsight.span.kind": "turn",
                "agentsight.entity.name": "ask",
                "agentsight.turn.complete": True,
            },
            events=[
                {
                    "name": "agentsight.message",
                    "timestamp": turn["events"][0]["timestamp"],
                    "attributes": {
                        "agentsight.message.sender": "end_user",
                        "agentsight.message.content": "hi",
                        "agentsight.message.metadata": '{"locale": "hr"}',
                    },
                },
                {
                    "name": "agentsight.message",
                    "timestamp": turn["events"][1]["timestamp"],
                    "attributes": {"agentsight.message.sender": "agent", "agentsight.message.content": "hello"},
                },
            ],
        ),
    )
    assert_is(
        ran,
        span_rows.span(
            turn,
            span_id=ran["span_id"],
            parent_span_id=turn_id,
            kind="tool",
            name="lookup",
            status="ok",
            attributes=of_the_conversation
            | {
                "agentsight.span.kind": "tool",
                "agentsight.entity.name": "lookup",
                "agentsight.tool.name": "lookup",
                "agentsight.tool.arguments": '{"order": "A-9"}',
                "agentsight.tool.response": "{'order': 'A-9', 'status': 'shipped'}",
            },
        ),
    )
    assert_is(
        called,
        span_rows.span(
            turn,
            span_id=called["span_id"],
            parent_span_id=turn_id,
            kind="llm",
            name=MODEL,
            status="unset",
            attributes=of_the_conversation
            | {
                "agentsight.span.kind": "llm",
                "agentsight.entity.name": MODEL,
                "gen_ai.system": "openai",
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": MODEL,
                "agentsight.llm.requested_model": "gpt-4o-mini",
                "gen_ai.usage.input_tokens": 60,
                "gen_ai.usage.output_tokens": 20,
                "agentsight.llm.cache_read_tokens": 40,
                "agentsight.llm.reasoning_tokens": 7,
            },
        ),
    )


def test_the_trace_shows_what_ran_inside_the_turn(exchange):
    bot, turn_id = exchange
    turn, ran, called = bot.spans("wa-1")

    trace = bot.api.spans.trace(turn["trace_id"])

    assert_is(
        trace,
        {
            "trace_id": turn["trace_id"],
            "span_count": 3,
            "truncated": False,
            "roots": [turn | {"children": [ran | {"children": []}, called | {"children": []}]}],
        },
    )


def test_posting_the_same_bytes_again_changes_nothing(new_bot, relay):
    bot = new_bot(relay.endpoint).track()
    bot.exchange("twice", "hi", "hello")
    before = bot.conversation("twice"), bot.spans("twice"), bot.usage("twice")
    (batch,) = relay.batches()

    again = bot.request("POST", "/api/ingest/", data=batch.body)

    assert (batch.status, again.status_code) == (200, 200)
    assert_is(
        json.loads(batch.answer),
        {
            "accepted": {"conversations": 1, "spans": 1},
            "duplicates": 0,
            "conversations": [{"conversation_id": "twice", "id": before[0]["id"]}],
        },
    )
    assert again.json()["duplicates"] == 1
    assert (bot.conversation("twice"), bot.spans("twice"), bot.usage("twice")) == before
