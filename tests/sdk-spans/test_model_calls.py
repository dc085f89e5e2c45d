"""Calls of OpenAI and Anthropic that the SDK records by itself: which model, how many tokens, of which kind."""

import agentsight
import anthropic
import openai
import pytest

import span_rows
from expect import assert_is
from models import ANSWER, ANTHROPIC_ROW, EMBEDDING_ROW, OPENAI_ROW, answering

QUESTION = [{"role": "user", "content": "When does it come?"}]


@pytest.fixture
def bot(new_bot):
    return new_bot().track(auto_instrument=["openai", "anthropic"])


@pytest.fixture
def gpt(models):
    return openai.OpenAI(api_key="none", base_url=models.openai, max_retries=0)


@pytest.fixture
def claude(models):
    return anthropic.Anthropic(api_key="none", base_url=models.anthropic, max_retries=0)


@pytest.fixture
def claude_s(claude):
    """A call of Claude, of which only the model differs."""
    return lambda model="claude-sonnet-5", **options: claude.messages.create(
        model=model, max_tokens=64, messages=QUESTION, **options
    )


def assert_usage(bot, conversation_id, turn, *rows):
    """These rows and no other, all of this turn, whose times they have."""
    (span,) = bot.spans(conversation_id, kind="turn")
    recorded = sorted(bot.usage(conversation_id), key=lambda row: row["model"])
    expected = [
        span_rows.usage(
            conversation_id,
            turn_id=turn.turn_id,
            started_at=span["started_at"],
            ended_at=span["ended_at"],
            cost_usd=stored["cost_usd"],
            cost_source=stored["cost_source"],
            **row,
        )
        for row, stored in zip(rows, recorded, strict=True)
    ]
    assert_is(recorded, expected)


def llm_span(bot, conversation_id):
    (span,) = bot.spans(conversation_id, kind="llm")
    return span


def test_a_chat_with_openai_counts_its_cached_input_apart(bot, gpt):
    with agentsight.conversation("chat"), agentsight.turn() as turn:
        said = gpt.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
    bot.flush()

    assert said.choices[0].message.content == "".join(ANSWER)
    assert_usage(bot, "chat", turn, {"model": answering("gpt-4o-mini")} | OPENAI_ROW)
    assert llm_span(bot, "chat")["attributes"]["agentsight.llm.requested_model"] == "gpt-4o-mini"


def test_a_streamed_chat_counts_the_same_and_the_application_sees_no_difference(bot, gpt):
    with agentsight.conversation("chat-streamed"), agentsight.turn() as turn:
        stream = gpt.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, stream=True)
        said = [chunk.choices[0].delta.content for chunk in stream]
    bot.flush()

    assert said == ["", *ANSWER, None]
    assert_usage(bot, "chat-streamed", turn, {"model": answering("gpt-4o-mini")} | OPENAI_ROW)
    assert llm_span(bot, "chat-streamed")["attributes"]["agentsight.llm.streaming"] is True


def test_a_stream_that_never_says_what_it_used_is_counted_as_unreported(bot, gpt):
    with agentsight.conversation("mute"), agentsight.turn() as turn:
        list(gpt.chat.completions.create(model="gpt-mute", messages=QUESTION, stream=True))
    bot.flush()

    assert_usage(bot, "mute", turn, {"model": "gpt-mute", "unreported_calls": 1})
    assert llm_span(bot, "mute")["attributes"]["agentsight.llm.usage_reported"] is False


def test_tool_calls_and_their_answer_are_two_calls_of_one_row(bot, gpt):
    tools = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]

    @agentsight.tool
    def lookup(order):
        return "shipped"

    with agentsight.conversation("tool-calls"), agentsight.turn() as turn:
        agentsight.user_message("Where is A-9?")
        asked = gpt.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, tools=tools).choices[0].message
        (call,) = asked.tool_calls
        found = {"role": "tool", "tool_call_id": call.id, "content": lookup("A-9")}
        said = gpt.chat.completions.create(model="gpt-4o-mini", messages=[*QUESTION, asked, found], tools=tools)
        agentsight.agent_message(said.choices[0].message.content)
    bot.flush()

    assert (call.function.name, call.function.arguments) == ("lookup", '{"order": "A-9"}')
    assert [content for _, content in bot.said("tool-calls")] == [
        "Where is A-9?",
        "Action lookup performed",
        "It comes tomorrow.",
    ]
    twice = {name: 2 * tokens for name, tokens in OPENAI_ROW.items()}
    assert_usage(bot, "tool-calls", turn, {"model": answering("gpt-4o-mini"), "calls": 2} | twice)
    assert [span["kind"] for span in bot.spans("tool-calls")] == ["turn", "llm", "tool", "llm"]


def test_an_embedding_is_counted_by_itself(bot, gpt):
    with agentsight.conversation("embedding"), agentsight.turn() as turn:
        gpt.embeddings.create(model="text-embedding-3-small", input="Where is A-9?")
    bot.flush()

    assert_usage(bot, "embedding", turn, {"model": "text-embedding-3-small"} | EMBEDDING_ROW)
    assert llm_span(bot, "embedding")["attributes"]["gen_ai.operation.name"] == "embeddings"


def test_two_models_of_one_turn_are_two_rows(bot, gpt, claude_s):
    with agentsight.conversation("two-models"), agentsight.turn() as turn:
        gpt.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
        claude_s()
    bot.flush()

    assert_usage(
        bot,
        "two-models",
        turn,
        {"model": answering("claude-sonnet-5")} | ANTHROPIC_ROW,
        {"model": answering("gpt-4o-mini")} | OPENAI_ROW,
    )


def test_a_message_of_claude_counts_what_it_reads_from_and_writes_to_its_cache(bot, claude_s):
    with agentsight.conversation("claude"), agentsight.turn() as turn:
        said = claude_s()
    bot.flush()

    assert said.content[0].text == "".join(ANSWER)
    assert_usage(bot, "claude", turn, {"model": answering("claude-sonnet-5")} | ANTHROPIC_ROW)
    assert llm_span(bot, "claude")["attributes"]["gen_ai.system"] == "anthropic"


@pytest.mark.parametrize("way", ["create", "stream"])
def test_both_ways_of_streaming_claude_count_the_same(bot, claude, claude_s, way):
    with agentsight.conversation("claude-streamed"), agentsight.turn() as turn:
        if way == "create":
            said = [event.delta.text for event in claude_s(stream=True) if event.type == "content_block_delta"]
        else:
            with claude.messages.stream(model="claude-sonnet-5", max_tokens=64, messages=QUESTION) as stream:
                said = list(stream.text_stream)
    bot.flush()

    assert said == ANSWER
    assert_usage(bot, "claude-streamed", turn, {"model": answering("claude-sonnet-5")} | ANTHROPIC_ROW)
    assert llm_span(bot, "claude-streamed")["attributes"]["agentsight.llm.streaming"] is True


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_call_that_is_refused_is_a_call_without_tokens(bot, gpt, claude_s, provider, streaming):
    with agentsight.conversation("refused"), agentsight.turn() as turn:
        agentsight.user_message("When?")
        if provider == "openai":
            with pytest.raises(openai.BadRequestError):
                gpt.chat.completions.create(model="gpt-broken", messages=QUESTION, stream=streaming)
        else:
            with pytest.raises(anthropic.BadRequestError):
                claude_s("claude-broken", stream=streaming)
        agentsight.agent_message("I cannot say.")
    bot.flush()

    assert bot.said("refused") == [("end_user", "When?"), ("agent", "I cannot say.")]
    failed = llm_span(bot, "refused")
    assert (failed["status"], failed["events"][0]["name"]) == ("error", "exception")
    assert "the model is broken" in failed["attributes"]["agentsight.llm.error"]
    unreported = 0 if "agentsight.llm.usage_reported" not in failed["attributes"] else 1
    model = "gpt-broken" if provider == "openai" else "claude-broken"
    assert_usage(bot, "refused", turn, {"model": model, "unreported_calls": unreported})


def test_a_stream_that_breaks_off_counts_what_was_said_by_then(bot, claude_s):
    with agentsight.conversation("cut"):
        with pytest.raises(Exception, match="closed connection"), agentsight.turn() as turn:
            agentsight.user_message("When?")
            list(claude_s("claude-cut", stream=True))
    bot.flush()

    assert bot.conversation("cut")["messages"] == []
    assert llm_span(bot, "cut")["status"] == "error"
    spoken = ANTHROPIC_ROW | {"completion_tokens": 1, "total_tokens": 281}
    ended = {"incomplete": True, "incomplete_reason": "error"}
    assert_usage(bot, "cut", turn, {"model": answering("claude-cut")} | spoken | ended)


def test_a_call_outside_a_turn_is_a_row_of_its_own(bot, gpt):
    with agentsight.conversation("no-turn"):
        for _ in range(2):
            gpt.embeddings.create(model="text-embedding-3-small", input="Where is A-9?")
    bot.flush()

    spans, rows = bot.spans("no-turn"), bot.usage("no-turn")
    assert_is(
        rows,
        [
            span_rows.usage(
                "no-turn",
                model="text-embedding-3-small",
                started_at=span["started_at"],
                ended_at=span["ended_at"],
                cost_usd=row["cost_usd"],
                cost_source=row["cost_source"],
                **EMBEDDING_ROW,
            )
            for span, row in zip(spans, rows, strict=True)
        ],
    )
    assert len(rows) == 2


def test_a_call_outside_a_conversation_is_not_ours(bot, gpt):
    gpt.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
    bot.flush()

    assert bot.api.spans.list().count() == 0


def test_a_known_model_is_priced_by_the_server(bot, gpt):
    with agentsight.conversation("priced"), agentsight.turn():
        gpt.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
    bot.flush()

    (row,) = bot.usage("priced")
    assert row["cost_source"] == "backend"
    assert float(row["cost_usd"]) > 0
