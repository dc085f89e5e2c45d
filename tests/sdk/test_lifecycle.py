"""How a conversation begins: visited, used, repeated; and in which environment."""

import pytest

import rows
from expect import assert_is, text_with


def test_an_initialised_conversation_is_stored_at_once_and_unused(agent):
    agent.tracker.initialize_conversation(
        "visit-1", customer_id="u-7", device="desktop", name="Visit", metadata={"build": "c9"}
    )

    conversation = agent.api.fetch_conversation("visit-1")

    assert_is(
        conversation,
        rows.as_listed(
            rows.conversation(
                "visit-1",
                customer_id="u-7",
                device="desktop",
                name="Visit",
                metadata={"build": "c9"},
                is_used=False,
            )
        ),
    )
    assert conversation["started_at"] == conversation["ended_at"]


def test_a_visit_becomes_used_and_never_unused_again(agent):
    def is_used():
        return agent.api.fetch_conversation("visit-2")["is_used"]

    seen = []
    agent.tracker.initialize_conversation("visit-2")
    seen.append(is_used())
    agent.conversation("visit-2", "hello")
    seen.append(is_used())
    agent.tracker.initialize_conversation("visit-2")
    seen.append(is_used())

    assert seen == [False, True, True]


def test_a_message_alone_makes_a_visit_used(agent):
    agent.tracker.initialize_conversation("visit-3")
    agent.tracker.configure(conversation_id="visit-3")
    agent.tracker.track_human_message("hello")
    agent.send()

    conversation = agent.api.fetch_conversation("visit-3")

    assert (conversation["is_used"], conversation["environment"]) == (True, "development")


def test_a_repeated_call_fills_gaps_and_overrides_nothing(agent):
    first = agent.conversation("again", customer_id="c-1", language="en", metadata={"tier": "gold"})
    second = agent.conversation(
        "again",
        customer_id="c-2",
        language="de",
        device="mobile",
        name="Later name",
        environment="production",
        metadata={"tier": "none", "new": 1},
    )

    assert first == second
    assert_is(
        agent.api.fetch_conversation(first),
        rows.conversation(
            "again",
            id=first,
            customer_id="c-1",
            language="en",
            device="mobile",
            name="Later name",
            metadata={"tier": "gold"},
        ),
    )


def test_the_environment_is_development_unless_named(agent):
    agent.conversation("unnamed-environment")
    agent.conversation("production-environment", environment="production")

    listed = {row["conversation_id"]: row["environment"] for row in agent.api.fetch_conversations()["results"]}

    assert listed == {"unnamed-environment": "development", "production-environment": "production"}


@pytest.mark.parametrize(
    "variable, stored", [("production", "production"), ("prod", "production"), (" Dev ", "development")]
)
def test_the_variable_beats_the_argument(monkeypatch, new_agent, variable, stored):
    monkeypatch.setenv("AGENTSIGHT_ENVIRONMENT", variable)
    agent = new_agent()
    agent.conversation("by-variable", environment="development" if stored == "production" else "production")

    assert agent.api.fetch_conversation("by-variable")["environment"] == stored


def test_an_unknown_environment_is_refused_with_the_names_that_exist(monkeypatch, new_agent):
    monkeypatch.setenv("AGENTSIGHT_ENVIRONMENT", "staging")
    agent = new_agent()
    agent.tracker.get_or_create_conversation("in-staging")
    agent.tracker.track_human_message("hello")

    sent = agent.tracker.send_tracked_data()

    assert sent["summary"] == {"questions": 1, "answers": 0, "attachments": 0, "actions": 0, "buttons": 0, "errors": 1}
    assert sent["items"][0]["error"] == text_with(
        "API error for conversation (400): environment: ", "staging", "production", "development"
    )
    # The message is not lost: it makes its conversation itself.
    assert_is(
        agent.api.fetch_conversation("in-staging"),
        rows.as_listed(
            rows.conversation(
                "in-staging",
                environment="production",
                message_count=1,
                messages=[rows.message("end_user", "hello")],
            )
        ),
    )


@pytest.mark.parametrize(
    "sent, stored",
    [
        ("203.0.113.45", "203.0.113.45"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("203.0.113.45, 10.0.0.1", None),
    ],
)
def test_an_address_that_is_none_costs_only_the_address(agent, sent, stored):
    agent.conversation("address", customer_ip_address=sent)

    assert agent.api.fetch_conversation("address")["customer_ip_address"] == stored
