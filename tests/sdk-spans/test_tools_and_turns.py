"""What ran in a conversation: tools and tasks, inside a turn or not, that work or fail; turns within turns."""

import asyncio

import agentsight
import pytest

import rows
from expect import assert_is


@agentsight.tool
def lookup(order, *, carrier="any"):
    return {"status": "shipped"}


@agentsight.tool(name="fallback_to_human")
def hand_over():
    return None


@agentsight.task
def rank(offers):
    return sorted(offers)


@agentsight.tool
def charge_card(amount):
    raise PermissionError("card expired")


def test_a_tool_outside_a_turn_is_a_line_of_the_transcript(bot):
    with agentsight.conversation("no-turn"):
        lookup("A-9", carrier="post")
    bot.flush()

    (ran,) = bot.spans("no-turn")
    conversation = bot.conversation("no-turn")
    assert_is(
        conversation,
        rows.conversation(
            "no-turn",
            environment="production",
            started_at=ran["started_at"],
            ended_at=ran["started_at"],
            message_count=1,
            messages=[
                rows.action_message(
                    "lookup",
                    started_at=ran["started_at"],
                    ended_at=ran["ended_at"],
                    duration_ms=ran["duration_ms"],
                    tools_used={"order": "A-9", "carrier": "post"},
                    response="{'status': 'shipped'}",
                )
            ],
        ),
    )
    assert "agentsight.turn.id" not in ran["attributes"]


def test_a_task_is_recorded_like_a_tool(bot):
    with agentsight.conversation("task"), agentsight.turn():
        agentsight.user_message("the best offer?")
        rank([3, 1, 2])
    bot.flush()

    (ran,) = bot.spans("task", kind="task")
    assert_is(
        bot.conversation("task")["messages"],
        [
            rows.message("end_user", "the best offer?"),
            rows.action_message(
                "rank",
                started_at=ran["started_at"],
                ended_at=ran["ended_at"],
                duration_ms=ran["duration_ms"],
                tools_used={"offers": [3, 1, 2]},
                response="[1, 2, 3]",
            ),
        ],
    )


def test_a_failed_tool_keeps_its_error_and_does_not_spoil_the_turn(bot):
    with agentsight.conversation("failed-tool"), agentsight.turn():
        agentsight.user_message("charge me")
        with pytest.raises(PermissionError):
            charge_card(12)
        agentsight.agent_message("Your card has expired.")
    bot.flush()

    (ran,) = bot.spans("failed-tool", status="error")
    question, failed, answer = bot.conversation("failed-tool")["messages"]
    assert_is(
        failed,
        rows.action_message(
            "charge_card",
            started_at=ran["started_at"],
            ended_at=ran["ended_at"],
            duration_ms=ran["duration_ms"],
            tools_used={"amount": 12},
            error_message="card expired",
        ),
    )
    assert (question["content"], answer["content"]) == ("charge me", "Your card has expired.")
    assert {event["attributes"]["exception.type"] for event in ran["events"]} == {"PermissionError"}


def test_a_tool_that_returns_nothing_has_an_empty_response(bot):
    with agentsight.conversation("nothing"):
        hand_over()
    bot.flush()

    (message,) = bot.conversation("nothing")["messages"]
    assert (message["content"], message["action_name"]) == (
        "Action fallback_to_human performed",
        "fallback_to_human",
    )
    (log,) = message["action_logs"]
    assert (log["tools_used"], log["response"]) == ({}, "")


def test_arguments_too_long_for_the_sdk_are_kept_as_far_as_it_sends_them(bot):
    with agentsight.conversation("long"):
        lookup("A" * 20_000)
    bot.flush()

    (ran,) = bot.spans("long")
    log = bot.conversation("long")["messages"][0]["action_logs"][0]
    assert len(ran["attributes"]["agentsight.tool.arguments"]) <= 16_384
    assert log["tools_used"]["carrier"] == "any"
    assert log["tools_used"]["order"].endswith("A...[truncated]")


def test_two_runs_of_a_tool_are_two_logs_of_one_action(bot):
    with agentsight.conversation("two-runs"), agentsight.turn():
        lookup("A-1")
        lookup("A-2")
    bot.flush()

    logs = [message["action_logs"][0] for message in bot.conversation("two-runs")["messages"]]
    assert [log["tools_used"]["order"] for log in logs] == ["A-1", "A-2"]
    assert logs[0]["action"] == logs[1]["action"]
    assert logs[0]["id"] != logs[1]["id"]


def test_tools_that_run_at_once_each_have_their_own_log(bot):
    @agentsight.tool
    async def fetch(city):
        await asyncio.sleep(0)
        return city.upper()

    async def serve():
        with agentsight.conversation("at-once"):
            async with agentsight.turn():
                agentsight.user_message("the weather?")
                await asyncio.gather(fetch("split"), fetch("zadar"), fetch("pula"))

    asyncio.run(serve())
    bot.flush()

    logs = [message["action_logs"] for message in bot.conversation("at-once")["messages"]]
    assert logs[0] == []
    assert sorted((log["tools_used"]["city"], log["response"]) for (log,) in logs[1:]) == [
        ("pula", "PULA"),
        ("split", "SPLIT"),
        ("zadar", "ZADAR"),
    ]


def test_a_tool_that_calls_a_tool_hangs_below_it_in_the_trace(bot):
    @agentsight.tool
    def plan():
        return lookup("A-9")

    with agentsight.conversation("nested-tools"), agentsight.turn() as turn:
        plan()
    bot.flush()

    assert [content for _, content in bot.said("nested-tools")] == [
        "Action plan performed",
        "Action lookup performed",
    ]
    (root,) = bot.api.spans.trace(bot.spans("nested-tools")[0]["trace_id"])["roots"]
    (planned,) = root["children"]
    (looked_up,) = planned["children"]
    assert (root["span_id"], planned["name"], looked_up["name"]) == (turn.turn_id, "plan", "lookup")


def test_a_turn_within_a_turn_has_its_own_messages_and_latency(bot):
    with agentsight.conversation("nested"):
        with agentsight.turn("outer"):
            agentsight.user_message("plan my trip")
            with agentsight.turn("inner"):
                agentsight.user_message("find a hotel")
                lookup("hotel")
                agentsight.agent_message("found one")
            agentsight.agent_message("all planned")
    bot.flush()

    outer, inner = bot.spans("nested", kind="turn")
    messages = bot.conversation("nested")["messages"]
    assert [message["content"] for message in messages] == [
        "plan my trip",
        "find a hotel",
        "Action lookup performed",
        "found one",
        "all planned",
    ]
    assert [message["metadata"] for message in messages] == [
        {},
        {},
        {},
        {"latency_ms": inner["duration_ms"]},
        {"latency_ms": outer["duration_ms"]},
    ]
    assert inner["parent_span_id"] == outer["span_id"]


def test_an_inner_turn_that_fails_leaves_the_outer_one_whole(bot):
    with agentsight.conversation("inner-fails"), agentsight.turn("outer"):
        agentsight.user_message("plan my trip")
        with pytest.raises(LookupError), agentsight.turn("inner"):
            agentsight.user_message("find a hotel")
            lookup("hotel")
            raise LookupError
        agentsight.agent_message("there is no hotel")
    bot.flush()

    assert bot.said("inner-fails") == [("end_user", "plan my trip"), ("agent", "there is no hotel")]


def test_several_messages_of_either_side_are_kept_in_order_and_the_last_answer_has_the_latency(bot):
    with agentsight.conversation("many-messages"), agentsight.turn():
        agentsight.user_message("hello")
        agentsight.agent_message("good day")
        agentsight.user_message("my order?", metadata={"order": "A-9"})
        agentsight.agent_message("one moment")
        agentsight.agent_message("shipped", metadata={"score": 0.5})
    bot.flush()

    (turn,) = bot.spans("many-messages")
    assert_is(
        bot.conversation("many-messages")["messages"],
        [
            rows.message("end_user", "hello"),
            rows.message("agent", "good day"),
            rows.message("end_user", "my order?", metadata={"order": "A-9"}),
            rows.message("agent", "one moment"),
            rows.message("agent", "shipped", metadata={"score": 0.5, "latency_ms": turn["duration_ms"]}),
        ],
    )


def test_the_application_s_own_latency_is_left_alone(bot):
    with agentsight.conversation("own-latency"), agentsight.turn():
        agentsight.user_message("hello")
        agentsight.agent_message("good day", metadata={"latency_ms": 3})
    bot.flush()

    assert_is(bot.conversation("own-latency")["messages"][1]["metadata"], {"latency_ms": 3})


def test_a_message_outside_a_turn_stands_alone_and_has_no_latency(bot):
    with agentsight.conversation("nudge"):
        agentsight.agent_message("Are you still there?")
    bot.flush()

    assert_is(bot.conversation("nudge")["messages"], [rows.message("agent", "Are you still there?")])
    assert [(span["kind"], span["name"]) for span in bot.spans("nudge")] == [("turn", "message")]


def test_an_empty_message_is_kept(bot):
    with agentsight.conversation("empty"), agentsight.turn():
        agentsight.user_message("")
    bot.flush()

    assert bot.said("empty") == [("end_user", "")]


def test_text_comes_back_as_it_was_said(bot):
    text = "Grüße aus Čakovec 👋🏽\n\t<b>“ok”</b> \u200d end"
    with agentsight.conversation("text"), agentsight.turn():
        agentsight.user_message(text, metadata={"note": text})
    bot.flush()

    (message,) = bot.conversation("text")["messages"]
    assert (message["content"], message["metadata"]) == (text, {"note": text})


def test_lone_surrogates_and_nul_do_not_cost_the_batch(bot):
    with agentsight.conversation("surrogates"), agentsight.turn():
        agentsight.user_message("half \ud83d of it, and \x00 nothing")
        agentsight.agent_message("good day")
    bot.flush()

    assert bot.said("surrogates") == [("end_user", "half \ufffd of it, and  nothing"), ("agent", "good day")]


def test_a_decorated_handler_is_a_turn_with_its_input_and_output(bot):
    @agentsight.turn(id_from="session", infer=True, customer_id="u1")
    def handle(session, text):
        return f"you said {text}"

    handle("decorated", "hello")
    bot.flush()

    conversation = bot.conversation("decorated")
    assert conversation["customer_id"] == "u1"
    assert bot.said("decorated") == [("end_user", "hello"), ("agent", "you said hello")]


def test_a_streamed_answer_takes_as_long_as_it_is_read(bot):
    def answer():
        yield "It comes"
        agentsight.agent_message("It comes tomorrow.")
        yield " tomorrow."

    with agentsight.conversation("streamed"), agentsight.turn():
        agentsight.user_message("When?")
        stream = agentsight.wrap(answer())
    assert "".join(stream) == "It comes tomorrow."
    bot.flush()

    (turn,) = bot.spans("streamed")
    assert_is(
        bot.conversation("streamed")["messages"],
        [
            rows.message("end_user", "When?"),
            rows.message("agent", "It comes tomorrow.", metadata={"latency_ms": turn["duration_ms"]}),
        ],
    )


def test_traffic_that_is_switched_off_leaves_nothing(bot):
    with agentsight.conversation("off", enabled=False), agentsight.turn():
        agentsight.user_message("a rehearsal")
        lookup("A-9")
    bot.flush()

    assert bot.api.conversations.list().count() == 0
