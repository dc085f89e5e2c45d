//! Conversations got or made, and events appended to them.

use agentsight_model::feedback::{FeedbackSource, Sentiment};
use agentsight_model::filter::ConversationFilter;
use agentsight_model::ids::{ConversationId, ConversationRef, MessageId};
use agentsight_model::message::Sender;
use agentsight_model::time::Timestamp;
use agentsight_model::track::{Event, NewAction, NewConversation, NewEvent, Target};
use agentsight_store::{Appended, Missing};
use serde_json::json;

use crate::world::{
    World, all, at, clicked, conversation, document, event, files, json, keyed, missing, named, ran, refused, said,
    sent_as,
};

fn described(name: &str) -> NewConversation {
    NewConversation {
        name: Some("Late parcel".to_owned()),
        customer_id: Some("c-204".to_owned()),
        customer_ip_address: Some("203.0.113.45".parse().unwrap()),
        device: Some("mobile".to_owned()),
        source: Some("whatsapp".to_owned()),
        language: Some("hr".to_owned()),
        environment: Some("development".to_owned()),
        metadata: Some(document(r#"{"tier": "gold", "n": 1.0}"#)),
        is_used: Some(true),
        ..conversation(name)
    }
}

pub(crate) async fn a_new_conversation_keeps_every_given_field(world: World) {
    let bot = world.bot("helpdesk").await;

    let stored = bot.opens(described("order-7")).await;

    assert!(stored.created);
    assert_eq!(
        json(&stored.value),
        json!({
            "id": 1, "agent": 1, "conversation_id": "order-7", "name": "Late parcel", "customer_id": "c-204",
            "customer_ip_address": "203.0.113.45", "device": "mobile", "source": "whatsapp", "language": "hr",
            "environment": "development", "environment_id": 2, "is_marked": false, "is_deleted": false, "is_used": true,
            "started_at": "2026-03-02T09:15:00Z", "ended_at": "2026-03-02T09:15:00Z", "deleted_at": null,
            "metadata": {"tier": "gold", "n": 1.0}, "geo_location": null, "message_count": 0, "feedback_count": 0,
        })
    );
    assert_eq!(stored.value.metadata.as_str(), r#"{"tier": "gold", "n": 1.0}"#);
}

pub(crate) async fn a_later_call_fills_what_is_empty_and_nothing_else(world: World) {
    let bot = world.bot("helpdesk").await;
    let first = bot.opens(NewConversation { name: Some("First".to_owned()), ..conversation("c") }).await;

    let filled = bot.opens(NewConversation { timestamp: at(60), ..described("c") }).await;
    let other = NewConversation {
        name: Some("Other".to_owned()),
        customer_id: Some("c-1".to_owned()),
        customer_ip_address: Some("::1".parse().unwrap()),
        device: Some("tv".to_owned()),
        source: Some("web".to_owned()),
        language: Some("en".to_owned()),
        metadata: Some(document(r#"{"other": true}"#)),
        ..conversation("c")
    };
    let kept = bot.opens(other).await;

    assert!(first.created && !filled.created && !kept.created);
    assert_eq!(
        json(&kept.value),
        json!({
            "id": 1, "agent": 1, "conversation_id": "c", "name": "First", "customer_id": "c-204",
            "customer_ip_address": "203.0.113.45", "device": "mobile", "source": "whatsapp", "language": "hr",
            "environment": "production", "environment_id": 1, "is_marked": false, "is_deleted": false, "is_used": true,
            "started_at": "2026-03-02T09:15:00Z", "ended_at": "2026-03-02T09:15:00Z", "deleted_at": null,
            "metadata": {"tier": "gold", "n": 1.0}, "geo_location": null, "message_count": 0, "feedback_count": 0,
        })
    );
    assert_eq!(kept.value, filled.value);
}

pub(crate) async fn an_environment_is_chosen_once_and_must_exist(world: World) {
    let bot = world.bot("helpdesk").await;
    let staging = bot.store.add_environment(bot.agent, "Pre Live", false).await.unwrap();
    assert_eq!(staging.slug, "pre-live");

    let environment = |slug: &str| NewConversation { environment: Some(slug.to_owned()), ..conversation("c") };
    bot.opens(environment(" Pre-Live ")).await;
    let again = bot.opens(environment("prod")).await;
    let unknown = bot.store.upsert_conversation(bot.agent, environment("nowhere")).await;

    assert_eq!((again.value.environment.as_str(), again.value.environment_id), ("pre-live", staging.id));
    assert_eq!(
        refused(unknown),
        json!({"environment": ["Unknown environment: 'nowhere'. This agent has: production, development, pre-live."]})
    );
    for (given, meant) in [("DEV", "development"), ("prod", "production"), ("", "production")] {
        let new = NewConversation { environment: Some(given.to_owned()), ..conversation(&format!("in {given}")) };
        assert_eq!(bot.opens(new).await.value.environment, meant);
    }
}

pub(crate) async fn used_is_never_taken_back(world: World) {
    let bot = world.bot("helpdesk").await;
    let mut seen = Vec::new();

    for claim in [None, Some(false), None, Some(true), Some(false), None] {
        seen.push(bot.opens(NewConversation { is_used: claim, ..conversation("c") }).await.value.is_used);
    }

    assert_eq!(seen, [false, false, false, true, true, true]);
}

pub(crate) async fn metadata_is_filled_where_it_is_an_empty_object(world: World) {
    let bot = world.bot("helpdesk").await;
    let given = |text: &str| NewConversation { metadata: Some(document(text)), ..conversation("c") };

    bot.opens(given("{ }")).await;
    bot.opens(given("{}")).await;
    bot.opens(given(r#"{"a": 1}"#)).await;
    bot.opens(given(r#"{"b": 2}"#)).await;
    bot.opens(given("{}")).await;

    assert_eq!(bot.fields("c", ["metadata"]).await, [json!({"a": 1})]);
}

pub(crate) async fn a_conversation_in_the_trash_stays_there_and_keeps_recording(world: World) {
    let bot = world.bot("helpdesk").await;
    let first = bot.opens(conversation("c")).await;
    bot.store.delete_conversation(bot.agent, first.value.id).await.unwrap();
    world.clock.advance_micros(Timestamp::MINUTE);

    let again = bot.opens(described("c")).await;
    bot.hears("c", 5, "anyone?").await;

    assert!(!again.created);
    assert_eq!(
        bot.fields("c", ["id", "is_deleted", "deleted_at", "name", "message_count", "ended_at"]).await,
        [
            json!(1),
            json!(true),
            json!("2026-03-02T09:15:00Z"),
            json!("Late parcel"),
            json!(1),
            json!("2026-03-02T09:15:05Z")
        ]
    );
    assert_eq!(bot.list(all()).await, [""; 0]);
}

pub(crate) async fn first_calls_at_once_make_one_conversation(world: World) {
    let bot = world.bot("helpdesk").await;

    let calls: Vec<_> = (0..40)
        .map(|n| {
            let bot = bot.clone();
            tokio::spawn(async move {
                if n % 2 == 0 {
                    bot.opens(conversation("c")).await.value.id
                } else {
                    bot.hears("c", n, "hi").await.conversation
                }
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), ConversationId(1));
    }

    assert_eq!(bot.list(all()).await, ["c"]);
    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(20)]);
}

pub(crate) async fn events_that_come_at_once_each_go_where_they_belong(world: World) {
    let bot = world.bot("helpdesk").await;
    for name in ["a", "b", "c"] {
        bot.hears(name, 0, "first").await;
    }
    let target = |n: u32| match n % 4 {
        0 => named("a"),
        1 => keyed(ConversationId(2)),
        2 => named("c"),
        _ => named(&format!("new {n}")),
    };
    let calls: Vec<_> = (0..60)
        .map(|n| {
            let bot = bot.clone();
            let what = if n % 5 == 0 { ran("search", at(1)) } else { said(&n.to_string()) };
            let event = event(target(n), 1, what);
            tokio::spawn(async move { bot.does(event).await.created })
        })
        .collect();
    let nowhere = event(keyed(ConversationId(999)), 1, said("lost"));
    let lost = missing(bot.store.append(bot.agent, nowhere).await);
    for call in calls {
        assert!(call.await.unwrap());
    }

    assert_eq!(lost, Missing::Conversation);
    for (name, rest) in [("a", 0), ("b", 1), ("c", 2)] {
        assert_eq!(bot.fields(name, ["message_count"]).await, [json!(16)], "{name}");
        let whole = bot.store.fetch_conversation(bot.agent, name.into()).await.unwrap();
        let mut heard: Vec<String> = whole
            .messages
            .iter()
            .filter(|message| message.action_logs.is_empty() && message.content != "first")
            .map(|message| message.content.clone())
            .collect();
        let mut sent: Vec<String> = (0..60).filter(|n| n % 4 == rest && n % 5 != 0).map(|n| n.to_string()).collect();
        heard.sort();
        sent.sort();
        assert_eq!(heard, sent, "{name}");
        assert_eq!(whole.messages.len(), 16, "{name}");
    }
}

pub(crate) async fn an_event_for_a_new_name_makes_a_used_production_conversation(world: World) {
    let bot = world.bot("helpdesk").await;

    bot.hears("+385 1 555", 3, "hello").await;

    assert_eq!(
        bot.fetch("+385 1 555").await,
        json!({
            "id": 1, "agent": 1, "conversation_id": "+385 1 555", "name": null, "customer_id": null,
            "customer_ip_address": null, "device": null, "source": null, "language": null,
            "environment": "production", "environment_id": 1, "is_marked": false, "is_deleted": false, "is_used": true,
            "started_at": "2026-03-02T09:15:03Z", "ended_at": "2026-03-02T09:15:03Z", "deleted_at": null,
            "metadata": {}, "geo_location": null, "message_count": 1, "feedback_count": 0,
            "messages": [{
                "id": 1, "conversation": 1, "timestamp": "2026-03-02T09:15:03Z", "sender": "end_user", "content": "hello",
                "action_name": null, "metadata": {}, "attachments": [], "action_logs": [], "button": null, "feedback": null,
            }],
            "feedbacks": [], "tickets": [], "token_usage": null,
        })
    );
}

pub(crate) async fn every_kind_of_event_makes_its_conversation_used(world: World) {
    let bot = world.bot("helpdesk").await;
    let kinds = [
        ("message", said("hi")),
        ("action", ran("a", at(1))),
        ("click", clicked("Yes")),
        ("files", files(None, &[("a", "b/c", b"d")])),
    ];
    for (name, what) in kinds {
        bot.opens(conversation(name)).await;
        assert_eq!(bot.fields(name, ["is_used"]).await, [json!(false)], "{name}");

        bot.does(event(named(name), 1, what)).await;

        assert_eq!(bot.fields(name, ["is_used", "message_count"]).await, [json!(true), json!(1)], "{name}");
    }
    bot.opens(conversation("feedback")).await;
    bot.is_told("feedback", Sentiment::Positive, FeedbackSource::Customer).await;
    assert_eq!(bot.fields("feedback", ["is_used"]).await, [json!(false)]);
}

pub(crate) async fn the_integer_wins_over_the_name(world: World) {
    let bot = world.bot("helpdesk").await;
    let (a, _) = (bot.opens(conversation("a")).await.value.id, bot.opens(conversation("b")).await);

    for name in ["b", "new"] {
        bot.does(event(Target { id: Some(a), name: Some(name.to_owned()) }, 1, said("to a"))).await;
    }

    assert_eq!(bot.fields("a", ["message_count"]).await, [json!(2)]);
    assert_eq!(bot.fields("b", ["message_count"]).await, [json!(0)]);
    assert_eq!(bot.list(all()).await, ["b", "a"]);
}

pub(crate) async fn an_unknown_integer_leads_to_the_name_or_nowhere(world: World) {
    let bot = world.bot("helpdesk").await;
    let unknown = Some(ConversationId(987));

    bot.does(event(Target { id: unknown, name: Some("c".to_owned()) }, 1, said("hi"))).await;
    let nowhere = bot.store.append(bot.agent, event(Target { id: unknown, name: None }, 1, said("hi"))).await;

    assert_eq!(missing(nowhere), Missing::Conversation);
    assert_eq!(bot.fields("c", ["id", "message_count"]).await, [json!(1), json!(1)]);
    assert_eq!(bot.list(all()).await, ["c"]);
}

pub(crate) async fn times_move_outward_only(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.opens(NewConversation { timestamp: at(100), ..conversation("c") }).await;
    let mut seen = Vec::new();

    for seconds in [110, 105, 90, 95, 120] {
        bot.hears("c", seconds, "x").await;
        let row = bot.store.fetch_conversation(bot.agent, "c".into()).await.unwrap();
        seen.push((row.started_at, row.ended_at));
    }
    bot.opens(NewConversation { timestamp: at(0), ..conversation("c") }).await;

    let expected = [(100, 110), (100, 110), (90, 110), (90, 110), (90, 120)];
    assert_eq!(seen, expected.map(|(from, to)| (at(from), at(to))));
    let row = bot.store.fetch_conversation(bot.agent, "c".into()).await.unwrap();
    assert_eq!((row.started_at, row.ended_at), (at(90), at(120)));
}

pub(crate) async fn a_message_is_answered_as_it_is_fetched(world: World) {
    let bot = world.bot("helpdesk").await;
    let content = "  <b>\"Žižek\"</b>\r\n\t😀 100%_ \u{1}";
    let new = NewEvent {
        timestamp: Timestamp(at(2).0 + 100_000),
        metadata: document(r#"{"z": 1e2, "a": [1.0, null]}"#),
        ..event(named("c"), 0, Event::Message { sender: Sender::Agent, content: content.to_owned() })
    };

    let stored = bot.does(new).await;

    let Appended::Message(message) = stored.value else { panic!("{stored:?}") };
    assert!(stored.created);
    assert_eq!(
        json(&message),
        json!({
            "id": 1, "conversation": 1, "timestamp": "2026-03-02T09:15:02.100000Z", "sender": "agent", "content": content,
            "action_name": null, "metadata": {"z": 100.0, "a": [1.0, null]}, "attachments": [], "action_logs": [],
            "button": null, "feedback": null,
        })
    );
    let fetched = bot.store.fetch_message(bot.agent, message.id).await.unwrap();
    assert_eq!(fetched, *message);
    assert_eq!(fetched.metadata.as_str(), r#"{"z": 1e2, "a": [1.0, null]}"#);
    assert_eq!(bot.store.fetch_conversation(bot.agent, "c".into()).await.unwrap().messages, [fetched]);
}

pub(crate) async fn an_action_leaves_a_log_on_a_message_of_its_own(world: World) {
    let bot = world.bot("helpdesk").await;
    let action = NewAction {
        action_name: "lookup_order".to_owned(),
        started_at: at(2),
        ended_at: at(3),
        duration_ms: Some(150.into()),
        tools_used: document(r#"{"order": "A-9"}"#),
        response: "shipped".to_owned(),
        error_message: "late".to_owned(),
    };
    let metadata = document(r#"{"channel": "wa"}"#);

    let stored = bot.does(NewEvent { metadata, ..event(named("c"), 3, Event::Action(action)) }).await;

    let log = json!({
        "id": 1, "action": 1, "message": 1, "started_at": "2026-03-02T09:15:02Z", "ended_at": "2026-03-02T09:15:03Z",
        "duration_ms": 150, "tools_used": {"order": "A-9"}, "response": "shipped", "error_message": "late",
        "metadata": {"channel": "wa"},
    });
    let Appended::ActionLog(answer) = stored.value else { panic!("{stored:?}") };
    assert_eq!(json(&answer), log);
    assert_eq!(
        bot.fields("c", ["messages"]).await,
        [json!([{
            "id": 1, "conversation": 1, "timestamp": "2026-03-02T09:15:03Z", "sender": "agent",
            "content": "Action lookup_order performed", "action_name": "lookup_order", "metadata": {"channel": "wa"},
            "attachments": [], "action_logs": [log], "button": null, "feedback": null,
        }])]
    );
}

pub(crate) async fn an_action_is_defined_once_by_its_exact_name(world: World) {
    let (bot, other) = (world.bot("helpdesk").await, world.bot("sales").await);
    let mut actions = Vec::new();

    for name in ["lookup", "Lookup", "lookup", "pay", "Lookup"] {
        actions.push(bot.runs("c", 1, name).await.action.0);
    }
    let elsewhere = other.runs("c", 1, "lookup").await.action.0;

    assert_eq!(actions, [1, 2, 1, 3, 2]);
    assert_eq!(elsewhere, 4);
}

pub(crate) async fn a_click_leaves_a_button_on_a_message_of_its_own(world: World) {
    let bot = world.bot("helpdesk").await;
    let metadata = document(r#"{"widget": 2}"#);

    let stored = bot.does(NewEvent { metadata, ..event(named("c"), 9, clicked("Tomorrow")) }).await;

    let Appended::Button(button) = stored.value else { panic!("{stored:?}") };
    assert_eq!(
        json(&button),
        json!({
            "id": 1, "conversation": 1, "message": 1, "button_event": "delivery_choice", "label": "Tomorrow",
            "value": "tomorrow", "metadata": {"widget": 2}, "timestamp": "2026-03-02T09:15:09Z",
        })
    );
    assert_eq!(
        bot.fields("c", ["messages"]).await,
        [json!([{
            "id": 1, "conversation": 1, "timestamp": "2026-03-02T09:15:09Z", "sender": "end_user",
            "content": "Button clicked: Tomorrow", "action_name": null, "metadata": {"widget": 2}, "attachments": [],
            "action_logs": [], "feedback": null,
            "button": {"id": 1, "button_event": "delivery_choice", "label": "Tomorrow", "value": "tomorrow", "metadata": {"widget": 2}},
        }])]
    );
}

pub(crate) async fn a_transcript_goes_by_time_and_then_by_arrival(world: World) {
    let bot = world.bot("helpdesk").await;
    for (seconds, content) in [(5, "d"), (1, "a"), (3, "b"), (3, "c")] {
        bot.hears("c", seconds, content).await;
    }

    let whole = bot.store.fetch_conversation(bot.agent, "c".into()).await.unwrap();

    let contents: Vec<_> = whole.messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(contents, ["a", "b", "c", "d"]);
}

pub(crate) async fn a_large_conversation_is_fetched_whole(world: World) {
    let bot = world.bot("helpdesk").await;
    let writes: Vec<_> = (0..300)
        .map(|n| {
            let bot = bot.clone();
            tokio::spawn(async move { bot.hears("c", n, &n.to_string()).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }

    let whole = bot.store.fetch_conversation(bot.agent, ConversationRef::Named("c".to_owned())).await.unwrap();

    let contents: Vec<_> = whole.messages.iter().map(|message| message.content.clone()).collect();
    assert_eq!(contents, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    let listed = bot.store.list_conversations(bot.agent, all(), agentsight_store::Extent::Everything).await.unwrap();
    assert_eq!(listed.rows[0].messages, whole.messages);
}

pub(crate) async fn a_resent_event_is_stored_once_and_answered_alike(world: World) {
    let bot = world.bot("helpdesk").await;
    let kinds = [said("hi"), ran("a", at(1)), clicked("Yes"), files(None, &[("a.txt", "text/plain", b"x")])];
    for (n, what) in (1..).zip(kinds) {
        let sent = sent_as(n, event(named("c"), n, what));

        let first = bot.does(sent.clone()).await;
        let second = bot.does(NewEvent { target: keyed(ConversationId(1)), ..sent.clone() }).await;
        let third = bot.does(sent).await;

        assert!(first.created && !second.created && !third.created);
        assert_eq!(second.value, first.value);
        assert_eq!(third.value, first.value);
    }
    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(4)]);
    let whole = bot.store.fetch_conversation(bot.agent, "c".into()).await.unwrap();
    assert_eq!(whole.messages.len(), 4);
}

pub(crate) async fn after_ten_minutes_the_same_body_is_a_new_event(world: World) {
    let bot = world.bot("helpdesk").await;
    let sent = sent_as(1, event(named("c"), 1, said("hi")));
    let mut created = vec![bot.does(sent.clone()).await.created];

    for micros in [10 * Timestamp::MINUTE, 1, 1] {
        world.clock.advance_micros(micros);
        created.push(bot.does(sent.clone()).await.created);
    }

    assert_eq!(created, [true, false, true, false]);
    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(2)]);
}

pub(crate) async fn resends_at_once_are_stored_once(world: World) {
    let bot = world.bot("helpdesk").await;
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let bot = bot.clone();
            tokio::spawn(async move { bot.does(sent_as(7, event(named("c"), 1, said("hi")))).await.created })
        })
        .collect();
    let mut created = 0;
    for send in sends {
        created += i32::from(send.await.unwrap());
    }

    assert_eq!(created, 1);
    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(1)]);
}

pub(crate) async fn bodies_that_differ_or_have_no_identity_are_no_resends(world: World) {
    let bot = world.bot("helpdesk").await;
    let message = event(named("c"), 1, said("hi"));

    for event in [message.clone(), message.clone(), sent_as(1, message.clone()), sent_as(2, message.clone())] {
        assert!(bot.does(event).await.created);
    }
    let elsewhere = bot.does(NewEvent { target: named("d"), ..sent_as(1, message.clone()) }).await;
    let other = world.bot("sales").await.does(sent_as(1, message)).await;

    assert!(elsewhere.created && other.created);
    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(4)]);
}

pub(crate) async fn token_usage_is_an_action_like_any_other_in_a_list(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.runs("c", 1, "token_usage").await;

    let filter = ConversationFilter { action_name: Some("TOKEN".to_owned()), has_action: Some(true), ..all() };

    assert_eq!(bot.list(filter).await, ["c"]);
}

pub(crate) async fn an_event_that_is_refused_beside_others_makes_no_conversation(world: World) {
    let bot = world.bot("helpdesk").await;
    let nowhere = || files(Some(MessageId(999)), &[("note.txt", "text/plain", b"x")]);

    let calls: Vec<_> = (0..40)
        .map(|n| {
            let (bot, is_refused) = (bot.clone(), n % 4 == 3);
            let what = if is_refused { nowhere() } else { said("hi") };
            let event = event(named(&format!("new {n}")), 1, what);
            tokio::spawn(async move { (is_refused, bot.store.append(bot.agent, event).await) })
        })
        .collect();
    for call in calls {
        match call.await.unwrap() {
            (true, refused) => assert_eq!(missing(refused), Missing::Message(999)),
            (false, stored) => assert!(stored.unwrap().created),
        }
    }

    let mut names = bot.list(all()).await;
    names.sort();
    let mut made: Vec<String> = (0..40).filter(|n| n % 4 != 3).map(|n| format!("new {n}")).collect();
    made.sort();
    assert_eq!(names, made);
}
