//! Filters, order, counts and pages of lists.

use agentsight_model::feedback::{FeedbackSource, Sentiment};
use agentsight_model::filter::{ConversationFilter, Order, OrderBy, Query};
use agentsight_model::ids::{ActionId, ConversationId};
use agentsight_model::manage::action::ActionChange;
use agentsight_model::page::{Page, PageNumber};
use agentsight_model::track::NewConversation;
use agentsight_store::{Extent, Missing};
use serde_json::json;

use crate::world::{Bot, World, all, at, clicked, conversation, event, missing, named, page, ran, refused};

/// Three conversations that differ in everything, and a fourth in the trash.
async fn furnished(world: &World) -> Bot {
    let bot = world.bot("helpdesk").await;
    let text = |text: &str| Some(text.to_owned());
    bot.opens(NewConversation {
        name: text("Late parcel"),
        customer_id: text("C-204"),
        customer_ip_address: Some("2001:db8::1".parse().unwrap()),
        device: text("Mobile"),
        language: text("hr"),
        timestamp: at(0),
        ..conversation("a")
    })
    .await;
    bot.opens(NewConversation {
        name: text("Refund"),
        customer_id: text("c-7"),
        customer_ip_address: Some("203.0.113.45".parse().unwrap()),
        device: text("desktop"),
        language: text("EN"),
        environment: text("development"),
        timestamp: at(100),
        ..conversation("b")
    })
    .await;
    bot.opens(NewConversation { timestamp: at(200), ..conversation("A") }).await;
    bot.opens(NewConversation { timestamp: at(300), device: text("mobile"), ..conversation("gone") }).await;
    bot.store.delete_conversation(bot.agent, ConversationId(4)).await.unwrap();

    bot.hears("a", 10, "Where is it?").await;
    bot.runs("b", 110, "lookup_order").await;
    bot.runs("gone", 310, "lookup_order").await;
    bot.does(event(named("b"), 111, clicked("Tomorrow"))).await;
    bot.store.mark_conversation(bot.agent, ConversationId(2), true).await.unwrap();
    bot.is_told("a", Sentiment::Positive, FeedbackSource::Customer).await;
    bot.is_told("a", Sentiment::Negative, FeedbackSource::Platform).await;
    bot.is_told("b", Sentiment::Negative, FeedbackSource::Customer).await;
    bot
}

/// As a query says it.
fn query(pairs: &[(&str, &str)]) -> ConversationFilter {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ConversationFilter::read(&Query(pairs)).unwrap()
}

pub(crate) async fn every_filter_keeps_what_matches_and_drops_the_rest(world: World) {
    let bot = furnished(&world).await;
    for (name, value, expected) in [
        ("conversation_id", "a", &["a"] as &[&str]),
        ("conversation_id", "A", &["A"]),
        ("conversation_id", "gone", &[]),
        ("customer_id", "C-204", &["a"]),
        ("customer_id", "c-204", &[]),
        ("customer_id__icontains", "C-", &["b", "a"]),
        ("customer_id__icontains", "04", &["a"]),
        ("customer_id__icontains", "05", &[]),
        ("customer_ip_address", "2001:0db8:0:0::0001", &["a"]),
        ("customer_ip_address", "203.0.113.45", &["b"]),
        ("customer_ip_address", "203.0.113.4", &[]),
        ("name", "PARCEL", &["a"]),
        ("name", "par%", &[]),
        ("device", "mOBILE", &["a"]),
        ("device", "mobil", &[]),
        ("language", "en", &["b"]),
        ("language", "de", &[]),
        ("environment", "prod", &["A", "a"]),
        ("env", "DEV", &["b"]),
        ("is_marked", "true", &["b"]),
        ("is_marked", "false", &["A", "a"]),
        ("include_deleted", "true", &["gone", "A", "b", "a"]),
        ("include_deleted", "false", &["A", "b", "a"]),
        ("has_messages", "true", &["b", "a"]),
        ("has_messages", "false", &["A"]),
        ("has_action", "true", &["b"]),
        ("has_action", "false", &["A", "a"]),
        ("action_name", "lookup_order", &["b"]),
        ("action_name", "UP_ord", &["b"]),
        ("action_name", "pay", &[]),
        ("has_feedback", "true", &["b", "a"]),
        ("has_feedback", "false", &["A"]),
        ("feedback_sentiment", "negative", &["b", "a"]),
        ("feedback_sentiment", "positive", &["a"]),
        ("feedback_sentiment", "neutral", &[]),
        ("feedback_source", "customer", &["b", "a"]),
        ("feedback_source", "platform", &["a"]),
        ("message_contains", "where", &["a"]),
        ("message_contains", "tomorrow", &["b"]),
        ("message_contains", "parcel", &[]),
        ("search", "parcel where", &["a"]),
        ("search", "refund where", &[]),
        ("search", "c-7", &["b"]),
        ("started_at_after", "2026-03-02T09:16:40Z", &["A", "b"]),
        ("started_at_after", "2026-03-02T09:16:40.000001Z", &["A"]),
        ("started_at_before", "2026-03-02T09:16:40Z", &["b", "a"]),
        ("started_at_before", "2026-03-02T09:16:39.999999", &["a"]),
        ("include_tickets", "true", &[]),
        ("colour", "red", &["A", "b", "a"]),
    ] {
        assert_eq!(bot.list(query(&[(name, value)])).await, expected, "{name}={value}");
    }
}

pub(crate) async fn a_renamed_action_is_found_by_what_it_is_and_by_what_messages_show(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.does(event(named("before"), 1, ran("lookup_order", at(1)))).await;
    let rename = async |id: i64, name: &str| {
        let change = ActionChange { name: Some(name.to_owned()), ..ActionChange::default() };
        bot.store.update_action(bot.agent, ActionId(id), change).await.unwrap();
    };
    rename(1, "find_order").await;
    bot.does(event(named("after"), 2, ran("find_order", at(2)))).await;
    bot.does(event(named("another"), 3, ran("lookup_order", at(3)))).await;

    let found = async |name: &str| bot.list(query(&[("action_name", name)])).await;
    assert_eq!(found("find_order").await, ["after", "before"]);
    assert_eq!(found("lookup").await, ["another", "before"]);
    assert_eq!(found("ORDER").await, ["another", "after", "before"]);

    rename(1, "seek").await;
    rename(1, "find_order").await;
    assert_eq!(found("seek").await, [""; 0]);
    assert_eq!(found("lookup").await, ["another", "before"]);
}

pub(crate) async fn all_given_filters_must_hold(world: World) {
    let bot = furnished(&world).await;
    for (filters, expected) in [
        (&[("device", "mobile"), ("include_deleted", "true")] as &[_], &["gone", "a"] as &[&str]),
        (&[("environment", "production"), ("env", "dev")], &[]),
        (&[("environment", "production"), ("env", "prod")], &["A", "a"]),
        (&[("feedback_sentiment", "negative"), ("feedback_source", "customer")], &["b"]),
        (&[("feedback_sentiment", "positive"), ("feedback_source", "platform")], &[]),
        (&[("is_marked", "true"), ("has_action", "true"), ("language", "en"), ("search", "refund")], &["b"]),
        (&[("is_marked", "true"), ("has_action", "false")], &[]),
        (&[("action_name", "lookup"), ("include_deleted", "1")], &["gone", "b"]),
        (&[("started_at_after", "2026-03-02T09:15:01Z"), ("started_at_before", "2026-03-02T09:17:00Z")], &["b"]),
    ] {
        assert_eq!(bot.list(query(filters)).await, expected, "{filters:?}");
    }
}

pub(crate) async fn an_environment_that_the_agent_lacks_is_refused(world: World) {
    let bot = furnished(&world).await;
    world.bot("sales").await;
    let sales = world.bot("sales").await;
    sales.store.add_environment(sales.agent, "staging", false).await.unwrap();

    let list = bot.store.list_conversations(bot.agent, query(&[("env", "staging")]), Extent::Everything).await;

    let text = "Select a valid choice. staging is not one of the available choices.";
    assert_eq!(refused(list), json!({"environment": [text]}));
    assert_eq!(sales.list(query(&[("env", "staging")])).await, [""; 0]);
}

pub(crate) async fn every_ordering_ends_with_the_id(world: World) {
    let bot = world.bot("helpdesk").await;
    for (name, seconds, customer, language) in
        [("a", 5, Some("z"), None), ("b", 5, None, Some("hr")), ("c", 1, Some("Z"), Some("en")), ("d", 5, None, None)]
    {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let new = NewConversation {
            customer_id: text(customer),
            language: text(language),
            timestamp: at(seconds),
            ..conversation(name)
        };
        bot.opens(new).await;
    }
    bot.hears("c", 9, "x").await;
    bot.store.mark_conversation(bot.agent, ConversationId(2), true).await.unwrap();

    for (ordering, expected) in [
        ("", ["d", "b", "a", "c"]),
        ("-started_at", ["d", "b", "a", "c"]),
        ("started_at", ["c", "a", "b", "d"]),
        ("ended_at", ["a", "b", "d", "c"]),
        ("-ended_at", ["c", "d", "b", "a"]),
        ("id", ["a", "b", "c", "d"]),
        ("-id", ["d", "c", "b", "a"]),
        ("customer_id", ["c", "a", "b", "d"]),
        ("-customer_id", ["a", "c", "d", "b"]),
        ("is_marked", ["a", "c", "d", "b"]),
        ("-is_marked", ["b", "d", "c", "a"]),
        ("language", ["c", "b", "a", "d"]),
        ("-language", ["b", "c", "d", "a"]),
        ("is_marked,-id", ["d", "c", "a", "b"]),
        ("-is_marked,started_at,id", ["b", "c", "a", "d"]),
        ("colour", ["d", "b", "a", "c"]),
    ] {
        assert_eq!(bot.list(query(&[("ordering", ordering)])).await, expected, "{ordering}");
    }
}

pub(crate) async fn pages_cut_the_list_without_gaps(world: World) {
    let bot = world.bot("helpdesk").await;
    for n in 0..7 {
        bot.opens(NewConversation { timestamp: at(n / 3), ..conversation(&n.to_string()) }).await;
    }
    let by = |number, size| Extent::Page(Page { number, size });
    let list = |extent| bot.store.list_conversation_rows(bot.agent, all(), extent);
    let mut names = Vec::new();

    for number in 1..=4 {
        let found = list(by(PageNumber::At(number), 2)).await.unwrap();
        assert_eq!((found.count, found.page), (7, number));
        names.extend(found.rows.into_iter().map(|row| row.conversation_id));
    }

    assert_eq!(names, ["6", "5", "4", "3", "2", "1", "0"]);
    let last = list(by(PageNumber::Last, 3)).await.unwrap();
    assert_eq!((last.page, last.rows.len()), (3, 1));
    assert_eq!(missing(list(by(PageNumber::At(5), 2)).await), Missing::Page);
    let none = ConversationFilter { search: vec!["nowhere".to_owned()], ..all() };
    let list = |filter, number| bot.store.list_conversations(bot.agent, filter, Extent::Page(page(number, 2)));
    let found = list(none.clone(), 1).await.unwrap();
    assert_eq!((found.count, found.page, found.rows.len()), (0, 1, 0));
    assert_eq!(missing(list(none, 2).await), Missing::Page);
}

pub(crate) async fn counts_stay_exact_with_the_trash(world: World) {
    let bot = world.bot("helpdesk").await;
    let other = world.bot("sales").await;
    other.opens(conversation("theirs")).await;
    for n in 0..6 {
        bot.hears(&n.to_string(), n, "x").await;
        bot.opens(conversation(&n.to_string())).await;
    }
    for id in bot.list(all()).await.iter().take(4) {
        bot.store.delete_conversation(bot.agent, bot.id(id).await).await.unwrap();
        let _ = bot.store.delete_conversation(bot.agent, bot.id(id).await).await;
        bot.hears(id, 1, "still here").await;
    }
    let deleted = ConversationFilter { include_deleted: true, ..all() };

    for (filter, expected) in [(all(), 2), (deleted.clone(), 6)] {
        let by_counter = bot.store.list_conversation_rows(bot.agent, filter.clone(), Extent::Page(page(1, 1))).await;
        let counted = ConversationFilter { started_at_after: Some(at(-9_999)), ..filter };
        let by_reading = bot.store.list_conversation_rows(bot.agent, counted, Extent::Page(page(1, 1))).await;
        assert_eq!((by_counter.unwrap().count, by_reading.unwrap().count), (expected, expected));
    }
    assert_eq!(other.list(deleted).await, ["theirs"]);
}

pub(crate) async fn full_rows_are_whole_conversations_without_tickets_and_usage(world: World) {
    let bot = furnished(&world).await;

    let listed = bot.store.list_conversations(bot.agent, all(), Extent::Page(page(1, 2))).await.unwrap();

    for row in listed.rows {
        let mut whole = bot.store.fetch_conversation(bot.agent, row.id.into()).await.unwrap();
        (whole.tickets, whole.token_usage) = (None, None);
        assert_eq!(row, whole);
    }
}

pub(crate) async fn an_empty_agent_has_an_empty_first_page(world: World) {
    let bot = world.bot("helpdesk").await;

    assert_eq!(bot.list(all()).await, [""; 0]);
    let ordering = vec![Order { by: OrderBy::Language, descending: true }];
    assert_eq!(bot.list(ConversationFilter { ordering, ..all() }).await, [""; 0]);
    let second = bot.store.list_conversations(bot.agent, all(), Extent::Page(page(2, 10))).await;
    assert_eq!(missing(second), Missing::Page);
}
