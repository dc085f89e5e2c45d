"""`fetch_conversations`: every filter once with a hit and once without, the order, the pages."""

from datetime import datetime, timedelta, timezone

import pytest

import rows
from agents import Agent
from agentsight.exceptions import ConversationApiException, NotFoundException
from expect import TIME, assert_is, text_with

NOW = datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def shop(server):
    """An agent with four conversations: a used one, one in another language, an abandoned visit, a deleted one."""
    agent = Agent(server.endpoint, server.create_key("shop", "write"))
    tracker = agent.tracker
    tracker.get_or_create_conversation(
        "shop-1",
        customer_id="Ana-1",
        customer_ip_address="203.0.113.45",
        device="desktop",
        source="web",
        language="en",
        name="Late parcel",
        environment="production",
        metadata={
            "plan": "pro",
            "score": 1,
            "ratio": 1.5,
            "vip": True,
            "none": None,
            "code": "7",
            "analysis": {"room": "kitchen"},
            "dotted.key": "x",
            "tags": ["a", "b"],
            "when": "10:30",
        },
    )
    tracker.track_human_message("Where is my PARCEL?")
    tracker.track_action("lookup_order", duration_ms=5)
    tracker.track_agent_message("It is on its way to Šibenik.")
    agent.send()
    agent.manager.mark_conversation("shop-1", True)
    agent.manager.submit_feedback("shop-1", "positive", comment="thanks")

    agent.conversation(
        "shop-2",
        "Povrat novca, molim",
        customer_id="bo-2",
        customer_ip_address="2001:db8::1",
        device="mobile",
        language="hr",
        name="Refund",
        metadata={"plan": "free"},
    )
    agent.manager.submit_feedback("shop-2", "negative")
    tracker.initialize_conversation("shop-3")
    agent.conversation("shop-4", "forget me", customer_id="bo-2")
    agent.manager.delete_conversation("shop-4")
    return agent


def found(listed):
    """The numbers of the shop's conversations, in the order of the answer."""
    return [int(row["conversation_id"].removeprefix("shop-")) for row in listed["results"]]


FILTERS = [
    ({"action_name": "lookup_order"}, [1]),
    ({"action_name": "LOOKUP"}, [1]),
    ({"action_name": "refund_order"}, []),
    ({"conversation_id": "shop-2"}, [2]),
    ({"conversation_id": "shop"}, []),
    ({"conversation_id": "SHOP-2"}, []),
    ({"customer_id": "Ana-1"}, [1]),
    ({"customer_id": "ana-1"}, []),
    ({"customer_id__icontains": "ANA"}, [1]),
    ({"customer_id__icontains": "eve"}, []),
    ({"customer_ip_address": "203.0.113.45"}, [1]),
    ({"customer_ip_address": "2001:0db8:0:0:0:0:0:1"}, [2]),
    ({"customer_ip_address": "203.0.113.4"}, []),
    ({"device": "desktop"}, [1]),
    ({"device": "Mobile"}, [2]),
    ({"device": "desk"}, []),
    ({"language": "hr"}, [2]),
    ({"language": "de"}, []),
    ({"has_messages": True}, [2, 1]),
    ({"has_messages": False}, [3]),
    ({"message_contains": "parcel"}, [1]),
    ({"message_contains": "šibenik"}, [1]),
    ({"message_contains": "%"}, []),
    ({"message_contains": "umbrella"}, []),
    ({"started_at_after": NOW - timedelta(hours=1)}, [3, 2, 1]),
    ({"started_at_after": (NOW + timedelta(hours=1)).replace(tzinfo=None)}, []),
    ({"started_at_after": "2024-01-15"}, [3, 2, 1]),
    ({"started_at_before": (NOW + timedelta(hours=1)).isoformat()}, [3, 2, 1]),
    ({"started_at_before": (NOW - timedelta(hours=1)).replace(tzinfo=None)}, []),
    ({"is_marked": True}, [1]),
    ({"is_marked": False}, [3, 2]),
    ({"name": "PARCEL"}, [1]),
    ({"name": "umbrella"}, []),
    ({"include_deleted": True}, [4, 3, 2, 1]),
    ({"include_deleted": False}, [3, 2, 1]),
    ({"metadata": "plan:pro"}, [1]),
    ({"metadata": "plan:pro, score:1"}, [1]),
    ({"metadata": "plan:pro,score:2"}, []),
    ({"metadata": "ratio:1.5"}, [1]),
    ({"metadata": "vip:true"}, [1]),
    ({"metadata": "vip:false"}, []),
    ({"metadata": "none:null"}, [1]),
    ({"metadata": "code:7"}, [1]),
    ({"metadata": "analysis.room:kitchen"}, [1]),
    ({"metadata": "analysis.room:bath"}, []),
    ({"metadata": "dotted.key:x"}, [1]),
    ({"metadata": "tags:b"}, [1]),
    ({"metadata": "when:10:30"}, [1]),
    ({"metadata_key": "plan", "metadata_value": "free"}, [2]),
    ({"metadata_key": "plan", "metadata_value": "gold"}, []),
    ({"has_feedback": True}, [2, 1]),
    ({"has_feedback": False}, [3]),
    ({"feedback_sentiment": "positive"}, [1]),
    ({"feedback_sentiment": "neutral"}, []),
    ({"feedback_source": "customer"}, [2, 1]),
    ({"feedback_source": "platform"}, []),
    ({"feedback_source": "customer", "feedback_sentiment": "negative"}, [2]),
    ({"feedback_source": "platform", "feedback_sentiment": "negative"}, []),
    ({"has_action": True}, [1]),
    ({"has_action": False}, [3, 2]),
    ({"search": "parcel"}, [1]),
    ({"search": "REFUND"}, [2]),
    ({"search": "ana-1"}, [1]),
    ({"search": "shop-3"}, [3]),
    ({"search": "way late"}, [1]),
    ({"search": "way umbrella"}, []),
    ({"environment": "production"}, [1]),
    ({"env": "dev"}, [3, 2]),
    ({"environment": "production", "env": "development"}, []),
    ({"include_tickets": True}, []),
    ({"include_tickets": "off"}, [3, 2, 1]),
    ({"is_marked": True, "language": "hr"}, []),
    ({"colour": "blue"}, [3, 2, 1]),
]


@pytest.mark.parametrize("filters, expected", FILTERS, ids=lambda value: str(value)[:60])
def test_a_filter_finds_what_it_names_and_nothing_else(shop, filters, expected):
    listed = shop.api.fetch_conversations(**filters)

    assert (found(listed), listed["count"]) == (expected, len(expected))


REFUSED = [
    ({"has_action": "maybe"}, {"has_action": ["Enter true or false."]}),
    ({"started_at_after": "yesterday"}, {"started_at_after": ["Enter a valid date/time."]}),
    (
        {"environment": "staging"},
        {"environment": ["Select a valid choice. staging is not one of the available choices."]},
    ),
    ({"metadata": "plan"}, {"metadata": ["Use key:value pairs, separated by commas."]}),
    ({"include_tickets": "maybe"}, {"include_tickets": ["Must be one of: 1, true, yes, on, 0, false, no, off."]}),
]


@pytest.mark.parametrize("filters, refusal", REFUSED, ids=lambda value: str(value)[:60])
def test_a_filter_that_makes_no_sense_is_refused_by_its_name(shop, filters, refusal):
    with pytest.raises(ConversationApiException) as raised:
        shop.api.fetch_conversations(**filters)

    assert (raised.value.status_code, raised.value.response_data) == (400, refusal)


def test_an_unknown_parameter_is_ignored_and_named(shop):
    answer = shop.request("GET", "/api/conversations/?colour=blue")

    assert answer.status_code == 200
    assert answer.headers["Warning"] == '299 - "unknown parameter: colour"'


@pytest.mark.parametrize(
    "ordering", ["started_at", "-started_at", "ended_at", "-ended_at", "id", "-id", "is_marked", "-is_marked"]
)
def test_the_list_comes_in_the_order_asked_for(shop, ordering):
    listed = shop.api.fetch_conversations(ordering=ordering)

    values = [row[ordering.removeprefix("-")] for row in listed["results"]]
    assert sorted(found(listed)) == [1, 2, 3]
    assert values == sorted(values, reverse=ordering.startswith("-"))


@pytest.mark.parametrize("asked", [{}, {"ordering": "shoe_size"}])
def test_the_list_comes_newest_first_unless_a_known_order_is_asked_for(shop, asked):
    assert found(shop.api.fetch_conversations(**asked)) == [3, 2, 1]


def test_a_list_row_is_the_whole_conversation_unless_asked_otherwise(shop):
    [full] = shop.api.fetch_conversations(conversation_id="shop-2")["results"]
    [lean] = shop.api.fetch_conversations(conversation_id="shop-2", full=False)["results"]

    details = {
        "customer_id": "bo-2",
        "customer_ip_address": "2001:db8::1",
        "device": "mobile",
        "language": "hr",
        "name": "Refund",
        "metadata": {"plan": "free"},
        "message_count": 1,
        "feedback_count": 1,
    }
    assert_is(
        full,
        rows.as_listed(
            rows.conversation(
                "shop-2",
                **details,
                messages=[rows.message("end_user", "Povrat novca, molim")],
                feedbacks=[rows.feedback("shop-2", "negative")],
            )
        ),
    )
    assert_is(lean, rows.lean("shop-2", **details))
