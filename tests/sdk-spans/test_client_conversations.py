"""`agentsight.api`: conversations, as the SDK's own client lists, reads and manages them."""

from datetime import datetime, timezone

import agentsight
import pytest
from agentsight import NotFoundError, ValidationError

import rows
from expect import ID, assert_is


@agentsight.tool
def lookup_order(order):
    return "shipped"


@pytest.fixture
def shop(bot):
    """Four conversations that differ in whatever a filter can ask for, and one that is deleted."""
    agentsight.open_conversation("visit", customer_id="u-9", language="de")
    bot.flush()
    with agentsight.conversation(
        "order-1",
        customer_id="U-1",
        customer_ip_address="2001:db8::1",
        device="mobile",
        language="hr",
        name="Late parcel",
        metadata={"plan": "pro", "order": {"id": 7}, "note": "a,b:c"},
    ):
        with agentsight.turn():
            agentsight.user_message("Where is my PARCEL?")
            lookup_order("A-9")
            agentsight.agent_message("It comes tomorrow.")
    bot.flush()
    bot.exchange("order-2", "Thanks", "You are welcome", customer_id="u-2", device="desktop", environment="dev")
    bot.exchange("order-3", "Hello", "Good day", customer_id="u-2", language="en", metadata={"plan": "free"})
    bot.exchange("gone", "Hello", "Good day", customer_id="u-2")
    bot.api.conversations.mark("order-3")
    bot.api.conversations.delete("gone")
    return bot


ALL = ["order-3", "order-2", "order-1", "visit"]  # newest first


def listed(bot, **filters):
    return [row["conversation_id"] for row in bot.api.conversations.list(**filters)]


@pytest.mark.parametrize(
    "filters, expected",
    [
        ({}, ALL),
        ({"conversation_id": "order-1"}, ["order-1"]),
        ({"conversation_id": "ORDER-1"}, []),
        ({"customer_id": "u-2"}, ["order-3", "order-2"]),
        ({"customer_id": "u-1"}, []),
        ({"customer_id__icontains": "u-1"}, ["order-1"]),
        ({"customer_ip_address": "2001:db8:0:0:0:0:0:1"}, ["order-1"]),
        ({"name": "PARCEL"}, ["order-1"]),
        ({"device": "Mobile"}, ["order-1"]),
        ({"language": "en"}, ["order-3"]),
        ({"environment": "development"}, ["order-2"]),
        ({"environment": "prod"}, ["order-3", "order-1", "visit"]),
        ({"env": "dev"}, ["order-2"]),
        ({"is_marked": True}, ["order-3"]),
        ({"is_marked": False}, ["order-2", "order-1", "visit"]),
        ({"include_deleted": True}, ["gone", *ALL]),
        ({"include_deleted": False}, ALL),
        ({"include_tickets": True}, []),
        ({"include_tickets": False}, ALL),
        ({"has_messages": True}, ["order-3", "order-2", "order-1"]),
        ({"has_messages": False}, ["visit"]),
        ({"has_action": True}, ["order-1"]),
        ({"has_action": False}, ["order-3", "order-2", "visit"]),
        ({"action_name": "LOOKUP"}, ["order-1"]),
        ({"action_name": "charge"}, []),
        ({"has_feedback": True}, []),
        ({"has_feedback": False}, ALL),
        ({"feedback_sentiment": "negative"}, []),
        ({"message_contains": "parcel"}, ["order-1"]),
        ({"message_contains": "tomorrow."}, ["order-1"]),
        ({"search": "order-"}, ["order-3", "order-2", "order-1"]),
        ({"search": "late tomorrow"}, ["order-1"]),
        ({"search": "u-9"}, ["visit"]),
        ({"metadata": "plan:pro"}, ["order-1"]),
        ({"metadata": "plan:pro,order.id:7"}, ["order-1"]),
        ({"metadata": "plan:pro,order.id:8"}, []),
        ({"metadata_key": "note", "metadata_value": "a,b:c"}, ["order-1"]),
        ({"ordering": "started_at"}, ALL[::-1]),
        ({"ordering": "-customer_id", "has_messages": True}, ["order-3", "order-2", "order-1"]),
        ({"customer_id": "u-2", "is_marked": False, "env": "dev"}, ["order-2"]),
    ],
    ids=lambda value: (
        " ".join(f"{name}={filter_}" for name, filter_ in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_each_filter_that_the_client_can_send_selects(shop, filters, expected):
    assert listed(shop, **filters) == expected


def test_the_times_of_the_client_select_inclusively(shop):
    first = shop.conversation("order-1")["started_at"]
    second = shop.conversation("order-2")["started_at"]

    def moment(text):
        return datetime.fromisoformat(text).astimezone(timezone.utc)

    assert listed(shop, started_at_after=moment(second)) == ["order-3", "order-2"]
    assert listed(shop, started_at_before=moment(first)) == ["order-1", "visit"]
    assert listed(shop, started_at_after=first, started_at_before=second) == ["order-2", "order-1"]


def test_a_filter_with_a_value_that_cannot_be_is_refused_by_its_name(shop):
    with pytest.raises(ValidationError) as refused:
        listed(shop, environment="staging")

    assert refused.value.errors == {
        "environment": ["Select a valid choice. staging is not one of the available choices."]
    }


def test_a_list_is_lean_and_a_full_one_has_the_transcripts(shop):
    (lean,) = shop.api.conversations.list(conversation_id="order-1")
    (full,) = shop.api.conversations.list_full(conversation_id="order-1")
    whole = shop.api.conversations.get("order-1")

    assert_is(
        lean,
        rows.lean(
            "order-1",
            name="Late parcel",
            customer_id="U-1",
            customer_ip_address="2001:db8::1",
            device="mobile",
            language="hr",
            environment="production",
            metadata={"plan": "pro", "order": {"id": 7}, "note": "a,b:c"},
            message_count=3,
        ),
    )
    assert_is(full, rows.as_listed(whole))


def test_a_whole_conversation_is_read_by_string_or_integer_asked_for_in_full_or_not(shop):
    whole = shop.api.conversations.get("order-1")

    assert whole == shop.api.conversations.get(whole["id"]) == shop.api.conversations.get("order-1", full=False)
    assert [message["content"] for message in whole["messages"]] == [
        "Where is my PARCEL?",
        "Action lookup_order performed",
        "It comes tomorrow.",
    ]


def test_a_page_says_how_many_there_are_and_the_iterator_walks_all_of_them(bot):
    for number in range(103):
        with agentsight.conversation(f"c-{number}"):
            agentsight.agent_message("hello")
    bot.flush()

    listing = bot.api.conversations.list(ordering="started_at")
    first, second = listing.page(1), listing.page(2)

    assert [row["conversation_id"] for row in listing] == [f"c-{number}" for number in range(103)]
    assert listing.count() == 103
    assert [(page.count, page.page_size, page.total_pages, page.current_page) for page in (first, second)] == [
        (103, 100, 2, 1),
        (103, 100, 2, 2),
    ]
    assert (first.previous, second.next) == (None, None)
    assert first.next.startswith(bot.endpoint)
    assert second.previous.startswith(bot.endpoint)
    with pytest.raises(NotFoundError, match="Invalid page"):
        listing.page(3)


def test_an_empty_list_is_a_page_of_its_own(bot):
    page = bot.api.conversations.list().page()

    assert (page.results, page.count, page.total_pages, page.next, page.previous) == ([], 0, 1, None, None)


def test_what_is_not_there_is_not_found(shop):
    for attempt in (
        lambda: shop.api.conversations.get("never-seen"),
        lambda: shop.api.conversations.get(2**31),
        lambda: shop.api.conversations.rename(2**31, "name"),
        lambda: shop.api.conversations.attachments(2**31),
    ):
        with pytest.raises(NotFoundError):
            attempt()


def test_renaming_trims_and_answers_the_name(shop):
    pk = shop.api.conversations.resolve("order-1")

    assert_is(
        shop.api.conversations.rename("order-1", " Parcel found "),
        {"id": pk, "conversation_id": "order-1", "name": "Parcel found"},
    )
    assert shop.conversation("order-1")["name"] == "Parcel found"


def test_a_mark_is_set_and_taken_away(shop):
    pk = shop.api.conversations.resolve("order-1")

    assert_is(shop.api.conversations.mark("order-1"), {"id": pk, "conversation_id": "order-1", "is_marked": True})
    assert listed(shop, is_marked=True) == ["order-3", "order-1"]
    assert_is(shop.api.conversations.mark(pk, False), {"id": pk, "conversation_id": "order-1", "is_marked": False})
    assert listed(shop, is_marked=True) == ["order-3"]


def test_an_update_changes_what_it_names_and_replaces_metadata_whole(shop):
    before = shop.conversation("order-1")

    answered = shop.api.conversations.update(
        "order-1", metadata={"tier": "gold"}, language="en", customer_id="c-204", is_marked=True
    )

    assert_is(
        answered,
        {
            "id": before["id"],
            "conversation_id": "order-1",
            "updated_fields": ["is_marked", "customer_id", "language", "metadata"],
            "is_marked": True,
            "customer_id": "c-204",
            "language": "en",
            "metadata": {"tier": "gold"},
        },
    )
    changed = {"metadata": {"tier": "gold"}, "language": "en", "customer_id": "c-204", "is_marked": True}
    assert_is(shop.conversation("order-1"), before | changed)


def test_updating_metadata_merges_and_removes(shop):
    shop.api.conversations.update_metadata("order-1", {"plan": None, "seen": False}, remove=["note", "never-was"])

    assert_is(
        shop.conversation("order-1")["metadata"],
        {"plan": None, "order": {"id": 7}, "seen": False},
    )


def test_an_update_reaches_the_conversation_that_is_open_in_this_process(bot):
    bot.exchange("open", name="First", metadata={"plan": "free"})
    with agentsight.conversation("open", name="First", metadata={"plan": "free"}):
        bot.api.conversations.update("open", name="Second", metadata={"plan": "pro"})
        with agentsight.turn():
            agentsight.user_message("hello again")
    bot.flush()

    conversation = bot.conversation("open")
    assert (conversation["name"], conversation["metadata"]) == ("Second", {"plan": "pro"})


def test_a_deleted_conversation_is_out_of_the_lists_and_still_readable(shop):
    pk = shop.api.conversations.resolve("order-1")

    answered = shop.api.conversations.delete("order-1")

    assert_is(
        answered,
        {
            "id": pk,
            "conversation_id": "order-1",
            "is_deleted": True,
            "deleted_at": shop.api.conversations.get(pk)["deleted_at"],
        },
    )
    assert listed(shop) == ["order-3", "order-2", "visit"]
    by_string = shop.api.conversations.get("order-1")
    assert (by_string["id"], by_string["is_deleted"], by_string["message_count"]) == (pk, True, 3)
    with pytest.raises(NotFoundError, match="not found or already deleted"):
        shop.api.conversations.delete(pk)


def test_a_deleted_conversation_can_still_be_managed(shop):
    shop.api.conversations.rename("gone", "Remembered")
    shop.api.conversations.update_metadata("gone", {"kept": True})

    conversation = shop.conversation("gone")
    assert (conversation["name"], conversation["metadata"], conversation["is_deleted"]) == (
        "Remembered",
        {"kept": True},
        True,
    )


def test_metadata_keys_and_values_are_those_in_use(shop):
    assert_is(shop.api.conversations.metadata_keys(), {"keys": ["note", "order.id", "plan"]})
    assert_is(shop.api.conversations.metadata_values("plan"), {"key": "plan", "values": ["free", "pro"]})
    assert_is(shop.api.conversations.metadata_values("order.id"), {"key": "order.id", "values": [7]})
    assert_is(shop.api.conversations.metadata_values("never-was"), {"key": "never-was", "values": []})
    assert_is(shop.api.conversations.message_metadata_keys(), {"keys": ["latency_ms"]})


def test_a_key_tells_whose_it_is(keys_of_one_agent):
    writer, reader = keys_of_one_agent

    me = reader.api.me()

    assert me == writer.api.me() | {"role": "read"}
    assert_is(
        [
            {key: environment[key] for key in ("id", "slug", "name", "is_production")}
            for environment in me["environments"]
        ],
        [
            {"id": ID, "slug": "production", "name": "Production", "is_production": True},
            {"id": ID, "slug": "development", "name": "Development", "is_production": False},
        ],
    )
    assert writer.api.environments() == ["production", "development"]
