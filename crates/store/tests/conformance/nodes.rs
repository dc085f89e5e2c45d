//! Several openings of one store: nodes at one PostgreSQL, processes at one folder of SQLite.
//!
//! Whatever two of them do at once, the outcome is that of one after the other.

use std::collections::BTreeSet;

use agentsight_model::feedback::Sentiment;
use agentsight_model::key::Role;
use agentsight_model::manage::ticket::NewTicket;
use agentsight_store::{Appended, Error, Store};
use serde_json::json;

use crate::feedbacks::{definition, gives, ticket, vote};
use crate::world::{Bot, World, all, conversation, event, named, ran, said, sent_as};

/// The same bot, at each of two nodes.
async fn at_two_nodes(world: &World) -> [Bot; 2] {
    let here = world.bot("helpdesk").await;
    let there = Bot { store: world.neighbour(), agent: here.agent };
    [here, there]
}

/// Runs the same thing on both nodes at once and gives back what came of it.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    bots: &[Bot; 2],
    work: impl Fn(Bot) -> F,
) -> [T; 2] {
    let [here, there] = bots.clone().map(|bot| tokio::spawn(work(bot)));
    [here.await.unwrap(), there.await.unwrap()]
}

pub(crate) async fn nodes_that_make_the_same_conversation_make_one(world: World) {
    let bots = at_two_nodes(&world).await;

    for n in 0..40 {
        let stored = at_once(&bots, move |bot| async move { bot.opens(conversation(&n.to_string())).await }).await;
        assert_eq!(stored[0].value.id, stored[1].value.id);
        assert_eq!(stored.iter().filter(|stored| stored.created).count(), 1, "{n}");
    }

    assert_eq!(bots[1].list(all()).await.len(), 40);
    bots[1].store.close().await;
}

pub(crate) async fn nodes_that_hear_the_same_request_store_it_once(world: World) {
    let bots = at_two_nodes(&world).await;

    for n in 0..40 {
        // Half of them make their conversation, too.
        let name = if n % 2 == 0 { "c".to_owned() } else { n.to_string() };
        let [one, other] = at_once(&bots, move |bot| {
            let event = sent_as(n, event(named(&name), n, said("hello")));
            async move { bot.does(event).await }
        })
        .await;
        let (Appended::Message(first), Appended::Message(second)) = (one.value, other.value) else {
            panic!("no message")
        };
        assert_eq!(first.id, second.id, "{n}");
        assert!(one.created != other.created, "{n}");
    }

    assert_eq!(bots[1].fields("c", ["message_count"]).await, [json!(20)]);
    bots[1].store.close().await;
}

pub(crate) async fn nodes_that_write_to_one_conversation_lose_no_count(world: World) {
    let bots = at_two_nodes(&world).await;

    let writes: Vec<_> = (0..200)
        .map(|n: i64| {
            let bot = bots[usize::try_from(n % 2).unwrap()].clone();
            let (conversation, action) = (format!("c{}", n % 3), format!("tool {}", n % 7));
            tokio::spawn(
                async move { bot.does(event(named(&conversation), n, ran(&action, crate::world::at(n)))).await },
            )
        })
        .collect();
    let mut ids = BTreeSet::new();
    let mut actions = BTreeSet::new();
    for write in writes {
        let Appended::ActionLog(log) = write.await.unwrap().value else { panic!("no log") };
        assert!(ids.insert(log.id), "an id was given twice");
        actions.insert(log.action);
    }

    assert_eq!(actions.len(), 7);
    for (name, count, first, last) in [("c0", 67, 0, 198), ("c1", 67, 1, 199), ("c2", 66, 2, 197)] {
        let whole = bots[0].store.fetch_conversation(bots[0].agent, name.into()).await.unwrap();
        assert_eq!((whole.message_count, whole.messages.len()), (count, usize::try_from(count).unwrap()));
        assert_eq!((whole.started_at, whole.ended_at), (crate::world::at(first), crate::world::at(last)));
    }
    assert_eq!(bots[0].list(all()).await.len(), 3);
    bots[1].store.close().await;
}

pub(crate) async fn nodes_that_meet_the_same_agent_make_one(world: World) {
    let stores: [Store; 2] = [world.store.clone(), world.neighbour()];

    for n in 0..20 {
        let keys = stores.clone().map(|store| {
            tokio::spawn(async move { store.mint_key(&format!("bot {n}"), Role::Write, None).await.unwrap() })
        });
        let [one, other] = keys;
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!(one.agent, other.agent);
        assert!(one.agent_is_new != other.agent_is_new);
        let added = stores
            .clone()
            .map(|store| tokio::spawn(async move { store.add_environment(one.agent, "Staging", false).await.is_ok() }));
        let [one, other] = added;
        assert!(one.await.unwrap() != other.await.unwrap());
    }

    assert_eq!(stores[1].list_keys().await.unwrap().len(), 40);
    stores[1].close().await;
}

pub(crate) async fn what_one_node_hears_is_found_at_the_other(world: World) {
    let [here, there] = at_two_nodes(&world).await;

    here.hears("c", 1, "the quick brown fox").await;
    assert_eq!(there.search("quick").await, ["c"]);
    world.indexed().await;
    assert_eq!(there.search("quick").await, ["c"]);
    there.hears("d", 1, "a quick answer").await;

    assert_eq!(here.search("quick").await, ["d", "c"]);
    there.store.close().await;
}

pub(crate) async fn nodes_that_vote_on_one_message_leave_one_vote(world: World) {
    let bots = at_two_nodes(&world).await;

    for n in 0..20 {
        let message = bots[0].hears("c", n, "hi").await.id;
        let votes = at_once(&bots, move |bot| async move { gives(&bot, vote(message, Sentiment::Positive)).await });
        let [one, other] = votes.await.map(Result::unwrap);
        assert_eq!(one.value.id, other.value.id, "{n}");
        assert!(one.created != other.created, "{n}");
    }

    assert_eq!(bots[1].fields("c", ["feedback_count"]).await, [json!(20)]);
    bots[1].store.close().await;
}

pub(crate) async fn nodes_that_vote_and_take_back_lose_no_count(world: World) {
    let bots = at_two_nodes(&world).await;
    let message = bots[0].hears("c", 0, "hi").await.id;

    for _ in 0..20 {
        let first = gives(&bots[0], vote(message, Sentiment::Positive)).await.unwrap().value.id;
        at_once(&bots, move |bot| async move {
            // Either is first, or both find something gone.
            let _ = bot.store.delete_feedback(bot.agent, first).await;
            let _ = gives(&bot, vote(message, Sentiment::Negative)).await;
        })
        .await;
        let whole = bots[1].fetch("c").await;
        let votes = u64::from(!whole["messages"][0]["feedback"].is_null());
        assert_eq!(whole["feedback_count"], votes);
    }

    bots[1].store.close().await;
}

pub(crate) async fn nodes_that_file_tickets_of_one_feedback_file_one(world: World) {
    let bots = at_two_nodes(&world).await;
    let message = bots[0].hears("c", 0, "hi").await;

    for n in 0..20 {
        let message = bots[0].hears("c", n, "hi").await.id;
        let feedback = gives(&bots[0], vote(message, Sentiment::Negative)).await.unwrap().value.id;
        let filed = at_once(&bots, move |bot| async move {
            let new = NewTicket { feedback: Some(feedback), ..ticket("t") };
            bot.store.create_ticket(bot.agent, None, new).await
        })
        .await;
        let [one, other] = &filed;
        assert!(one.is_ok() != other.is_ok(), "{n}: {filed:?}");
        let refusal = if one.is_ok() { other } else { one };
        assert!(matches!(refusal, Err(Error::Refused(_))), "{n}: {refusal:?}");
    }

    let whole = bots[1].fetch(message.conversation).await;
    assert_eq!(whole["tickets"].as_array().unwrap().len(), 20);
    bots[1].store.close().await;
}

pub(crate) async fn nodes_that_define_one_action_define_it_once(world: World) {
    let bots = at_two_nodes(&world).await;

    for n in 0..20 {
        let defined = at_once(&bots, move |bot| async move {
            bot.store.create_action(bot.agent, definition(&format!("tool {n}"))).await
        })
        .await;
        assert_eq!(defined.iter().filter(|result| result.is_ok()).count(), 1, "{n}: {defined:?}");
        let other = defined.iter().find(|result| result.is_err()).unwrap();
        assert!(matches!(other, Err(Error::Refused(_))), "{n}: {other:?}");
    }

    bots[1].store.close().await;
}
