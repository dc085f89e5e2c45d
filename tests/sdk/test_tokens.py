"""Token counts. The SDK's counters only ever grow, per process; what is booked is the difference."""

import pytest

import rows
from expect import assert_is


def usage(**counts):
    """The usage of a conversation whose tokens nobody priced."""
    return {
        "totals": counts,
        "cost_usd": "0.00000000",
        "cost_sources": ["unpriced"],
        "models": [{"model": None, "cost_source": "unpriced", "cost_usd": "0.00000000"} | counts],
    }


def test_counters_that_only_grow_are_booked_as_increments(agent):
    agent.tracker.track_token_usage(prompt_tokens=30, completion_tokens=12, total_tokens=42)
    first = agent.conversation("tokens-1", "question", "answer")
    agent.tracker.track_token_usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
    second = agent.conversation("tokens-2", "question", "answer")
    third = agent.conversation("tokens-3", "no model was asked")
    agent.tracker.track_token_usage(embedding_tokens=100)
    again = agent.conversation("tokens-1", "question", "answer")

    booked = [agent.api.fetch_conversation(pk)["token_usage"] for pk in (first, second, third)]

    assert again == first
    assert_is(
        booked,
        [
            usage(prompt_tokens=30, completion_tokens=12, embedding_tokens=100, total_tokens=142),
            usage(prompt_tokens=10, completion_tokens=5, total_tokens=15),
            None,
        ],
    )


def test_the_transcript_keeps_the_counts_as_they_were_sent(agent):
    agent.tracker.track_token_usage(prompt_tokens=30, completion_tokens=12, total_tokens=42)
    agent.conversation("kept-1", "question")
    agent.conversation("kept-2", "question")

    messages = agent.api.fetch_conversation("kept-2")["messages"]

    counts = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42, "embedding_tokens": 0}
    assert_is(messages, [rows.message("end_user", "question"), rows.action_message("token_usage", metadata=counts)])


def test_a_total_alone_is_believed(agent):
    agent.tracker.track_token_usage(total_tokens=42)
    pk = agent.conversation("total-only", "question")

    assert_is(agent.api.fetch_conversation(pk)["token_usage"], usage(total_tokens=42))


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["the larger first", "the smaller first"])
def test_two_processes_with_counters_of_their_own_are_told_apart(agent, order):
    # Two workers of one agent, each with its own counters, sending in turns: (conversation, prompt, completion).
    first = [("worker-a", 1000, 100), ("worker-b", 10, 200)]
    later = [("worker-a", 1500, 150), ("worker-b", 40, 250)]
    for second, (conversation_id, prompt, completion) in enumerate(
        [counts[which] for counts in (first, later) for which in order]
    ):
        agent.post(
            "/api/action_logs/",
            {
                "timestamp": f"2026-03-02T09:15:{second:02}+00:00",
                "action_name": "token_usage",
                "conversation_id": conversation_id,
                "metadata": {
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "total_tokens": prompt + completion,
                    "embedding_tokens": 0,
                },
                "conversation": None,
            },
        )

    booked = {
        row["conversation_id"]: agent.api.fetch_conversation(row["id"])["token_usage"]["totals"]
        for row in agent.api.fetch_conversations()["results"]
    }

    assert booked == {
        "worker-a": {"prompt_tokens": 1500, "completion_tokens": 150, "total_tokens": 1650},
        "worker-b": {"prompt_tokens": 40, "completion_tokens": 250, "total_tokens": 290},
    }
