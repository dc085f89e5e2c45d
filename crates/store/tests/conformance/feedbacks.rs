//! Votes, feedback on the agent, tickets and actions: what counts, and what hangs on what.

use agentsight_model::action::ActionFilter;
use agentsight_model::feedback::{Feedback, FeedbackFilter, FeedbackSource, Sentiment};
use agentsight_model::ids::{FeedbackId, MessageId, TicketId};
use agentsight_model::json::JsonText;
use agentsight_model::manage::action::{ActionChange, NewActionDefinition};
use agentsight_model::manage::feedback::{AgentFeedback, FeedbackPost, Vote};
use agentsight_model::manage::ticket::{NewTicket, TicketChange};
use agentsight_model::ticket::{TicketFilter, TicketStatus};
use agentsight_store::{Extent, Missing, Result, Stored};
use serde_json::json;

use crate::world::{Bot, World, at, json, missing, page, refused};

pub(crate) fn vote(message: MessageId, sentiment: Sentiment) -> FeedbackPost {
    FeedbackPost::Message(Vote {
        message,
        sentiment,
        comment: None,
        topic: None,
        reason: None,
        metadata: None,
        created_at: at(0),
    })
}

fn on_agent(seconds: i64) -> FeedbackPost {
    FeedbackPost::Agent(AgentFeedback {
        sentiment: Sentiment::Neutral,
        comment: None,
        environment: None,
        metadata: JsonText::EMPTY,
        created_at: at(seconds),
    })
}

pub(crate) fn ticket(title: &str) -> NewTicket {
    NewTicket {
        title: title.to_owned(),
        status: TicketStatus::Open,
        priority: None,
        tags: Vec::new(),
        environment: None,
        conversation: None,
        feedback: None,
    }
}

pub(crate) fn definition(name: &str) -> NewActionDefinition {
    NewActionDefinition { name: name.to_owned(), display_name: name.to_owned(), description: String::new() }
}

pub(crate) async fn gives(bot: &Bot, post: FeedbackPost) -> Result<Stored<Feedback>> {
    bot.store.give_feedback(bot.agent, FeedbackSource::Customer, post).await
}

/// How many pieces of feedback and tickets there are: by the totals, and counted.
async fn counted(bot: &Bot) -> [[u64; 2]; 2] {
    let one = Extent::Page(page(1, 1));
    let after = Some(at(-9_999));
    let feedback = async |filter| bot.store.list_feedbacks(bot.agent, filter, one).await.unwrap().found.count;
    let tickets = async |filter| bot.store.list_tickets(bot.agent, filter, one).await.unwrap().count;
    [
        [
            feedback(FeedbackFilter::default()).await,
            feedback(FeedbackFilter { created_at_after: after, ..FeedbackFilter::default() }).await,
        ],
        [
            tickets(TicketFilter::default()).await,
            tickets(TicketFilter { created_at_after: after, ..TicketFilter::default() }).await,
        ],
    ]
}

pub(crate) async fn first_votes_at_once_are_one_vote(world: World) {
    let bot = world.bot("helpdesk").await;
    let message = bot.hears("c", 1, "hi").await.id;

    let votes = futures_util::future::join_all((0..20).map(|_| gives(&bot, vote(message, Sentiment::Positive)))).await;

    let votes: Vec<Stored<Feedback>> = votes.into_iter().map(Result::unwrap).collect();
    assert_eq!(votes.iter().filter(|vote| vote.created).count(), 1);
    assert!(votes.iter().all(|vote| vote.value.id == votes[0].value.id));
    assert_eq!(bot.fields("c", ["feedback_count"]).await, [json!(1)]);
    assert_eq!(counted(&bot).await, [[1, 1], [0, 0]]);
}

pub(crate) async fn counts_stay_exact_however_feedback_and_tickets_come_and_go(world: World) {
    let bot = world.bot("helpdesk").await;
    let other = world.bot("sales").await;
    gives(&other, on_agent(0)).await.unwrap();
    let message = bot.hears("c", 1, "hi").await;
    bot.is_told("c", Sentiment::Negative, FeedbackSource::Platform).await;
    let voted = gives(&bot, vote(message.id, Sentiment::Negative)).await.unwrap().value;
    gives(&bot, vote(message.id, Sentiment::Positive)).await.unwrap();
    let of_agent = gives(&bot, on_agent(3)).await.unwrap().value;
    gives(&bot, on_agent(4)).await.unwrap();
    let of_vote = NewTicket { feedback: Some(voted.id), ..ticket("a") };
    let filed = bot.store.create_ticket(bot.agent, None, of_vote.clone()).await.unwrap();
    let anchored = NewTicket { conversation: Some(message.conversation), ..ticket("b") };
    let second = bot.store.create_ticket(bot.agent, None, anchored).await.unwrap();
    assert_eq!(counted(&bot).await, [[4, 4], [2, 2]]);
    assert_eq!(bot.fields("c", ["feedback_count"]).await, [json!(2)]);
    assert_eq!(filed.conversation.as_ref().map(|c| c.id), Some(message.conversation));

    bot.store.delete_feedback(bot.agent, voted.id).await.unwrap();
    bot.store.delete_feedback(bot.agent, of_agent.id).await.unwrap();
    bot.store.delete_ticket(bot.agent, second.id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(missing(bot.store.delete_feedback(bot.agent, voted.id).await), Missing::Row);
        assert_eq!(missing(bot.store.delete_ticket(bot.agent, second.id).await), Missing::Row);
    }
    let gone = bot.store.create_ticket(bot.agent, None, of_vote).await;

    let text = format!("Invalid pk \"{}\" - object does not exist.", voted.id);
    assert_eq!(refused(gone), json!({"feedback_id": [text]}));
    assert_eq!(counted(&bot).await, [[2, 2], [1, 1]]);
    assert_eq!(counted(&other).await, [[1, 1], [0, 0]]);
    let whole = bot.fetch(message.conversation).await;
    assert_eq!((&whole["feedback_count"], &whole["messages"][0]["feedback"]), (&json!(1), &json!(null)));
    assert_eq!((whole["tickets"].as_array().unwrap().len(), &whole["tickets"][0]["title"]), (1, &json!("a")));
    let left = bot.store.fetch_ticket(bot.agent, filed.id).await.unwrap();
    assert_eq!(left.feedback, None);
    // What is gone may come again, as another row.
    assert!(gives(&bot, vote(message.id, Sentiment::Neutral)).await.unwrap().created);
    assert_eq!(bot.fields("c", ["feedback_count"]).await, [json!(2)]);
}

pub(crate) async fn a_thread_goes_with_its_ticket_and_no_other(world: World) {
    let bot = world.bot("helpdesk").await;
    let mut ids = Vec::new();
    for title in ["a", "b"] {
        let id = bot.store.create_ticket(bot.agent, Some("CI bot".to_owned()), ticket(title)).await.unwrap().id;
        for body in ["one", "two"] {
            let label = (body == "one").then(|| "CI bot".to_owned());
            bot.store.comment_ticket(bot.agent, id, label, format!("{title} {body}")).await.unwrap();
        }
        ids.push(id);
    }

    bot.store.delete_ticket(bot.agent, ids[0]).await.unwrap();

    assert_eq!(missing(bot.store.list_ticket_comments(bot.agent, ids[0], Extent::Everything).await), Missing::Row);
    let thread = bot.store.list_ticket_comments(bot.agent, ids[1], Extent::Everything).await.unwrap().rows;
    let said: Vec<_> = thread.iter().map(|comment| (comment.author.as_str(), comment.body.as_str())).collect();
    assert_eq!(said, [("CI bot", "b one"), ("helpdesk", "b two")]);
    assert_eq!(bot.store.fetch_ticket(bot.agent, ids[1]).await.unwrap().comments, thread);
}

pub(crate) async fn another_agents_opinions_and_tickets_are_not_there(world: World) {
    let (owner, stranger) = (world.bot("helpdesk").await, world.bot("sales").await);
    let (store, them) = (&world.store, stranger.agent);
    let message = owner.hears("c", 1, "hi").await;
    let feedback = gives(&owner, vote(message.id, Sentiment::Neutral)).await.unwrap().value.id;
    let filed = store.create_ticket(owner.agent, None, ticket("t")).await.unwrap().id;
    let action = store.create_action(owner.agent, definition("a")).await.unwrap().id;
    let change = TicketChange { status: Some(TicketStatus::Done), ..TicketChange::default() };
    let renamed = ActionChange { name: Some("b".to_owned()), ..ActionChange::default() };

    assert_eq!(
        refused(gives(&stranger, vote(message.id, Sentiment::Neutral)).await),
        json!({"message": ["Message not found."]})
    );
    assert_eq!(missing(store.fetch_feedback(them, feedback).await), Missing::Row);
    assert_eq!(missing(store.delete_feedback(them, feedback).await), Missing::Row);
    assert_eq!(missing(store.fetch_ticket(them, filed).await), Missing::Row);
    assert_eq!(missing(store.update_ticket(them, filed, change).await), Missing::Row);
    assert_eq!(missing(store.comment_ticket(them, filed, None, "x".to_owned()).await), Missing::Row);
    assert_eq!(missing(store.delete_ticket(them, filed).await), Missing::Row);
    assert_eq!(missing(store.update_action(them, action, renamed).await), Missing::Row);
    assert_eq!(missing(store.list_action_logs(them, action).await), Missing::Row);
    assert_eq!(missing(store.replace_message_metadata(them, message.id, JsonText::EMPTY).await), Missing::Row);
    for (conversation, feedback) in [(Some(message.conversation), None), (None, Some(feedback))] {
        let new = NewTicket { conversation, feedback, ..ticket("mine") };
        assert!(refused(store.create_ticket(them, None, new).await).is_object());
    }

    assert_eq!(counted(&stranger).await, [[0, 0], [0, 0]]);
    assert_eq!(counted(&owner).await, [[1, 1], [1, 1]]);
    let actions = store.list_actions(them, ActionFilter::default(), Extent::Everything).await.unwrap();
    assert_eq!(actions.rows, []);
    assert_eq!(json(&store.fetch_ticket(owner.agent, filed).await.unwrap())["status"], "open");
    assert_eq!((feedback, filed), (FeedbackId(1), TicketId(1)));
}
