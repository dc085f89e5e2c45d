//! What instrumentations saw being said, found again in the transcript.
//!
//! A model is called with the conversation so far, so that every call repeats what the calls before it brought. Two
//! rules keep the transcript whole without doubling it, in whichever order the spans come:
//!
//! - What stands after the last answer, and what came back, is *of* its call: it is known again by its trace, so that
//!   the steps of one exchange, which all see the same question, tell it once.
//! - What stands before is history: of each text the transcript holds at least as many as any call has seen. What no
//!   span has brought itself is written down as heard, until the span comes that it is of.

use std::collections::HashMap;

use agentsight_model::ids::{AgentId, ConversationId, MessageId};
use agentsight_model::message::Sender;
use agentsight_model::span::{Dialogue, TurnMessage};
use agentsight_model::time::Timestamp;
use agentsight_model::track::Receipt;

use crate::engine::{Tx, params};
use crate::error::Result;
use crate::message::sender;

/// In microseconds, as timestamps are.
const MILLISECOND: i64 = 1_000;

/// Texts alike that history tells apart at most.
const ALIKE: usize = 16;

/// A dialogue with what places it.
pub(crate) struct Heard<'s> {
    pub(crate) trace_id: &'s str,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) dialogue: &'s Dialogue,
}

/// A message that is new.
pub(crate) struct NewLine<'s> {
    pub(crate) message: &'s TurnMessage,
    pub(crate) at: Timestamp,
    pub(crate) receipt: Receipt,
}

/// A line of the transcript.
struct Line {
    /// None where it is new.
    id: Option<MessageId>,
    at: Timestamp,
    receipt: Option<i64>,
    is_moved: bool,
}

type Text<'s> = (Sender, &'s str);

/// Lines by what they say.
#[derive(Default)]
struct Lines<'s>(HashMap<Sender, HashMap<&'s str, Vec<Line>>>);

impl<'s> Lines<'s> {
    fn of(&mut self, (sender, text): Text<'s>) -> &mut Vec<Line> {
        self.0.entry(sender).or_default().entry(text).or_default()
    }

    fn into_texts(self) -> impl Iterator<Item = (Text<'s>, Vec<Line>)> {
        self.0
            .into_iter()
            .flat_map(|(sender, texts)| texts.into_iter().map(move |(text, lines)| ((sender, text), lines)))
    }
}

/// Compares dialogues with the transcript: moves what is there to where it belongs, and answers what is new.
pub(crate) fn compare<'s>(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    heard: &[Heard<'s>],
) -> Result<Vec<NewLine<'s>>> {
    const LINES: &str = "select id, timestamp, sender, content, receipt from messages
        where agent_id = ?1 and conversation = ?2 and action_name is null order by timestamp, id";
    const MOVE: &str =
        "update messages set timestamp = ?4, receipt = ?5 where agent_id = ?1 and conversation = ?2 and id = ?3";
    let mut lines = Lines::default();
    for one in heard {
        for message in one.dialogue.heard.iter().chain(&one.dialogue.said) {
            lines.of((message.sender, &message.content));
        }
    }
    tx.each(LINES, params![agent, conversation], |row| {
        if let Some(alike) = lines.0.get_mut(&sender(row, 2)?).and_then(|texts| texts.get_mut(row.text(3).ok()?)) {
            let line = Line {
                id: Some(MessageId(row.int(0)?)),
                at: row.timestamp(1)?,
                receipt: row.opt_int(4)?,
                is_moved: false,
            };
            alike.push(line);
        }
        Ok(())
    })?;
    let mut new: Vec<NewLine<'s>> = Vec::new();
    for one in heard {
        let (_, fresh) = one.parts();
        let placed = fresh.iter().zip(0..).map(|(message, n)| (message, one.started_at.plus_micros(n)));
        let answered_at = one.answered_at();
        let placed =
            placed.chain(one.dialogue.said.iter().zip(0..).map(|(message, n)| (message, answered_at.plus_micros(n))));
        let mut nth: HashMap<Text<'_>, usize> = HashMap::new();
        for (message, at) in placed {
            let text: Text<'s> = (message.sender, &message.content);
            let n = nth.entry(text).and_modify(|n| *n += 1).or_insert(0);
            let receipt = claim(one.trace_id, text, *n);
            let alike = lines.of(text);
            let known = alike.iter().position(|line| line.receipt == Some(receipt.0));
            let unclaimed = || alike.iter().position(|line| is_history(line.receipt, text));
            match known.or_else(unclaimed).and_then(|at| alike.get_mut(at)) {
                Some(line) => {
                    // Of the same exchange the earliest time counts; a time that was guessed from history never does.
                    let is_guess = line.receipt != Some(receipt.0);
                    if is_guess || at < line.at {
                        (line.at, line.receipt, line.is_moved) = (at, Some(receipt.0), true);
                    }
                }
                None => alike.push(Line { id: None, at, receipt: Some(receipt.0), is_moved: false }),
            }
        }
    }
    for one in heard {
        let (history, _) = one.parts();
        let mut needed: HashMap<Text<'_>, usize> = HashMap::new();
        for message in one.dialogue.heard.iter().chain(&one.dialogue.said) {
            *needed.entry((message.sender, message.content.as_str())).or_default() += 1;
        }
        let length = i64::try_from(history.len()).unwrap_or(i64::MAX);
        for (message, n) in history.iter().zip(0..) {
            let text: Text<'s> = (message.sender, &message.content);
            let alike = lines.of(text);
            if alike.len() < needed.get(&text).copied().unwrap_or(0) {
                let at = one.started_at.plus_micros(n - length);
                let taken = alike.iter().filter(|line| is_history(line.receipt, text)).count();
                alike.push(Line { id: None, at, receipt: Some(history_receipt(text, taken).0), is_moved: false });
            }
        }
    }
    let messages: HashMap<Text<'s>, &'s TurnMessage> = heard
        .iter()
        .flat_map(|one| one.dialogue.heard.iter().chain(&one.dialogue.said))
        .map(|message| ((message.sender, message.content.as_str()), message))
        .collect();
    for (text, alike) in lines.into_texts() {
        for line in alike {
            match (line.id, messages.get(&text)) {
                (Some(id), _) if line.is_moved => {
                    tx.execute(MOVE, params![agent, conversation, id, line.at, line.receipt])?;
                }
                (None, Some(message)) => {
                    new.push(NewLine { message, at: line.at, receipt: Receipt(line.receipt.unwrap_or_default()) });
                }
                _ => {}
            }
        }
    }
    // Where an answer and a question share their time, a call ended when the next began.
    let place = |line: &NewLine<'s>| (line.at, line.message.sender != Sender::Agent, line.message.content.as_str());
    new.sort_by(|one, other| place(one).cmp(&place(other)));
    Ok(new)
}

/// What two transcripts that become one hold of a text.
#[derive(Default)]
struct Held {
    /// Lines that calls, or other doors, brought themselves.
    own: usize,
    /// Lines that were written down as heard.
    heard: Vec<MessageId>,
}

/// Before the transcript of a conversation is put into another's: forgets what is only heard in one of them and brought
/// by a call in the other. Answers how many lines are gone.
pub(crate) fn forget_retold(tx: &Tx<'_>, agent: AgentId, both: [ConversationId; 2]) -> Result<i64> {
    const LINES: &str = "select id, sender, content, receipt from messages
        where agent_id = ?1 and conversation = ?2 and action_name is null order by timestamp, id";
    // What somebody voted on stays.
    const FORGET: &str = "delete from messages where agent_id = ?1 and id = ?2
        and not exists (select 1 from feedbacks f where f.agent_id = ?1 and f.message = ?2)";
    let mut texts: HashMap<(Sender, String), [Held; 2]> = HashMap::new();
    for (side, conversation) in both.into_iter().enumerate() {
        tx.each(LINES, params![agent, conversation], |row| {
            let (sender, content) = (sender(row, 1)?, row.string(2)?);
            let is_heard = is_history(row.opt_int(3)?, (sender, &content));
            if let Some(held) = texts.entry((sender, content)).or_default().get_mut(side) {
                if is_heard { held.heard.push(MessageId(row.int(0)?)) } else { held.own += 1 }
            }
            Ok(())
        })?;
    }
    let mut gone = 0;
    for sides in texts.values() {
        let own: usize = sides.iter().map(|held| held.own).sum();
        // As many as any call has seen.
        let seen = sides.iter().map(|held| held.own + held.heard.len()).max().unwrap_or_default();
        for id in sides.iter().flat_map(|held| &held.heard).skip(seen.saturating_sub(own)) {
            gone += i64::try_from(tx.execute_counted(FORGET, params![agent, *id])?).unwrap_or_default();
        }
    }
    Ok(gone)
}

impl<'s> Heard<'s> {
    /// What was said before the last answer, that included, and what after it.
    fn parts(&self) -> (&'s [TurnMessage], &'s [TurnMessage]) {
        let heard = &self.dialogue.heard;
        let fresh = heard.iter().rposition(|message| message.sender == Sender::Agent).map_or(0, |at| at + 1);
        heard.split_at_checked(fresh).unwrap_or_default()
    }

    /// When what came back was said: at the end of the call, and after what it answers.
    ///
    /// Some clocks begin a span at a whole millisecond, cut off, and end it that much later by a finer clock, so that the
    /// next call seems to begin before this one has ended. The millisecond of such an end is all that is known of it.
    fn answered_at(&self) -> Timestamp {
        let (_, asked) = self.parts();
        let ended_at = match self.started_at.0 % MILLISECOND {
            0 => Timestamp(self.ended_at.0.div_euclid(MILLISECOND) * MILLISECOND),
            _ => self.ended_at,
        };
        ended_at.max(self.started_at.plus_micros(i64::try_from(asked.len()).unwrap_or(i64::MAX)))
    }
}

fn claim(trace_id: &str, (sender, content): Text<'_>, n: usize) -> Receipt {
    Receipt::of([
        b"of a trace".as_slice(),
        trace_id.as_bytes(),
        sender.as_str().as_bytes(),
        content.as_bytes(),
        &n.to_le_bytes(),
    ])
}

fn history_receipt((sender, content): Text<'_>, n: usize) -> Receipt {
    Receipt::of([b"heard".as_slice(), sender.as_str().as_bytes(), content.as_bytes(), &n.to_le_bytes()])
}

fn is_history(receipt: Option<i64>, text: Text<'_>) -> bool {
    receipt.is_some_and(|receipt| (0..ALIKE).any(|n| history_receipt(text, n).0 == receipt))
}
