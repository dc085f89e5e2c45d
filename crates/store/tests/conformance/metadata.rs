//! Metadata of conversations as a filter, and its keys and values as lists.

use agentsight_model::filter::ConversationFilter;
use agentsight_model::ids::ConversationId;
use agentsight_model::manage::ConversationUpdate;
use agentsight_model::metadata::MetadataTerm;
use agentsight_model::track::{NewConversation, NewEvent};
use serde_json::json;

use crate::world::{Bot, World, all, at, conversation, document, event, json, named, said};

async fn holds(bot: &Bot, terms: &str) -> Vec<String> {
    bot.list(ConversationFilter { metadata: MetadataTerm::parse_list(terms).unwrap(), ..all() }).await
}

async fn opens(bot: &Bot, name: &str, metadata: &str) {
    bot.opens(NewConversation { metadata: Some(document(metadata)), ..conversation(name) }).await;
}

pub(crate) async fn a_value_is_found_typed_or_as_text(world: World) {
    let bot = world.bot("helpdesk").await;
    opens(&bot, "number", r#"{"v": 1}"#).await;
    opens(&bot, "text", r#"{"v": "1"}"#).await;
    opens(&bot, "float", r#"{"v": 1.5, "w": 1.0}"#).await;
    opens(&bot, "true", r#"{"v": true}"#).await;
    opens(&bot, "word", r#"{"v": "true"}"#).await;
    opens(&bot, "null", r#"{"v": null}"#).await;
    opens(&bot, "list", r#"{"v": [3, "1", {"x": 9}]}"#).await;
    opens(&bot, "none", r#"{"other": 1}"#).await;

    for (terms, expected) in [
        ("v:1", &["list", "text", "number"] as &[&str]),
        ("w:1", &["float"]),
        ("v:1.5", &["float"]),
        ("v: true ", &["word", "true"]),
        ("v:True", &[]),
        ("v:null", &["null"]),
        ("v:3", &["list"]),
        ("v:9", &[]),
        ("v:", &[]),
        ("V:1", &[]),
        ("v:1,v:3", &["list"]),
        ("v:1.5,w:1", &["float"]),
        ("v:1,w:1", &[]),
    ] {
        assert_eq!(holds(&bot, terms).await, expected, "{terms}");
    }
}

pub(crate) async fn a_dot_path_leads_into_objects_after_the_literal_key(world: World) {
    let bot = world.bot("helpdesk").await;
    opens(&bot, "nested", r#"{"analysis": {"room": "kitchen", "deep": {"er": [1, 2]}}}"#).await;
    opens(&bot, "literal", r#"{"analysis.room": "kitchen"}"#).await;
    opens(&bot, "both", r#"{"analysis.room": "bath", "analysis": {"room": "kitchen"}}"#).await;

    assert_eq!(holds(&bot, "analysis.room:kitchen").await, ["literal", "nested"]);
    assert_eq!(holds(&bot, "analysis.room:bath").await, ["both"]);
    assert_eq!(holds(&bot, "analysis.deep.er:2").await, ["nested"]);
    assert_eq!(holds(&bot, "analysis:kitchen").await, [""; 0]);
}

pub(crate) async fn a_replaced_document_is_found_by_its_new_values_alone(world: World) {
    let bot = world.bot("helpdesk").await;
    opens(&bot, "c", r#"{"plan": "gold", "kept": 1}"#).await;
    let update = |text: &str| ConversationUpdate { metadata: Some(document(text)), ..ConversationUpdate::default() };

    let new = update(r#"{"plan": "silver", "kept": 1}"#);
    bot.store.update_conversation(bot.agent, ConversationId(1), new).await.unwrap();

    assert_eq!(holds(&bot, "plan:gold").await, [""; 0]);
    assert_eq!(holds(&bot, "plan:silver,kept:1").await, ["c"]);
    bot.store.update_conversation(bot.agent, ConversationId(1), update("{}")).await.unwrap();
    assert_eq!(holds(&bot, "kept:1").await, [""; 0]);
    opens(&bot, "c", r#"{"filled": "again"}"#).await;
    assert_eq!(holds(&bot, "filled:again").await, ["c"]);
}

pub(crate) async fn long_values_and_odd_keys_are_told_apart(world: World) {
    let bot = world.bot("helpdesk").await;
    let long = "ž".repeat(500);
    opens(&bot, "long", &json!({"t": long, "a b": "x y", "%": "_", "'": "\""}).to_string()).await;
    opens(&bot, "longer", &json!({"t": format!("{long}!")}).to_string()).await;

    assert_eq!(holds(&bot, &format!("t:{long}")).await, ["long"]);
    assert_eq!(holds(&bot, &format!("t:{long}!")).await, ["longer"]);
    assert_eq!(holds(&bot, "a b:x y,%:_,':\"").await, ["long"]);
    assert_eq!(holds(&bot, "_:_").await, [""; 0]);
}

pub(crate) async fn keys_and_values_are_listed_from_what_is_not_in_the_trash(world: World) {
    let (bot, other) = (world.bot("helpdesk").await, world.bot("sales").await);
    opens(&bot, "a", r#"{"plan": "pro", "Order": {"id": 7}, "tags": ["x", "y"], "n": null}"#).await;
    opens(&bot, "b", r#"{"plan": "basic", "vip": true}"#).await;
    opens(&bot, "c", r#"{"plan": "pro", "Order": {"id": 7.5}}"#).await;
    opens(&bot, "gone", r#"{"plan": "trash", "secret": 1}"#).await;
    opens(&other, "theirs", r#"{"plan": "theirs", "elsewhere": 1}"#).await;
    bot.store.delete_conversation(bot.agent, ConversationId(4)).await.unwrap();
    let metadata = document(r#"{"latency_ms": 5, "image": {"url": "x"}}"#);
    bot.does(NewEvent { metadata, ..event(named("a"), 1, said("x")) }).await;
    bot.does(NewEvent { metadata: document(r#"{"hidden": 5}"#), ..event(named("gone"), 1, said("x")) }).await;

    let keys = bot.store.metadata_keys(bot.agent).await.unwrap();
    let message_keys = bot.store.message_metadata_keys(bot.agent).await.unwrap();
    let values = |key: &str| bot.store.metadata_values(bot.agent, key.to_owned());

    assert_eq!(keys.keys, ["n", "Order.id", "plan", "tags", "vip"]);
    assert_eq!(message_keys.keys, ["image.url", "latency_ms"]);
    assert_eq!(json(&values("plan").await.unwrap()), json!({"key": "plan", "values": ["basic", "pro"]}));
    assert_eq!(json(&values("Order.id").await.unwrap()), json!({"key": "Order.id", "values": [7, 7.5]}));
    assert_eq!(json(&values("tags").await.unwrap()), json!({"key": "tags", "values": ["x", "y"]}));
    assert_eq!(json(&values("vip").await.unwrap()), json!({"key": "vip", "values": [true]}));
    assert_eq!(json(&values("nowhere").await.unwrap()), json!({"key": "nowhere", "values": []}));
}

pub(crate) async fn at_most_two_hundred_keys_and_values_are_listed(world: World) {
    let bot = world.bot("helpdesk").await;
    let many: serde_json::Map<_, _> = (0..250).map(|n| (format!("k{n:03}"), json!(n))).collect();
    opens(&bot, "keys", &serde_json::Value::from(many).to_string()).await;
    let list: Vec<_> = (0..250).collect();
    opens(&bot, "values", &json!({"v": list}).to_string()).await;

    let keys = bot.store.metadata_keys(bot.agent).await.unwrap().keys;
    let values = bot.store.metadata_values(bot.agent, "v".to_owned()).await.unwrap().values;

    assert_eq!((keys.len(), keys[199].as_str(), values.len()), (200, "k199", 200));
    assert_eq!(bot.id("keys").await, ConversationId(1));
    assert_eq!(bot.fields("keys", ["started_at"]).await, [json!(at(0).to_string())]);
}
