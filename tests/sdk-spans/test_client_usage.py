"""`agentsight.api`: token usage, its rows and its sums."""

from datetime import datetime

import agentsight
import anthropic
import openai
import pytest
from agentsight import ValidationError

from expect import assert_is
from models import answering

GPT, CLAUDE = answering("gpt-4o-mini"), answering("claude-sonnet-5")
QUESTION = [{"role": "user", "content": "?"}]


@pytest.fixture
def spent(new_bot, models):
    """Three turns with two models: one with both, one unfinished, one in development."""
    bot = new_bot().track(auto_instrument=["openai", "anthropic"])
    gpt = openai.OpenAI(api_key="none", base_url=models.openai, max_retries=0)
    claude = anthropic.Anthropic(api_key="none", base_url=models.anthropic, max_retries=0)

    def ask_gpt():
        gpt.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)

    with agentsight.conversation("both"), agentsight.turn() as bot.both:
        ask_gpt()
        ask_gpt()
        claude.messages.create(model="claude-sonnet-5", max_tokens=64, messages=QUESTION)
    with agentsight.conversation("unfinished"), agentsight.turn():
        ask_gpt()
        agentsight.abandon_turn()
    with agentsight.conversation("in-development", environment="dev"), agentsight.turn():
        ask_gpt()
    bot.flush()
    return bot


def found(bot, **filters):
    return [(row["conversation_id"], row["model"]) for row in bot.api.usage.list(**filters)]


def test_usage_is_listed_newest_first_a_row_per_turn_and_model(spent):
    rows = found(spent)

    assert rows[:2] == [("in-development", GPT), ("unfinished", GPT)]
    assert sorted(rows[2:]) == [("both", CLAUDE), ("both", GPT)]


@pytest.mark.parametrize(
    "filters, expected",
    [
        ({"model": CLAUDE}, [("both", CLAUDE)]),
        ({"model": "gpt-4o-mini"}, []),
        ({"conversation_id": "unfinished"}, [("unfinished", GPT)]),
        ({"environment": "development"}, [("in-development", GPT)]),
        ({"environment": "production", "model": GPT}, [("unfinished", GPT), ("both", GPT)]),
        ({"incomplete": True}, [("unfinished", GPT)]),
        ({"incomplete": False, "model": GPT}, [("in-development", GPT), ("both", GPT)]),
        ({"cost_source": "reported"}, []),
        ({"ordering": "total_tokens", "conversation_id": "both"}, [("both", GPT), ("both", CLAUDE)]),
        ({"ordering": "started_at", "model": GPT}, [("both", GPT), ("unfinished", GPT), ("in-development", GPT)]),
    ],
    ids=str,
)
def test_each_filter_of_usage_selects_rows_and_sums_alike(spent, filters, expected):
    assert found(spent, **filters) == expected
    summed = spent.api.usage.summary(**filters)["results"]
    assert sum(group["rows"] for group in summed) == len(expected)


def test_a_turn_or_a_conversation_s_key_finds_its_rows(spent):
    pk = spent.api.conversations.resolve("both")

    for filters in ({"turn_id": spent.both.turn_id}, {"conversation": pk}):
        assert sorted(found(spent, **filters)) == [("both", CLAUDE), ("both", GPT)]


def test_the_bounds_of_time_are_those_of_the_turn_and_inclusive(spent):
    (turn,) = spent.spans("unfinished", kind="turn")
    at = datetime.fromisoformat(turn["started_at"])

    assert found(spent, started_at_after=at, started_at_before=at) == [("unfinished", GPT)]


def test_an_environment_that_the_agent_has_not_is_refused(spent):
    for attempt in (
        lambda: found(spent, environment="staging"),
        lambda: spent.api.usage.summary(environment="staging"),
    ):
        with pytest.raises(ValidationError) as refused:
            attempt()
        assert list(refused.value.errors) == ["environment"]


def test_the_summary_by_model_adds_tokens_and_calls(spent):
    summary = spent.api.usage.summary()

    groups = {group["group"]: group for group in summary["results"]}
    assert (summary["group_by"], summary["currency"], set(groups)) == ("model", "USD", {GPT, CLAUDE})
    assert_is(
        groups[GPT],
        {
            "group": GPT,
            "calls": 4,
            "rows": 3,
            "prompt_tokens": 240,
            "completion_tokens": 80,
            "embedding_tokens": 0,
            "cache_read_tokens": 160,
            "cache_write_tokens": 0,
            "total_tokens": 480,
            "cost_usd": groups[GPT]["cost_usd"],
        },
    )
    assert type(groups[GPT]["cost_usd"]) is float
    assert groups[CLAUDE]["total_tokens"] == 292


def test_the_summary_by_conversation_names_them_by_their_keys(spent):
    groups = spent.api.usage.summary("conversation", environment="production")["results"]

    assert {group["group"]: group["total_tokens"] for group in groups} == {
        spent.api.conversations.resolve("both"): 240 + 292,
        spent.api.conversations.resolve("unfinished"): 120,
    }


def test_the_summary_by_day_is_of_the_day_on_which_the_turn_began(spent):
    days = {row["started_at"][:10] for row in spent.api.usage.list()}

    groups = spent.api.usage.summary("day")["results"]

    assert {group["group"] for group in groups} == days
    assert sum(group["total_tokens"] for group in groups) == 480 + 292


def test_without_a_rate_on_file_there_is_no_figure_in_euro(spent):
    summary = spent.api.usage.summary(currency="eur")

    assert summary["currency"] == "EUR"
    assert [("cost_usd" in group, "cost_eur" in group) for group in summary["results"]] == [(True, False)] * 2


def test_a_summary_by_something_else_is_refused(spent):
    answer = spent.request("GET", "/api/token-usage/summary/?group_by=week")

    assert (answer.status_code, answer.json()) == (
        400,
        {"group_by": "Must be one of: model, conversation, day."},
    )


def test_the_older_sdk_s_tokens_are_in_the_same_list(bot, older_sdk):
    older_sdk.record(bot, "older", ["track_token_usage", 30, 12, 42])

    (row,) = bot.api.usage.list()
    assert [row[column] for column in ("conversation_id", "turn_id", "model", "total_tokens")] == [
        "older",
        None,
        None,
        42,
    ]
