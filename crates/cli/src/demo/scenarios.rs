//! What the demo's people and bot say: a handful of situations of a shop, told in five languages,
//! always the same for the same number.

use agentsight_model::feedback::Sentiment;
use agentsight_model::json::JsonText;
use agentsight_model::message::Sender;
use agentsight_model::time::Timestamp;
use agentsight_model::track::{Event, NewAction, NewClick, NewConversation, NewEvent, NewFeedback, NewFile, Target};
use bytes::Bytes;
use serde_json::json;

use super::seconds;

/// One conversation as it will be written.
pub(super) struct Script {
    pub(super) conversation: NewConversation,
    pub(super) events: Vec<NewEvent>,
    pub(super) feedback: Option<NewFeedback>,
    pub(super) is_marked: bool,
}

/// A situation in one language: the title, and what is said in turns, the customer first.
struct Situation {
    language: &'static str,
    title: &'static str,
    turns: &'static [(&'static str, &'static str)],
    tool: &'static str,
}

const SITUATIONS: [Situation; 8] = [
    Situation {
        language: "en",
        title: "Where is my parcel?",
        tool: "lookup_order",
        turns: &[
            (
                "Hi, my parcel should have been here two days ago. Order {order}.",
                "Sorry about that! Let me look it up.",
            ),
            ("Thanks. Is it lost?", "It is not lost: the courier has it in {city} and will deliver it tomorrow."),
            ("Great, thank you!", "You are welcome. Is there anything else?"),
        ],
    },
    Situation {
        language: "en",
        title: "Refund for a broken lamp",
        tool: "create_refund",
        turns: &[
            (
                "The lamp from order {order} arrived broken, I want a refund.",
                "I am sorry to hear that. Could you send a picture of it?",
            ),
            ("Here it is.", "Thank you. I have asked for a refund of {price}; it takes three to five days."),
        ],
    },
    Situation {
        language: "en",
        title: "Change of address",
        tool: "update_address",
        turns: &[
            ("I moved! Please send order {order} to my new flat in {city}.", "Of course. Which street and number?"),
            ("Main Street 12.", "Done. The parcel goes to Main Street 12, {city}."),
        ],
    },
    Situation {
        language: "hr",
        title: "Kašnjenje dostave",
        tool: "lookup_order",
        turns: &[
            ("Dobar dan, gdje je moja narudžba {order}?", "Dobar dan! Samo trenutak, provjeravam."),
            ("Hvala, žuri mi se.", "Pošiljka je u gradu {city} i stiže sutra do podneva."),
        ],
    },
    Situation {
        language: "de",
        title: "Falsche Größe",
        tool: "create_return",
        turns: &[
            (
                "Die Schuhe aus Bestellung {order} sind zu groß. Kann ich sie umtauschen?",
                "Ja, gern. Welche Größe brauchen Sie?",
            ),
            ("42 statt 43.", "Ist notiert. Das Rücksendeetikett kommt per E-Mail."),
        ],
    },
    Situation {
        language: "zh",
        title: "申请退款",
        tool: "create_refund",
        turns: &[
            ("我的订单 {order} 有问题，我要退款。", "您好，请稍等，我来查询一下。"),
            ("好的，谢谢！", "退款 {price} 已提交，三到五天到账。"),
        ],
    },
    Situation {
        language: "ar",
        title: "أين طلبي؟",
        tool: "lookup_order",
        turns: &[
            ("مرحبا، أين طلبي {order}؟", "مرحبا! لحظة من فضلك، سأتحقق."),
            ("شكرا 😊", "طلبك في {city} وسيصل غدا."),
        ],
    },
    Situation {
        language: "en",
        title: "Talk to a person",
        tool: "contact_human",
        turns: &[
            (
                "This is the third time I write about order {order}. I want a human.",
                "I understand. I am bringing in a colleague right away.",
            ),
            ("Finally.", "Maja from our team will answer within ten minutes."),
        ],
    },
];

const CITIES: [&str; 6] = ["Zagreb", "Berlin", "Lisbon", "Toronto", "Osaka", "Split"];
const DEVICES: [&str; 4] = ["mobile", "desktop", "mobile", "tablet"];
const SOURCES: [&str; 3] = ["web", "whatsapp", "messenger"];
const PLANS: [&str; 3] = ["free", "pro", "business"];

/// Conversation `number` of `of`, somewhere in the thirty days before `now`.
pub(super) fn script(number: u64, of: u64, now: Timestamp) -> Option<Script> {
    let mut chance = fastrand::Rng::with_seed(number);
    let situation = chance.choice(&SITUATIONS)?;
    let started = day_time(number, of, now, &mut chance);
    let name = format!("shop-{number:05}");
    let order = format!("A-{}", chance.u32(10_000..99_999));
    let city = *chance.choice(&CITIES)?;
    let price = format!("{}.{:02} €", chance.u32(5..180), chance.u32(0..100));
    let fill = |text: &str| text.replace("{order}", &order).replace("{city}", city).replace("{price}", &price);
    let mut tape = Tape { name: name.clone(), at: started, events: Vec::new() };
    let failed = chance.u8(..12) == 0;
    for (turn, (question, answer)) in situation.turns.iter().enumerate() {
        tape.say(Sender::EndUser, &fill(question), seconds(chance.i64(5..40)), json!({ "locale": situation.language }));
        if turn == 1 && situation.tool == "create_refund" {
            tape.file("lamp.svg", "image/svg+xml", PICTURE);
        }
        if turn == 0 {
            let took = chance.i64(80..900);
            let error = if failed { "timeout after 30 s" } else { "" };
            tape.run(
                situation.tool,
                took,
                json!({ "order": order, "city": city }),
                if failed { "" } else { "ok" },
                error,
            );
        }
        tape.say(Sender::Agent, &fill(answer), seconds(chance.i64(2..9)), json!({ "model": "demo-bot-1" }));
    }
    if chance.u8(..3) == 0 {
        let (label, value) = *chance.choice(&[("Yes, thanks", "yes"), ("No", "no"), ("Ask a person", "human")])?;
        tape.click("was_this_helpful", label, value);
    }
    let tokens = [chance.i64(300..1_800), chance.i64(40..400)];
    tape.tokens(tokens[0], tokens[1]);
    let opinions = [
        (Sentiment::Positive, "Fast and friendly."),
        (Sentiment::Positive, ""),
        (Sentiment::Neutral, "It was OK."),
        (Sentiment::Negative, "Too slow."),
    ];
    let (sentiment, comment) = *chance.choice(&opinions)?;
    let rating = json!({ "rating": chance.u8(1..=5) });
    let feedback = (chance.u8(..4) == 0).then(|| opinion(&name, sentiment, comment, rating, tape.at));
    Some(Script {
        conversation: NewConversation {
            conversation_id: name,
            name: Some(situation.title.to_owned()),
            customer_id: Some(format!("c-{}", chance.u32(1..120))),
            // Addresses of the ranges that are set aside for examples.
            customer_ip_address: format!("203.0.113.{}", chance.u8(1..255)).parse().ok(),
            device: Some((*chance.choice(&DEVICES)?).to_owned()),
            source: Some((*chance.choice(&SOURCES)?).to_owned()),
            language: Some(situation.language.to_owned()),
            environment: Some(if chance.u8(..10) == 0 { "development" } else { "production" }.to_owned()),
            metadata: Some(JsonText::of(
                &json!({ "plan": chance.choice(&PLANS)?, "order": { "id": order }, "city": city }),
            )),
            is_used: Some(true),
            timestamp: started,
        },
        events: tape.events,
        feedback,
        is_marked: chance.u8(..15) == 0,
    })
}

/// The conversation of the documentation's page on `fetch_conversation`.
pub(super) fn seed(name: &str, now: Timestamp) -> Script {
    let started = now.plus_micros(-seconds(600));
    let mut tape = Tape { name: name.to_owned(), at: started, events: Vec::new() };
    tape.say(Sender::EndUser, "I need help with my account", seconds(5), json!({}));
    tape.run("database_lookup", 150, json!({ "database": "users_db" }), "User found", "");
    tape.say(Sender::Agent, "I found your account. What can I do for you?", seconds(2), json!({}));
    let feedback = Some(opinion(name, Sentiment::Positive, "Very helpful!", json!({}), tape.at));
    Script {
        conversation: NewConversation {
            conversation_id: name.to_owned(),
            name: Some("Support Chat".to_owned()),
            customer_id: Some("user-456".to_owned()),
            customer_ip_address: "203.0.113.45".parse().ok(),
            device: Some("desktop".to_owned()),
            source: Some("web".to_owned()),
            language: Some("en".to_owned()),
            environment: Some("production".to_owned()),
            metadata: Some(JsonText::of(&json!({ "priority": "high", "customer_tier": "premium" }))),
            is_used: Some(true),
            timestamp: started,
        },
        events: tape.events,
        feedback,
        is_marked: true,
    }
}

/// Shops are busy in the afternoon, and more so lately.
fn day_time(number: u64, of: u64, now: Timestamp, chance: &mut fastrand::Rng) -> Timestamp {
    let share = number as f64 / of.max(1) as f64;
    let days_ago = (30.0 * (1.0 - share.sqrt())) as i64;
    let midnight = now.0 - now.0.rem_euclid(Timestamp::DAY);
    let hour = (chance.i64(6..22) + chance.i64(10..20)) / 2;
    let at = midnight - days_ago * Timestamp::DAY + seconds(hour * 3_600 + chance.i64(0..3_600));
    // Not tomorrow's.
    Timestamp(if at > now.0 - seconds(900) { at - Timestamp::DAY } else { at })
}

#[expect(clippy::needless_pass_by_value, reason = "a scenario reads better without borrows")]
fn opinion(name: &str, sentiment: Sentiment, comment: &str, metadata: serde_json::Value, at: Timestamp) -> NewFeedback {
    NewFeedback {
        target: Target { id: None, name: Some(name.to_owned()) },
        sentiment,
        comment: (!comment.is_empty()).then(|| comment.to_owned()),
        metadata: JsonText::of(&metadata),
        created_at: at.plus_micros(seconds(30)),
    }
}

const PICTURE: &[u8] =
    br##"<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><circle cx="32" cy="24" r="16" fill="#fc3"/><rect x="28" y="40" width="8" height="16" fill="#555"/></svg>"##;

/// Events in the order in which they happen.
struct Tape {
    name: String,
    at: Timestamp,
    events: Vec<NewEvent>,
}

impl Tape {
    #[expect(clippy::needless_pass_by_value, reason = "a scenario reads better without borrows")]
    fn put(&mut self, after: i64, metadata: serde_json::Value, what: Event) {
        self.at = self.at.plus_micros(after);
        self.events.push(NewEvent {
            target: Target { id: None, name: Some(self.name.clone()) },
            timestamp: self.at,
            metadata: JsonText::of(&metadata),
            receipt: None,
            what,
        });
    }

    fn say(&mut self, sender: Sender, content: &str, after: i64, metadata: serde_json::Value) {
        self.put(after, metadata, Event::Message { sender, content: content.to_owned() });
    }

    #[expect(clippy::needless_pass_by_value, reason = "a scenario reads better without borrows")]
    fn run(&mut self, tool: &str, took_ms: i64, arguments: serde_json::Value, response: &str, error: &str) {
        let ended = self.at.plus_micros(seconds(3));
        let action = NewAction {
            action_name: tool.to_owned(),
            started_at: ended.plus_micros(-took_ms * 1_000),
            ended_at: ended,
            duration_ms: Some(took_ms.into()),
            tools_used: JsonText::of(&arguments),
            response: response.to_owned(),
            error_message: error.to_owned(),
        };
        self.put(seconds(3), json!({}), Event::Action(action));
    }

    fn click(&mut self, button_event: &str, label: &str, value: &str) {
        let click =
            NewClick { button_event: button_event.to_owned(), label: label.to_owned(), value: value.to_owned() };
        self.put(seconds(4), json!({}), Event::Click(click));
    }

    fn file(&mut self, filename: &str, mime_type: &str, bytes: &'static [u8]) {
        let file = NewFile {
            filename: filename.to_owned(),
            mime_type: mime_type.to_owned(),
            bytes: Bytes::from_static(bytes),
        };
        self.put(seconds(1), json!({}), Event::Files { sender: Sender::EndUser, message: None, files: vec![file] });
    }

    fn tokens(&mut self, prompt: i64, completion: i64) {
        let counts = json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, "embedding_tokens": 0 });
        let action = NewAction {
            action_name: agentsight_model::message::TOKEN_USAGE_ACTION.to_owned(),
            started_at: self.at,
            ended_at: self.at,
            duration_ms: None,
            tools_used: JsonText::EMPTY,
            response: String::new(),
            error_message: String::new(),
        };
        self.put(seconds(1), counts, Event::Action(action));
    }
}
