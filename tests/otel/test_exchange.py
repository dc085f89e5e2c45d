"""Two turns with a tool, the second streamed and with the history repeated, and one that fails: as every instrumentation
tells them, and as they read here."""

import pytest

from models import answering

ANSWER = "It comes tomorrow."
TOLD = [
    ("end_user", "Where is A-9?"),
    ("agent", "Action lookup performed"),
    ("agent", ANSWER),
    ("end_user", "And when?"),
    ("agent", ANSWER),
]
MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-5"
# Prompt, completion, read from a cache, reasoning.
WHOLE = (60, 20, 40, 7)
WITHOUT_REASONING = (60, 20, 40, 0)
WITHOUT_DETAILS = (100, 20, 0, 0)
NOTHING = (0, 0, 0, 0)
OF_CLAUDE = (30, 12, 200, 0)
OF_CLAUDE_WITHOUT_CACHE = (30, 12, 0, 0)
# What instrumentations tell of the two calls of the first turn, and of the streamed one, where it is not the whole.
USAGE = {
    "conventions": [WITHOUT_DETAILS] * 3,
    "conventions-grpc": [WITHOUT_DETAILS] * 3,
    "conventions-gzip": [WITHOUT_DETAILS] * 3,
    "conventions-events": [WITHOUT_DETAILS] * 3,
    "conventions-events-grpc": [WITHOUT_DETAILS] * 3,
    "openllmetry-events": [WHOLE, WHOLE, WITHOUT_REASONING],
    # It counts the first token of a stream twice.
    "openllmetry-anthropic": [OF_CLAUDE, OF_CLAUDE, (30, 13, 200, 0)],
    "openinference-anthropic": [OF_CLAUDE] * 3,
    "openllmetry-llamaindex": [OF_CLAUDE, OF_CLAUDE, OF_CLAUDE_WITHOUT_CACHE],
    "openinference-llamaindex": [OF_CLAUDE, OF_CLAUDE, OF_CLAUDE_WITHOUT_CACHE],
    "openllmetry": [WHOLE, WHOLE, WITHOUT_REASONING],
    "openllmetry-langchain": [WITHOUT_REASONING] * 3,
    "node-openinference": [WHOLE, WHOLE, NOTHING],
    "node-openllmetry": [WITHOUT_DETAILS, WITHOUT_DETAILS, NOTHING],
}
# These name the model of a streamed answer as it was asked for, not as it answered.
NAMED_AS_ASKED = {"openllmetry-langchain", "openinference-langchain", "node-openinference"}
# This one names it so in every call, and this one does not name it at all.
ALWAYS_NAMED_AS_ASKED = {"openinference-llamaindex"}
UNNAMED_STREAM = {"openllmetry-llamaindex"}
# The instrumentation tells of no call that failed.
SILENT_ABOUT_FAILURES = {"node-openinference", "node-openllmetry", "openllmetry-llamaindex"}
# Nor of a tool that failed.
SILENT_ABOUT_FAILED_TOOLS = {"openllmetry-llamaindex"}
# A model that fails under its usual name.
FAILS_BY_ADDRESS = {"openinference-llamaindex"}
# It gives the one argument of a tool without its name.
NAMELESS_ARGUMENTS = {"openinference-langchain"}

PYTHON = [
    "conventions",
    "conventions-grpc",
    "conventions-gzip",
    "conventions-events",
    "conventions-events-grpc",
    "openllmetry",
    "openllmetry-events",
    "openllmetry-anthropic",
    "openllmetry-llamaindex",
    "openllmetry-langchain",
    "openinference",
    "openinference-anthropic",
    "openinference-langchain",
    "openinference-llamaindex",
    "langfuse",
]
NODE = ["node-proto", "node-json", "node-grpc", "vercel", "node-openinference", "node-openllmetry"]
ALL = PYTHON + NODE


@pytest.mark.parametrize("bot", ALL)
def test_what_was_said_is_told_once_and_in_order(bots, bot):
    assert bots(bot).transcript("helpdesk") == TOLD


@pytest.mark.parametrize("bot", ALL)
def test_the_conversations_are_those_that_the_bot_named(bots, bot):
    seen = bots(bot)
    assert seen.conversations() == ["failed", "helpdesk"]
    assert {seen.conversation(name)["customer_id"] for name in ("failed", "helpdesk")} == {"u-7"}


@pytest.mark.parametrize("bot", ALL)
def test_a_tool_is_an_action_log_with_its_arguments_and_what_it_said(bots, bot):
    [log] = bots(bot).action_logs("helpdesk")

    assert log["tools_used"] == ({"raw": "A-9"} if bot in NAMELESS_ARGUMENTS else {"order": "A-9"})
    assert (log["response"], log["error_message"]) == ("A-9 is shipped", "")


@pytest.mark.parametrize("bot", ALL)
def test_a_tool_that_failed_says_why(bots, bot):
    if bot in SILENT_ABOUT_FAILED_TOOLS:
        pytest.skip("its instrumentation makes no span of a tool that failed")
    [log] = bots(bot).action_logs("failed")

    assert (log["response"], log["error_message"]) == ("", "no money")


@pytest.mark.parametrize("bot", ALL)
def test_every_call_of_a_model_is_counted_once(bots, bot):
    rows = sorted(bots(bot).usage("helpdesk"), key=lambda row: row["started_at"])

    assert [row["calls"] for row in rows] == [1, 1, 1]
    columns = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "reasoning_tokens")
    assert [tuple(row[column] for column in columns) for row in rows] == USAGE.get(bot, [WHOLE] * 3)
    model = CLAUDE if bot.endswith(("-anthropic", "-llamaindex")) else MODEL
    named = model if bot in ALWAYS_NAMED_AS_ASKED else answering(model)
    streamed = model if bot in NAMED_AS_ASKED else named
    streamed = None if bot in UNNAMED_STREAM else streamed
    assert [row["model"] for row in rows] == [named, named, streamed]


@pytest.mark.parametrize("bot", ALL)
def test_a_call_that_failed_is_there_with_its_error(bots, bot):
    if bot in SILENT_ABOUT_FAILURES:
        pytest.skip("its instrumentation makes no span of a call that failed")
    seen = bots(bot)
    calls = [span for span in seen.spans("failed", kind="llm") if span["status"] == "error"]

    # Two instrumentations may have seen it, of which one says why.
    assert any("the model is broken" in str(seen.get(f"/api/spans/{call['id']}/", payload="true")) for call in calls)
    assert seen.transcript("failed")[0] == ("end_user", "Hello?")
    # A tool's failure is there beside it, and nobody has answered.
    assert ("agent", "Action refund performed") in seen.transcript("failed")
    assert {row["model"] for row in seen.usage("failed")} >= {CLAUDE if bot in FAILS_BY_ADDRESS else "gpt-broken"}


@pytest.mark.parametrize("bot", ALL)
def test_every_span_that_was_exported_is_kept(bots, bot):
    seen = bots(bot)
    if "grpc" in bot:
        assert seen.spans("helpdesk")
        return
    exported = [
        span["spanId"]
        for export in seen.exports
        for resource in export.get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    spans = [span for name in ("helpdesk", "failed") for span in seen.spans(name)]
    # Events that came as log records are kept beside them.
    kept = [span["span_id"] for span in spans if span["kind"] != "event"]
    assert sorted(kept) == sorted(exported)
