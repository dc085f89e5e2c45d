//! Conversations changed after the fact, and feedback on them.

use agentsight_model::feedback::{FeedbackSource, Sentiment};
use agentsight_model::filter::ConversationFilter;
use agentsight_model::ids::{ConversationId, EnvironmentId};
use agentsight_model::manage::ConversationUpdate;
use agentsight_model::time::Timestamp;
use agentsight_model::track::{NewConversation, NewFeedback, Target};
use agentsight_store::{Extent, Missing};
use serde_json::json;

use crate::world::{World, all, at, conversation, document, feedback, json, keyed, missing, named, page};

const NONE: ConversationId = ConversationId(987);

pub(crate) async fn a_mark_is_set_and_taken_off(world: World) {
    let bot = world.bot("helpdesk").await;
    let id = bot.opens(conversation("c")).await.value.id;

    for is_marked in [true, true, false] {
        let answer = bot.store.mark_conversation(bot.agent, id, is_marked).await.unwrap();
        assert_eq!(json(&answer), json!({"id": 1, "conversation_id": "c", "is_marked": is_marked}));
        assert_eq!(bot.fields("c", ["is_marked"]).await, [json!(is_marked)]);
    }

    assert_eq!(missing(bot.store.mark_conversation(bot.agent, NONE, true).await), Missing::Row);
}

pub(crate) async fn a_rename_changes_the_title_alone(world: World) {
    let bot = world.bot("helpdesk").await;
    let before = bot.opens(NewConversation { name: Some("Old".to_owned()), ..conversation("c") }).await.value;

    let answer = bot.store.rename_conversation(bot.agent, before.id, "Parcel found".to_owned()).await.unwrap();

    assert_eq!(json(&answer), json!({"id": 1, "conversation_id": "c", "name": "Parcel found"}));
    let after = bot.opens(conversation("c")).await.value;
    assert_eq!(
        after,
        agentsight_model::conversation::ConversationRow { name: Some("Parcel found".to_owned()), ..before }
    );
    assert_eq!(missing(bot.store.rename_conversation(bot.agent, NONE, "x".to_owned()).await), Missing::Row);
}

pub(crate) async fn an_update_changes_what_it_holds_and_null_clears(world: World) {
    let bot = world.bot("helpdesk").await;
    let new = NewConversation {
        customer_id: Some("c-1".to_owned()),
        device: Some("mobile".to_owned()),
        language: Some("hr".to_owned()),
        metadata: Some(document(r#"{"a": 1}"#)),
        ..conversation("c")
    };
    let id = bot.opens(new).await.value.id;
    let update = ConversationUpdate {
        name: Some("Found".to_owned()),
        is_marked: Some(true),
        customer_id: Some(Some("c-2".to_owned())),
        device: Some(None),
        language: None,
        metadata: Some(document(r#"{"b": 2}"#)),
    };

    let answer = bot.store.update_conversation(bot.agent, id, update).await.unwrap();
    let cleared = ConversationUpdate { metadata: Some(document("{}")), ..ConversationUpdate::default() };

    assert_eq!(
        json(&answer),
        json!({
            "id": 1, "conversation_id": "c", "updated_fields": ["name", "is_marked", "customer_id", "device", "metadata"],
            "name": "Found", "is_marked": true, "customer_id": "c-2", "device": null, "metadata": {"b": 2},
        })
    );
    assert_eq!(
        bot.fields("c", ["name", "is_marked", "customer_id", "device", "language", "metadata"]).await,
        [json!("Found"), json!(true), json!("c-2"), json!(null), json!("hr"), json!({"b": 2})]
    );
    bot.store.update_conversation(bot.agent, id, cleared.clone()).await.unwrap();
    assert_eq!(bot.fields("c", ["name", "metadata"]).await, [json!("Found"), json!({})]);
    assert_eq!(missing(bot.store.update_conversation(bot.agent, NONE, cleared).await), Missing::Row);
}

pub(crate) async fn a_cleared_field_is_filled_again(world: World) {
    let bot = world.bot("helpdesk").await;
    let with = |device: &str| NewConversation { device: Some(device.to_owned()), ..conversation("c") };
    let id = bot.opens(with("mobile")).await.value.id;
    let update = ConversationUpdate { device: Some(None), ..ConversationUpdate::default() };
    bot.store.update_conversation(bot.agent, id, update).await.unwrap();

    let again = bot.opens(with("desktop")).await;

    assert_eq!(again.value.device.as_deref(), Some("desktop"));
}

pub(crate) async fn the_trash_hides_from_lists_and_lookup_and_nowhere_else(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.hears("c", 1, "hi").await;
    bot.hears("d", 2, "hi").await;
    let before = bot.fetch("c").await;
    world.clock.advance_micros(1);

    let answer = bot.store.delete_conversation(bot.agent, ConversationId(1)).await.unwrap();

    let deleted_at = "2026-03-02T09:15:00.000001Z";
    assert_eq!(json(&answer), json!({"id": 1, "conversation_id": "c", "is_deleted": true, "deleted_at": deleted_at}));
    let mut expected = before;
    expected["is_deleted"] = json!(true);
    expected["deleted_at"] = json!(deleted_at);
    assert_eq!(bot.fetch("c").await, expected);
    assert_eq!(bot.fetch(1).await, expected);
    assert_eq!(bot.list(all()).await, ["d"]);
    assert_eq!(bot.list(ConversationFilter { include_deleted: true, ..all() }).await, ["d", "c"]);
    assert_eq!(missing(bot.store.lookup(bot.agent, "c").await), Missing::Conversation);
    assert_eq!(json(&bot.store.lookup(bot.agent, "d").await.unwrap()), json!({"id": 2, "conversation_id": "d"}));
    bot.store.rename_conversation(bot.agent, ConversationId(1), "still".to_owned()).await.unwrap();
    assert_eq!(bot.fields("c", ["name", "is_deleted"]).await, [json!("still"), json!(true)]);
}

pub(crate) async fn what_is_deleted_cannot_be_deleted_again(world: World) {
    let bot = world.bot("helpdesk").await;
    let id = bot.opens(conversation("c")).await.value.id;
    bot.store.delete_conversation(bot.agent, id).await.unwrap();

    for id in [id, NONE] {
        assert_eq!(missing(bot.store.delete_conversation(bot.agent, id).await), Missing::UndeletedConversation);
    }

    assert_eq!(bot.list(ConversationFilter { include_deleted: true, ..all() }).await, ["c"]);
}

pub(crate) async fn feedback_is_a_new_row_each_time_oldest_first(world: World) {
    let bot = world.bot("helpdesk").await;
    let new = NewConversation { environment: Some("dev".to_owned()), ..conversation("c") };
    let id = bot.opens(new).await.value.id;
    let late = NewFeedback {
        sentiment: Sentiment::Negative,
        comment: Some("Too slow. 🐌".to_owned()),
        metadata: document(r#"{"rating": 2}"#),
        created_at: at(60),
        ..feedback(named("c"))
    };

    let answer = bot.store.record_feedback(bot.agent, FeedbackSource::Customer, late).await.unwrap();
    bot.store.record_feedback(bot.agent, FeedbackSource::Platform, feedback(keyed(id))).await.unwrap();

    let row = |id: i64, sentiment: &str, source: &str, comment, metadata, created_at: Timestamp| {
        let comment: Option<&str> = comment;
        let metadata: serde_json::Value = metadata;
        json!({
            "id": id, "kind": "conversation", "agent": 1, "conversation": 1, "conversation_id": "c", "message": null,
            "user": null, "environment": "development", "environment_id": 2, "sentiment": sentiment, "category": null,
            "comment": comment, "topic": null, "reason": null, "source": source, "metadata": metadata,
            "created_at": created_at.to_string(),
        })
    };
    let first = row(1, "negative", "customer", Some("Too slow. 🐌"), json!({"rating": 2}), at(60));
    let second = row(2, "neutral", "platform", None, json!({}), at(0));
    assert_eq!(answer.environment_id, Some(EnvironmentId(2)));
    assert_eq!(json(&answer), first);
    assert_eq!(bot.fields("c", ["feedbacks", "feedback_count"]).await, [json!([second, first]), json!(2)]);
    let lists = bot.store.list_conversations(bot.agent, all(), Extent::Page(page(1, 5))).await.unwrap();
    assert_eq!(json(&lists.rows[0].feedbacks), json!([second, first]));
}

pub(crate) async fn feedback_makes_no_conversation_and_reaches_the_trash(world: World) {
    let bot = world.bot("helpdesk").await;
    let id = bot.opens(conversation("c")).await.value.id;
    bot.store.delete_conversation(bot.agent, id).await.unwrap();
    let give = |target| bot.store.record_feedback(bot.agent, FeedbackSource::Customer, feedback(target));

    for target in [named("new"), keyed(NONE), Target { id: Some(NONE), name: Some("new".to_owned()) }] {
        assert_eq!(missing(give(target).await), Missing::Conversation);
    }
    give(named("c")).await.unwrap();
    give(Target { id: Some(NONE), name: Some("c".to_owned()) }).await.unwrap();
    give(Target { id: Some(id), name: Some("new".to_owned()) }).await.unwrap();

    assert_eq!(bot.fields("c", ["feedback_count", "is_used"]).await, [json!(3), json!(false)]);
    assert_eq!(bot.list(ConversationFilter { include_deleted: true, ..all() }).await, ["c"]);
}
