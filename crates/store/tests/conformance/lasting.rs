//! What the store promises of its writes: they last, they do not harm each other, their queue is bounded.

use std::time::Duration;

use agentsight_model::filter::ConversationFilter;
use agentsight_model::ids::ConversationId;
use agentsight_model::key::Role;
use agentsight_store::{Error, Missing, Part};
use serde_json::json;

use crate::world::{World, all, conversation, event, files, keyed, missing, named, said};

pub(crate) async fn reopening_keeps_everything(world: World) {
    let bot = world.bot("helpdesk").await;
    let key = world.store.mint_key("helpdesk", Role::Read, None).await.unwrap().key;
    bot.hears("c", 1, "hello").await;
    bot.runs("c", 2, "lookup").await;
    let file = bot.receives(event(named("c"), 3, files(None, &[("a.txt", "text/plain", b"bytes")]))).await;
    bot.hears("gone", 1, "bye").await;
    bot.store.delete_conversation(bot.agent, bot.id("gone").await).await.unwrap();
    let secret = world.store.secret("links").await.unwrap();
    let before = (bot.fetch("c").await, bot.fetch("gone").await);

    let world = world.reopened().await;
    let bot = bot.in_world(&world);

    assert_eq!((bot.fetch("c").await, bot.fetch("gone").await), before);
    assert_eq!(bot.list(all()).await, ["c"]);
    assert_eq!(bot.search("hello").await, ["c"]);
    assert_eq!(world.store.identify(&key.hash()).await.unwrap().unwrap().agent, bot.agent);
    assert_eq!(world.store.secret("links").await.unwrap(), secret);
    assert_ne!(world.store.secret("other").await.unwrap(), secret);
    let file = world.store.fetch_file(bot.agent, file.conversation, file.id, Part::Whole).await.unwrap();
    let bytes = file.bytes.collect().await.unwrap();
    assert_eq!(&bytes[..], b"bytes");
    world.store.check().await.unwrap();
}

pub(crate) async fn ids_are_never_used_again(mut world: World) {
    let bot = world.bot("helpdesk").await;
    let mut last = (0, 0);
    for round in 0..4 {
        let bot = bot.in_world(&world);
        for n in 0..40 {
            let message = bot.hears(&format!("{round}-{n}"), n, "x").await;
            let ids = (message.conversation.0, message.id.0);
            assert!(ids.0 > last.0 && ids.1 > last.1, "{ids:?} after {last:?}");
            last = ids;
            // What fails takes no id back.
            let _ = bot.store.append(bot.agent, event(keyed(ConversationId(9_999)), 1, said("x"))).await;
        }
        world = world.reopened().await;
    }
}

pub(crate) async fn a_closed_store_refuses_writes(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.hears("c", 1, "x").await;

    world.store.close().await;
    world.store.close().await;

    let late = bot.store.append(bot.agent, event(named("c"), 2, said("x"))).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    let late = bot.store.upsert_conversation(bot.agent, conversation("d")).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    assert!(matches!(world.store.check().await, Err(Error::Closed)));
}

pub(crate) async fn closing_finishes_the_writes_that_wait(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.opens(conversation("c")).await;
    let writes: Vec<_> = (0..100)
        .map(|n| {
            let bot = bot.clone();
            tokio::spawn(async move { bot.store.append(bot.agent, event(named("c"), n, said("x"))).await.is_ok() })
        })
        .collect();
    tokio::task::yield_now().await;
    world.store.close().await;

    let mut stored = 0;
    for write in writes {
        stored += u64::from(write.await.unwrap());
    }

    let world = world.reopened().await;
    assert_eq!(bot.in_world(&world).fields("c", ["message_count"]).await, [json!(stored)]);
}

pub(crate) async fn writes_that_fail_do_not_harm_their_neighbours(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.opens(conversation("c")).await;

    let writes: Vec<_> = (0..200)
        .map(|n| {
            let bot = bot.clone();
            tokio::spawn(async move {
                let target = if n % 5 == 0 { keyed(ConversationId(987)) } else { named("c") };
                (n % 5 == 0, bot.store.append(bot.agent, event(target, n, said(&n.to_string()))).await)
            })
        })
        .collect();
    for write in writes {
        match write.await.unwrap() {
            (true, result) => assert_eq!(missing(result), Missing::Conversation),
            (false, result) => assert!(result.unwrap().created),
        }
    }

    let whole = bot.store.fetch_conversation(bot.agent, "c".into()).await.unwrap();
    let contents: Vec<_> = whole.messages.iter().map(|message| message.content.clone()).collect();
    assert_eq!(contents, (0..200).filter(|n| n % 5 > 0).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(whole.message_count, 160);
    assert_eq!(bot.list(all()).await, ["c"]);
}

pub(crate) async fn a_short_queue_makes_writers_wait_and_loses_nothing(world: World) {
    let bot = world.bot("helpdesk").await;
    let world = world.reopened_with(|config| config.queue_bytes = 700).await;
    let bot = bot.in_world(&world);

    let writes: Vec<_> = (0..120)
        .map(|n| {
            let bot = bot.clone();
            // Some are larger than the whole queue.
            let content = "x".repeat(if n % 10 == 0 { 5_000 } else { 5 });
            tokio::spawn(async move { bot.hears("c", n, &content).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }

    assert_eq!(bot.fields("c", ["message_count"]).await, [json!(120)]);
}

pub(crate) async fn a_read_past_its_time_is_too_slow(world: World) {
    let bot = world.bot("helpdesk").await;
    let writes: Vec<_> = (0..1_500)
        .map(|n| {
            let bot = bot.clone();
            tokio::spawn(async move { bot.opens(conversation(&n.to_string())).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    let world = world.reopened_with(|config| config.query_time = Duration::ZERO).await;
    let bot = bot.in_world(&world);

    let everything = bot.store.list_conversations(bot.agent, all(), agentsight_store::Extent::Everything).await;
    let one = ConversationFilter { conversation_id: Some("7".to_owned()), ..all() };

    assert!(matches!(everything, Err(Error::TooSlow { limit: Duration::ZERO })), "{:?}", everything.map(|f| f.count));
    assert_eq!(bot.list(one).await, ["7"]);
}
