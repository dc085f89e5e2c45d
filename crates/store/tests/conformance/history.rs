//! Histories made by chance, told to the store and to a model that follows the contract in the
//! simplest way; afterwards both must hold the same.

use agentsight_model::feedback::{FeedbackSource, Sentiment};
use agentsight_model::filter::{ConversationFilter, Order, OrderBy};
use agentsight_model::ids::{ConversationId, MessageId};
use agentsight_model::manage::ConversationUpdate;
use agentsight_model::metadata::MetadataTerm;
use agentsight_model::time::Timestamp;
use agentsight_model::track::{Event, NewConversation, NewEvent, NewFeedback, Target};
use agentsight_store::{Appended, Error, Extent, Missing};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use serde_json::{Value, json};

use crate::world::{
    Bot, World, all, at, clicked, conversation, document, event, feedback, files, json, missing, page, ran, said,
    sent_as,
};

const NAMES: [&str; 4] = ["order-7", "order-8", "+385 1", "Ž"];
const TEXTS: [&str; 4] = ["a REFUND please", "Где Посылка?", "ab", "100%\nsure"];
const TITLES: [&str; 2] = ["Late parcel", "refund"];
const CUSTOMERS: [&str; 2] = ["anna", "Ben"];
const DOCUMENTS: [&str; 3] = ["{}", r#"{"plan":"gold","n":1}"#, r#"{"plan":"1","a":{"b":[1,2]}}"#];
const NEEDLES: [&str; 9] = ["refund", "ПОСЫЛКА", "a", "ab", "%", "order", "performed", "late parcel", "e\ns"];
const TERMS: [&str; 4] = ["plan:gold", "plan:1", "a.b:2", "n:1,plan:gold"];

/// How an operation names a conversation; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
struct Aim {
    name: Option<usize>,
    key: Option<usize>,
    strange_key: bool,
}

#[derive(Clone, Debug)]
enum What {
    Message(usize),
    Action(usize),
    Tokens(i64, i64),
    Click,
    Files,
    FilesOn(usize),
}

#[derive(Clone, Debug)]
enum Op {
    Upsert {
        name: usize,
        seconds: i64,
        used: Option<bool>,
        dev: bool,
        title: Option<usize>,
        customer: Option<usize>,
        metadata: Option<usize>,
    },
    Event {
        aim: Aim,
        seconds: i64,
        what: What,
        receipt: bool,
    },
    Resend(usize),
    Feedback {
        aim: Aim,
        positive: bool,
        platform: bool,
        seconds: i64,
    },
    Mark(usize, bool),
    Rename(usize, usize),
    Update {
        which: usize,
        customer: Option<Option<usize>>,
        metadata: Option<usize>,
    },
    Delete(usize),
    Advance(i64),
    Reopen,
}

fn aim() -> impl Strategy<Value = Aim> {
    (option::weighted(0.8, 0..NAMES.len()), option::weighted(0.4, 0..4_usize), prop::bool::weighted(0.1))
        .prop_map(|(name, key, strange_key)| Aim { name, key, strange_key })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => (0..TEXTS.len()).prop_map(What::Message),
        2 => (0..2_usize).prop_map(What::Action),
        2 => (0..40_i64, 0..40_i64).prop_map(|(prompt, completion)| What::Tokens(prompt, completion)),
        1 => Just(What::Click),
        1 => Just(What::Files),
        2 => (0..9_usize).prop_map(What::FilesOn),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let upsert = (
        0..NAMES.len(),
        -60..60_i64,
        any::<Option<bool>>(),
        any::<bool>(),
        option::of(0..TITLES.len()),
        option::of(0..CUSTOMERS.len()),
        option::of(0..DOCUMENTS.len()),
    );
    prop_oneof![
        3 => upsert.prop_map(|(name, seconds, used, dev, title, customer, metadata)| Op::Upsert { name, seconds, used, dev, title, customer, metadata }),
        8 => (aim(), -60..60_i64, what(), any::<bool>()).prop_map(|(aim, seconds, what, receipt)| Op::Event { aim, seconds, what, receipt }),
        4 => any::<usize>().prop_map(Op::Resend),
        2 => (aim(), any::<bool>(), any::<bool>(), -60..60_i64).prop_map(|(aim, positive, platform, seconds)| Op::Feedback { aim, positive, platform, seconds }),
        1 => (0..5_usize, any::<bool>()).prop_map(|(which, on)| Op::Mark(which, on)),
        1 => (0..5_usize, 0..TITLES.len()).prop_map(|(which, title)| Op::Rename(which, title)),
        1 => (0..5_usize, option::of(option::of(0..CUSTOMERS.len())), option::of(0..DOCUMENTS.len()))
            .prop_map(|(which, customer, metadata)| Op::Update { which, customer, metadata }),
        1 => (0..5_usize).prop_map(Op::Delete),
        2 => prop_oneof![Just(1), Just(4), Just(6), Just(24 * 60)].prop_map(Op::Advance),
        1 => Just(Op::Reopen),
    ]
}

/// A question to a list, with what a simple reader would answer.
#[derive(Clone, Debug)]
struct Question {
    needle: Option<usize>,
    in_messages: bool,
    term: Option<usize>,
    marked: Option<bool>,
    has_action: Option<bool>,
    positive: Option<bool>,
    dev: Option<bool>,
    deleted: bool,
    after: Option<i64>,
    order: Option<(usize, bool)>,
    size: u32,
}

fn question() -> impl Strategy<Value = Question> {
    let few = |p| option::weighted(p, any::<bool>());
    (
        (option::of(0..NEEDLES.len()), any::<bool>(), option::weighted(0.2, 0..TERMS.len()), few(0.2), few(0.2)),
        (
            few(0.2),
            few(0.2),
            any::<bool>(),
            option::weighted(0.2, -60..60_i64),
            option::of((0..4_usize, any::<bool>())),
            1..4_u32,
        ),
    )
        .prop_map(
            |((needle, in_messages, term, marked, has_action), (positive, dev, deleted, after, order, size))| {
                Question { needle, in_messages, term, marked, has_action, positive, dev, deleted, after, order, size }
            },
        )
}

struct Said {
    id: i64,
    at: Timestamp,
    receipt: Option<(i64, Timestamp)>,
    json: Value,
    /// Files that hang on it, with the receipt of each.
    files: Vec<(Value, Option<(i64, Timestamp)>)>,
}

struct Kept {
    id: i64,
    name: &'static str,
    title: Option<&'static str>,
    customer: Option<&'static str>,
    metadata: &'static str,
    dev: bool,
    used: bool,
    marked: bool,
    deleted_at: Option<Timestamp>,
    started: Timestamp,
    ended: Timestamp,
    said: Vec<Said>,
    feedback: Vec<(Timestamp, i64, Value)>,
    tokens: Vec<[i64; 3]>,
}

impl Kept {
    fn messages(&self) -> Vec<Value> {
        let mut sorted: Vec<&Said> = self.said.iter().collect();
        sorted.sort_by_key(|said| (said.at, said.id));
        let whole = |said: &&Said| {
            let mut json = said.json.clone();
            json["attachments"] = said.files.iter().map(|(file, _)| file.clone()).collect();
            json
        };
        sorted.iter().map(whole).collect()
    }

    fn json(&self) -> Value {
        let mut feedback: Vec<_> = self.feedback.iter().collect();
        feedback.sort_by_key(|(at, id, _)| (*at, *id));
        let usage = (!self.tokens.is_empty()).then(|| {
            let mut counts = json!({});
            for (n, key) in ["prompt_tokens", "completion_tokens", "total_tokens"].into_iter().enumerate() {
                let sum: i64 = self.tokens.iter().map(|row| row[n]).sum();
                if sum > 0 || n == 2 {
                    counts[key] = json!(sum);
                }
            }
            let mut model = counts.clone();
            model["model"] = json!(null);
            model["cost_source"] = json!("unpriced");
            model["cost_usd"] = json!("0.00000000");
            json!({"totals": counts, "cost_usd": "0.00000000", "cost_sources": ["unpriced"], "models": [model]})
        });
        json!({
            "id": self.id, "agent": 1, "conversation_id": self.name, "name": self.title, "customer_id": self.customer,
            "customer_ip_address": null, "device": null, "source": null, "language": null,
            "environment": if self.dev { "development" } else { "production" }, "environment_id": if self.dev { 2 } else { 1 },
            "is_marked": self.marked, "is_deleted": self.deleted_at.is_some(), "is_used": self.used,
            "started_at": self.started.to_string(), "ended_at": self.ended.to_string(),
            "deleted_at": self.deleted_at.map(|at| at.to_string()),
            "metadata": serde_json::from_str::<Value>(self.metadata).unwrap(), "geo_location": null,
            "message_count": self.said.len(), "feedback_count": self.feedback.len(), "messages": self.messages(),
            "feedbacks": feedback.iter().map(|(_, _, json)| json.clone()).collect::<Vec<_>>(), "tickets": [],
            "token_usage": usage,
        })
    }
}

struct Counter {
    at: [i64; 3],
    seen: Timestamp,
}

/// What should be, and the ids that the store gave it.
#[derive(Default)]
struct Model {
    kept: Vec<Kept>,
    counters: Vec<Counter>,
    actions: Vec<(String, i64)>,
    sent: Vec<NewEvent>,
    last_ids: [i64; 5],
}

const RESEND: i64 = 10 * Timestamp::MINUTE;

fn recent(receipt: Option<(i64, Timestamp)>, sent: Option<i64>, now: Timestamp) -> bool {
    receipt.zip(sent).is_some_and(|((known, came), sent)| known == sent && now.0 - came.0 <= RESEND)
}

impl Model {
    /// Takes an id that must be larger than all before it of its kind.
    fn fresh(&mut self, kind: usize, id: i64) -> i64 {
        assert!(id > self.last_ids[kind], "id {id} of kind {kind} was given after {}", self.last_ids[kind]);
        self.last_ids[kind] = id;
        id
    }

    fn target(&self, aim: &Aim) -> Target {
        let key = aim.key.and_then(|key| Some(self.kept.get(key % self.kept.len().max(1))?.id));
        let key = if aim.strange_key { Some(987_654) } else { key };
        // Without either the bodies are refused before they come here.
        let name = aim.name.or(if key.is_none() { Some(0) } else { None });
        Target { id: key.map(ConversationId), name: name.map(|name| NAMES[name].to_owned()) }
    }

    /// The conversation that a target leads to, or the name of the one that it would make.
    fn find(&self, target: &Target) -> Result<usize, Option<&'static str>> {
        if let Some(found) = target.id.and_then(|id| self.kept.iter().position(|kept| kept.id == id.0)) {
            return Ok(found);
        }
        let Some(name) = &target.name else { return Err(None) };
        let found = self.kept.iter().position(|kept| kept.name == *name);
        found.ok_or_else(|| NAMES.into_iter().find(|known| known == name))
    }

    fn make(&mut self, id: i64, name: &'static str, at: Timestamp, used: bool) -> usize {
        let id = self.fresh(0, id);
        self.kept.push(Kept {
            id,
            name,
            title: None,
            customer: None,
            metadata: "{}",
            dev: false,
            used,
            marked: false,
            deleted_at: None,
            started: at,
            ended: at,
            said: Vec::new(),
            feedback: Vec::new(),
            tokens: Vec::new(),
        });
        self.kept.len() - 1
    }

    fn book(&mut self, which: usize, prompt: i64, completion: i64, now: Timestamp) {
        let new = [prompt, completion, prompt + completion];
        self.counters.retain(|counter| now.0 - counter.seen.0 <= Timestamp::DAY);
        let fits = |counter: &Counter| counter.at.iter().zip(new).all(|(old, new)| *old <= new);
        let best = self.counters.iter_mut().filter(|counter| fits(counter)).max_by_key(|counter| counter.at[2]);
        let before = match best {
            Some(counter) => {
                counter.seen = now;
                std::mem::replace(&mut counter.at, new)
            }
            None => {
                self.counters.push(Counter { at: new, seen: now });
                [0; 3]
            }
        };
        let difference = [0, 1, 2].map(|n| new[n] - before[n]);
        if difference != [0; 3] {
            self.kept[which].tokens.push(difference);
        }
    }

    async fn sends(&mut self, bot: &Bot, event: NewEvent, now: Timestamp) {
        let answer = bot.store.append(bot.agent, event.clone()).await;
        let receipt = event.receipt.map(|receipt| receipt.0);
        let known = receipt.map(|receipt| (receipt, now));
        if let Event::Files { message: Some(message), .. } = &event.what {
            let place = self
                .kept
                .iter()
                .enumerate()
                .find_map(|(at, kept)| Some((at, kept.said.iter().position(|said| said.id == message.0)?)));
            let named = place.filter(|(at, _)| match (event.target.id, &event.target.name) {
                (Some(id), _) => id.0 == self.kept[*at].id,
                (None, Some(name)) => name == self.kept[*at].name,
                (None, None) => true,
            });
            let Some((at, n)) = named else { return assert_eq!(missing(answer), Missing::Message(message.0)) };
            let answer = answer.unwrap();
            let Appended::Files(stored) = &answer.value else { panic!("{answer:?}") };
            let files = json(&stored.attachments);
            let again = self.kept[at].said[n].files.iter().any(|(_, known)| recent(*known, receipt, now));
            assert_eq!(answer.created, !again, "{event:?}");
            if !again {
                for file in files.as_array().unwrap() {
                    self.fresh(2, file["id"].as_i64().unwrap());
                    self.kept[at].said[n].files.push((file.clone(), known));
                }
                self.kept[at].used = true;
            }
            return;
        }
        let found = match self.find(&event.target) {
            Ok(found) => found,
            Err(None) => return assert_eq!(missing(answer), Missing::Conversation),
            Err(Some(name)) => {
                let id = bot.id(name).await.0;
                self.make(id, name, event.timestamp, true)
            }
        };
        let answer = answer.unwrap();
        let again =
            self.kept[found].said.iter().find(|said| said.at == event.timestamp && recent(said.receipt, receipt, now));
        let again = again.map(|said| said.id);
        assert_eq!(answer.created, again.is_none(), "{event:?}");
        let message = match &answer.value {
            Appended::Message(message) => message.id,
            Appended::ActionLog(log) => log.message,
            Appended::Button(button) => button.message.unwrap(),
            Appended::Files(files) => files.message,
        };
        if let Some(first) = again {
            return assert_eq!(message.0, first);
        }
        let id = self.fresh(1, message.0);
        let conversation = self.kept[found].id;
        let mut whole = json!({
            "id": id, "conversation": conversation, "timestamp": event.timestamp.to_string(), "sender": "end_user",
            "content": "", "action_name": null, "metadata": json(&event.metadata), "attachments": [], "action_logs": [],
            "button": null, "feedback": null,
        });
        let mut attached = Vec::new();
        match (&event.what, &answer.value) {
            (Event::Message { content, .. }, _) => whole["content"] = json!(content),
            (Event::Action(action), Appended::ActionLog(log)) => {
                let name = action.action_name.clone();
                let known = self.actions.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
                match known {
                    Some(known) => assert_eq!(log.action.0, known),
                    None => {
                        let fresh = self.fresh(3, log.action.0);
                        self.actions.push((name.clone(), fresh));
                    }
                }
                whole["sender"] = json!("agent");
                whole["content"] = json!(format!("Action {name} performed"));
                whole["action_name"] = json!(name);
                let time = event.timestamp.to_string();
                whole["action_logs"] = json!([{
                    "id": log.id, "action": log.action, "message": id, "started_at": time, "ended_at": time, "duration_ms": null,
                    "tools_used": {}, "response": "", "error_message": "", "metadata": whole["metadata"],
                }]);
                if name == "token_usage" {
                    let count = |key: &str| whole["metadata"][key].as_i64().unwrap();
                    self.book(found, count("prompt_tokens"), count("completion_tokens"), now);
                }
            }
            (Event::Click(click), Appended::Button(button)) => {
                whole["content"] = json!(format!("Button clicked: {}", click.label));
                whole["button"] = json!({"id": button.id, "button_event": click.button_event, "label": click.label, "value": click.value, "metadata": {}});
            }
            (Event::Files { .. }, Appended::Files(stored)) => {
                whole["content"] = json!("[Attachments]");
                for file in &stored.attachments {
                    self.fresh(2, file.id.0);
                    attached.push((json(file), None));
                }
            }
            (what, answer) => panic!("{what:?} was answered {answer:?}"),
        }
        let kept = &mut self.kept[found];
        kept.used = true;
        kept.started = kept.started.min(event.timestamp);
        kept.ended = kept.ended.max(event.timestamp);
        kept.said.push(Said { id, at: event.timestamp, receipt: known, json: whole, files: attached });
    }

    async fn upserts(&mut self, bot: &Bot, op: &Op) {
        let Op::Upsert { name, seconds, used, dev, title, customer, metadata } = op else { return };
        let (title, customer) = (title.map(|n| TITLES[n]), customer.map(|n| CUSTOMERS[n]));
        let metadata = metadata.map(|n| DOCUMENTS[n]);
        let new = NewConversation {
            name: title.map(str::to_owned),
            customer_id: customer.map(str::to_owned),
            metadata: metadata.map(document),
            environment: dev.then(|| "dev".to_owned()),
            is_used: *used,
            timestamp: at(*seconds),
            ..conversation(NAMES[*name])
        };
        let stored = bot.opens(new).await;
        let found = self.kept.iter().position(|kept| kept.name == NAMES[*name]);
        assert_eq!(stored.created, found.is_none());
        let which = found.unwrap_or_else(|| {
            let made = self.make(stored.value.id.0, NAMES[*name], at(*seconds), false);
            self.kept[made].dev = *dev;
            made
        });
        let kept = &mut self.kept[which];
        kept.title = kept.title.or(title);
        kept.customer = kept.customer.or(customer);
        if kept.metadata == "{}" {
            kept.metadata = metadata.unwrap_or("{}");
        }
        kept.used |= *used == Some(true);
    }

    fn questioned(&self, question: &Question) -> Vec<&'static str> {
        let has = |text: &str, needle: &str| text.to_lowercase().contains(&needle.to_lowercase());
        let matches = |kept: &&Kept| {
            let text = question.needle.is_none_or(|n| {
                let own = [Some(kept.name), kept.title, kept.customer];
                let spoken = kept.said.iter().any(|said| has(said.json["content"].as_str().unwrap(), NEEDLES[n]));
                spoken || !question.in_messages && own.iter().flatten().any(|text| has(text, NEEDLES[n]))
            });
            let term = question.term.is_none_or(|n| match n {
                0 | 3 => kept.metadata == DOCUMENTS[1],
                1 | 2 => kept.metadata == DOCUMENTS[2],
                _ => unreachable!(),
            });
            let acted = kept.said.iter().any(|said| said.json["action_name"] != json!(null));
            let felt = |positive: bool| {
                let word = if positive { "positive" } else { "negative" };
                kept.feedback.iter().any(|(_, _, json)| json["sentiment"] == word)
            };
            text && term
                && question.marked.is_none_or(|marked| kept.marked == marked)
                && question.has_action.is_none_or(|wanted| acted == wanted)
                && question.positive.is_none_or(felt)
                && question.dev.is_none_or(|dev| kept.dev == dev)
                && (question.deleted || kept.deleted_at.is_none())
                && question.after.is_none_or(|after| kept.started >= at(after))
        };
        let mut found: Vec<&Kept> = self.kept.iter().filter(matches).collect();
        let (by, descending) = question.order.unwrap_or((0, true));
        found.sort_by(|a, b| {
            let ordering = match by {
                0 => a.started.cmp(&b.started),
                1 => a.ended.cmp(&b.ended),
                2 => a.marked.cmp(&b.marked),
                // Who has no customer stands last in either direction.
                _ => match (a.customer, b.customer) {
                    (Some(a), Some(b)) => a.cmp(b),
                    (a, b) if descending => a.is_some().cmp(&b.is_some()),
                    (a, b) => b.is_some().cmp(&a.is_some()),
                },
            };
            let ordering = ordering.then(a.id.cmp(&b.id));
            if descending { ordering.reverse() } else { ordering }
        });
        found.into_iter().map(|kept| kept.name).collect()
    }
}

/// Tells one operation to the store and to the model.
async fn tell(mut world: World, bot: &mut Bot, model: &mut Model, op: &Op) -> World {
    let now = world.clock.now();
    // One more than there are: a key that nobody has.
    let which = |n: usize, model: &Model| (n < model.kept.len()).then_some(n);
    let key = |n: usize, model: &Model| ConversationId(which(n, model).map_or(987_654, |n| model.kept[n].id));
    match op {
        Op::Upsert { .. } => model.upserts(bot, op).await,
        Op::Event { aim, seconds, what, receipt } => {
            let mut target = model.target(aim);
            let mut metadata = "{}".to_owned();
            let what = match what {
                What::Message(n) => said(TEXTS[*n]),
                What::Action(n) => ran(["pay", "refund"][*n], at(*seconds)),
                What::Tokens(prompt, completion) => {
                    metadata = json!({"prompt_tokens": prompt, "completion_tokens": completion}).to_string();
                    ran("token_usage", at(*seconds))
                }
                What::Click => clicked("Yes"),
                What::Files => files(None, &[("a.txt", "text/plain", b"a"), ("b.png", "image/png", b"bb")]),
                What::FilesOn(n) => {
                    let ids: Vec<i64> = model.kept.iter().flat_map(|kept| &kept.said).map(|said| said.id).collect();
                    if *seconds % 2 == 0 {
                        target = Target { id: None, name: None };
                    }
                    files(Some(MessageId(*ids.get(*n).unwrap_or(&987_654))), &[("c.pdf", "application/pdf", b"c")])
                }
            };
            let mut event = NewEvent { metadata: document(&metadata), ..event(target, *seconds, what) };
            if *receipt {
                event = sent_as(model.sent.len() as i64, event);
            }
            model.sent.push(event.clone());
            model.sends(bot, event, now).await;
        }
        Op::Resend(n) => {
            if let Some(event) = model.sent.get(n % model.sent.len().max(1)).cloned() {
                model.sends(bot, event, now).await;
            }
        }
        Op::Feedback { aim, positive, platform, seconds } => {
            let target = model.target(aim);
            let sentiment = if *positive { Sentiment::Positive } else { Sentiment::Negative };
            let source = if *platform { FeedbackSource::Platform } else { FeedbackSource::Customer };
            let new = NewFeedback { sentiment, created_at: at(*seconds), ..feedback(target.clone()) };
            let answer = bot.store.record_feedback(bot.agent, source, new).await;
            match model.find(&target) {
                Err(_) => assert_eq!(missing(answer), Missing::Conversation),
                Ok(found) => {
                    let answer = json(&answer.unwrap());
                    let id = model.fresh(4, answer["id"].as_i64().unwrap());
                    let kept = &mut model.kept[found];
                    let expected = json!({
                        "id": id, "kind": "conversation", "agent": 1, "conversation": kept.id, "conversation_id": kept.name,
                        "message": null, "user": null, "environment": if kept.dev { "development" } else { "production" },
                        "environment_id": if kept.dev { 2 } else { 1 }, "sentiment": sentiment.as_str(), "category": null,
                        "comment": null, "topic": null, "reason": null, "source": source.as_str(), "metadata": {},
                        "created_at": at(*seconds).to_string(),
                    });
                    assert_eq!(answer, expected);
                    kept.feedback.push((at(*seconds), id, expected));
                }
            }
        }
        Op::Mark(n, on) => {
            let answer = bot.store.mark_conversation(bot.agent, key(*n, model), *on).await;
            match which(*n, model) {
                None => assert_eq!(missing(answer), Missing::Row),
                Some(n) => model.kept[n].marked = answer.unwrap().is_marked,
            }
        }
        Op::Rename(n, title) => {
            let answer = bot.store.rename_conversation(bot.agent, key(*n, model), TITLES[*title].to_owned()).await;
            match which(*n, model) {
                None => assert_eq!(missing(answer), Missing::Row),
                Some(n) => model.kept[n].title = Some(TITLES[*title]),
            }
        }
        Op::Update { which: n, customer, metadata } => {
            let customer = customer.map(|customer| customer.map(|n| CUSTOMERS[n]));
            let metadata = metadata.map(|n| DOCUMENTS[n]);
            let update = ConversationUpdate {
                customer_id: customer.map(|customer| customer.map(str::to_owned)),
                metadata: metadata.map(document),
                ..ConversationUpdate::default()
            };
            let answer = bot.store.update_conversation(bot.agent, key(*n, model), update).await;
            match which(*n, model) {
                None => assert_eq!(missing(answer), Missing::Row),
                Some(n) => {
                    let kept = &mut model.kept[n];
                    kept.customer = customer.unwrap_or(kept.customer);
                    kept.metadata = metadata.unwrap_or(kept.metadata);
                }
            }
        }
        Op::Delete(n) => {
            let answer = bot.store.delete_conversation(bot.agent, key(*n, model)).await;
            match which(*n, model).filter(|n| model.kept[*n].deleted_at.is_none()) {
                None => assert_eq!(missing(answer), Missing::UndeletedConversation),
                Some(n) => model.kept[n].deleted_at = Some(answer.map(|_| now).unwrap()),
            }
        }
        Op::Advance(minutes) => world.clock.advance_micros(minutes * Timestamp::MINUTE),
        Op::Reopen => {
            world = world.reopened().await;
            *bot = bot.in_world(&world);
        }
    }
    world
}

async fn compare(bot: &Bot, model: &Model, questions: &[Question]) {
    for kept in &model.kept {
        let expected = kept.json();
        assert_eq!(bot.fetch(kept.id).await, expected);
        assert_eq!(bot.fetch(kept.name).await, expected);
    }
    for question in questions {
        let needle = question.needle.map(|n| NEEDLES[n].to_owned());
        let by = |n: usize| [OrderBy::StartedAt, OrderBy::EndedAt, OrderBy::IsMarked, OrderBy::CustomerId][n];
        let filter = ConversationFilter {
            message_contains: needle.clone().filter(|_| question.in_messages),
            search: needle.filter(|_| !question.in_messages).into_iter().collect(),
            metadata: question.term.map(|n| MetadataTerm::parse_list(TERMS[n]).unwrap()).unwrap_or_default(),
            is_marked: question.marked,
            has_action: question.has_action,
            feedback_sentiment: question.positive.map(|on| if on { Sentiment::Positive } else { Sentiment::Negative }),
            environments: question
                .dev
                .map(|dev| if dev { "development" } else { "production" }.to_owned())
                .into_iter()
                .collect(),
            include_deleted: question.deleted,
            started_at_after: question.after.map(at),
            ordering: question.order.map(|(n, descending)| Order { by: by(n), descending }).into_iter().collect(),
            ..all()
        };
        let expected = model.questioned(question);
        assert_eq!(bot.list(filter.clone()).await, expected, "{question:?}");
        let size = question.size as usize;
        for (number, rows) in (1..).zip(expected.chunks(size)) {
            let extent = Extent::Page(page(number, question.size));
            let found = bot.store.list_conversation_rows(bot.agent, filter.clone(), extent).await.unwrap();
            let names: Vec<_> = found.rows.iter().map(|row| row.conversation_id.as_str()).collect();
            assert_eq!((found.count as usize, names.as_slice()), (expected.len(), rows), "{question:?}");
        }
        let past = Extent::Page(page(expected.len().div_ceil(size).max(1) as u32 + 1, question.size));
        let past = bot.store.list_conversation_rows(bot.agent, filter, past).await;
        assert!(matches!(past, Err(Error::NotFound(Missing::Page))), "{question:?}");
    }
}

pub(crate) fn any_history_ends_as_the_contract_says(world: fn() -> Option<World>) {
    // More of them, now and then: PROPTEST_CASES=2000.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { 48 };
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/conformance/history.regressions"))),
        source_file: Some(file!()),
        ..Config::default()
    };
    let histories = (vec(op(), 1..40), vec(question(), 6));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = TestRunner::new(config).run(&histories, |(ops, questions)| {
        runtime.block_on(async {
            // Where the engine is not there, there is nothing to tell.
            let Some(mut world) = world() else { return };
            let mut bot = world.bot("helpdesk").await;
            let mut model = Model::default();
            for op in &ops {
                world = tell(world, &mut bot, &mut model, op).await;
            }
            compare(&bot, &model, &questions).await;
            world.indexed().await;
            compare(&bot, &model, &questions).await;
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
