//! Token counters of SDK 0.0.x, which are totals of their process.

use agentsight_model::time::Timestamp;
use agentsight_model::track::NewEvent;
use serde_json::{Value, json};

use crate::world::{Bot, World, at, document, event, named, ran, sent_as};

async fn post(bot: &Bot, conversation: &str, metadata: &Value) {
    let metadata = document(&metadata.to_string());
    bot.does(NewEvent { metadata, ..event(named(conversation), 1, ran("token_usage", at(1))) }).await;
}

fn counters(prompt: i64, completion: i64) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, "embedding_tokens": 0})
}

/// Prompt, completion and total booked on each conversation.
async fn booked<const N: usize>(bot: &Bot, conversations: [&str; N]) -> Vec<Option<[i64; 3]>> {
    let mut all = Vec::new();
    for conversation in conversations {
        let usage = bot.store.fetch_conversation(bot.agent, conversation.into()).await.unwrap().token_usage.unwrap();
        all.push(
            usage.map(|usage| [usage.totals.prompt_tokens, usage.totals.completion_tokens, usage.totals.total_tokens]),
        );
    }
    all
}

pub(crate) async fn posted_tokens_stand_on_the_conversation(world: World) {
    let bot = world.bot("helpdesk").await;

    post(&bot, "c", &json!({"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 1, "embedding_tokens": 4}))
        .await;

    let counts = json!({"prompt_tokens": 30, "completion_tokens": 12, "embedding_tokens": 4, "total_tokens": 46});
    let mut model = counts.clone();
    model["model"] = json!(null);
    model["cost_source"] = json!("unpriced");
    model["cost_usd"] = json!("0.00000000");
    let [usage, messages] = bot.fields("c", ["token_usage", "messages"]).await;
    assert_eq!(
        usage,
        json!({"totals": counts, "cost_usd": "0.00000000", "cost_sources": ["unpriced"], "models": [model]})
    );
    assert_eq!(messages[0]["content"], json!("Action token_usage performed"));
    assert_eq!(messages[0]["action_logs"][0]["metadata"], messages[0]["metadata"]);
}

pub(crate) async fn only_what_came_on_top_is_booked(world: World) {
    let bot = world.bot("helpdesk").await;

    post(&bot, "a", &counters(100, 10)).await;
    post(&bot, "b", &counters(150, 15)).await;
    post(&bot, "a", &counters(175, 15)).await;
    post(&bot, "c", &counters(175, 15)).await;

    assert_eq!(booked(&bot, ["a", "b", "c"]).await, [Some([125, 10, 135]), Some([50, 5, 55]), None]);
    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(1)]);
}

pub(crate) async fn two_processes_are_told_apart(world: World) {
    let bot = world.bot("helpdesk").await;

    post(&bot, "a", &counters(100, 50)).await;
    post(&bot, "b", &counters(10, 90)).await;
    post(&bot, "a", &counters(110, 50)).await;
    post(&bot, "b", &counters(10, 95)).await;
    post(&bot, "a", &counters(120, 60)).await;

    assert_eq!(booked(&bot, ["a", "b"]).await, [Some([120, 60, 180]), Some([10, 95, 105])]);
}

pub(crate) async fn the_largest_process_that_fits_is_continued(world: World) {
    let bot = world.bot("helpdesk").await;
    post(&bot, "small", &counters(20, 0)).await;
    post(&bot, "large", &counters(0, 50)).await;

    post(&bot, "c", &counters(21, 51)).await;
    post(&bot, "d", &counters(22, 0)).await;

    assert_eq!(booked(&bot, ["c", "d"]).await, [Some([21, 1, 22]), Some([2, 0, 2])]);
}

pub(crate) async fn a_process_that_was_silent_for_a_day_is_forgotten(world: World) {
    let bot = world.bot("helpdesk").await;
    post(&bot, "a", &counters(100, 0)).await;
    world.clock.advance_micros(Timestamp::DAY);
    post(&bot, "b", &counters(110, 0)).await;
    world.clock.advance_micros(Timestamp::DAY + 1);
    post(&bot, "c", &counters(120, 0)).await;

    assert_eq!(booked(&bot, ["a", "b", "c"]).await, [Some([100, 0, 100]), Some([10, 0, 10]), Some([120, 0, 120])]);
}

pub(crate) async fn agents_count_apart(world: World) {
    let (bot, other) = (world.bot("helpdesk").await, world.bot("sales").await);

    post(&bot, "c", &counters(100, 0)).await;
    post(&other, "c", &counters(110, 0)).await;

    assert_eq!(booked(&bot, ["c"]).await, [Some([100, 0, 100])]);
    assert_eq!(booked(&other, ["c"]).await, [Some([110, 0, 110])]);
}

pub(crate) async fn an_agent_may_have_counters_booked_as_posted(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.store.set_cumulative_token_counters(bot.agent, false).await.unwrap();
    post(&bot, "c", &counters(100, 0)).await;
    post(&bot, "c", &counters(110, 0)).await;
    bot.store.set_cumulative_token_counters(bot.agent, true).await.unwrap();
    post(&bot, "d", &counters(120, 0)).await;
    post(&bot, "d", &counters(125, 0)).await;

    assert_eq!(booked(&bot, ["c", "d"]).await, [Some([210, 0, 210]), Some([125, 0, 125])]);
}

pub(crate) async fn no_counts_and_no_difference_book_nothing(world: World) {
    let bot = world.bot("helpdesk").await;

    for metadata in [json!({}), json!({"prompt_tokens": null}), json!({"other": 1}), counters(0, 0)] {
        post(&bot, "c", &metadata).await;
    }

    assert_eq!(booked(&bot, ["c"]).await, [None]);
    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(4)]);
}

pub(crate) async fn a_total_alone_is_booked(world: World) {
    let bot = world.bot("helpdesk").await;
    let total = |n: i64| json!({"prompt_tokens": 0, "completion_tokens": 0, "embedding_tokens": 0, "total_tokens": n});

    post(&bot, "c", &total(9)).await;
    post(&bot, "c", &total(12)).await;

    assert_eq!(booked(&bot, ["c"]).await, [Some([0, 0, 12])]);
}

pub(crate) async fn a_resent_counter_is_booked_once(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.store.set_cumulative_token_counters(bot.agent, false).await.unwrap();
    let metadata = document(&counters(5, 5).to_string());
    let sent = sent_as(1, NewEvent { metadata, ..event(named("c"), 1, ran("token_usage", at(1))) });

    bot.does(sent.clone()).await;
    bot.does(sent).await;

    assert_eq!(booked(&bot, ["c"]).await, [Some([5, 5, 10])]);
}
