//! What is taken out of texts before anything is written, so that no row and no archive holds it.
//!
//! Every door ends in a few domain writes, and each of them asks here once. Rules are the operator's: a file that is read
//! when the store is opened. Texts are what people and programs say: contents, documents, arguments, answers, comments.
//! What rows are found by stays as it was sent: ids, names of keys, of tools and of models, slugs, tags, times.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use agentsight_model::json::JsonText;
use agentsight_model::manage::ConversationUpdate;
use agentsight_model::manage::action::{ActionChange, NewActionDefinition};
use agentsight_model::manage::feedback::{FeedbackChange, FeedbackPost};
use agentsight_model::manage::ticket::{NewTicket, TicketChange};
use agentsight_model::span::{BlockFields, Dialogue, NewSpan, SpanBatch, Tells, TraceSpans, TurnMessage};
use agentsight_model::time::Timestamp;
use agentsight_model::track::{Event, NewClick, NewConversation, NewEvent, NewFeedback};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{NoExpand, Regex};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Store;
use crate::error::{Error, Result};

/// Rules of a file at most: each reads every text.
const MOST_RULES: usize = 100;
/// Bytes of such a file at most.
const MOST_BYTES: u64 = 1024 * 1024;
/// JSON or base64 within a text of JSON that is looked into; what is deeper is read as text.
const MOST_NESTED: usize = 4;
/// Characters of base64 that is looked into at least.
const LEAST_BASE64: usize = 8;
/// Texts of a write that are gone through where they are; more of them on a thread for long work.
const REDACT_NOW_BYTES: usize = 128 * 1024;

/// What is taken out of texts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Redaction(Option<Arc<[Rule]>>);

#[derive(Debug)]
struct Rule {
    pattern: Regex,
    /// Which parts are meant of what the pattern finds; all of it where there is nothing to ask.
    parts: Option<Parts>,
    replacement: String,
}

/// Finds parts of a text, in their order.
type Parts = fn(&str) -> Vec<Range<usize>>;

/// A file of rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    name: String,
    pattern: Option<String>,
    builtin: Option<String>,
    replacement: Option<String>,
}

impl Redaction {
    /// Reads a file of rules.
    ///
    /// # Errors
    /// [`Error::Open`] with a sentence that names the file, and the rule that cannot be used.
    pub fn open(file: &Path) -> Result<Self> {
        let told = |why: String| Error::Open(format!("redaction rules {} cannot be used: {why}", file.display()));
        let size = std::fs::metadata(file).map_err(|e| told(e.to_string()))?.len();
        if size > MOST_BYTES {
            return Err(told(format!("more than {MOST_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(file).map_err(|e| told(e.to_string()))?;
        Self::parse(&text).map_err(told)
    }

    /// Reads rules from the text of such a file.
    ///
    /// # Errors
    /// A sentence that names the rule that cannot be used.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let entries = toml::from_str::<RuleFile>(text).map_err(|e| e.to_string().trim_end().to_owned())?.rule;
        if entries.is_empty() {
            return Err("there is no [[rule]] in it".to_owned());
        }
        if entries.len() > MOST_RULES {
            return Err(format!("more than {MOST_RULES} rules"));
        }
        let mut rules = Vec::with_capacity(entries.len());
        let mut names: Vec<&str> = Vec::with_capacity(entries.len());
        for (number, entry) in (1..).zip(&entries) {
            if entry.name.trim().is_empty() {
                return Err(format!("rule {number} has no name"));
            }
            if names.contains(&entry.name.as_str()) {
                return Err(format!("two rules are called \"{}\"", entry.name));
            }
            names.push(&entry.name);
            rules.push(Rule::of(entry).map_err(|why| format!("rule \"{}\": {why}", entry.name))?);
        }
        Ok(Self(Some(rules.into())))
    }

    /// Takes out of a value what the rules find.
    fn apply(&self, value: &mut impl HoldsTexts) {
        if let Some(rules) = &self.0 {
            value.redact(&Rules(rules));
        }
    }
}

impl Store {
    /// A value of so many bytes, without what the rules of this store take out of it.
    pub(crate) async fn redacted<T: HoldsTexts + Send + 'static>(&self, bytes: usize, mut value: T) -> Result<T> {
        let redaction = &self.shared.redaction;
        if redaction.0.is_none() {
            return Ok(value);
        }
        if bytes <= REDACT_NOW_BYTES {
            redaction.apply(&mut value);
            return Ok(value);
        }
        let redaction = redaction.clone();
        let work = move || {
            redaction.apply(&mut value);
            value
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::Engine(e.into()))
    }
}

impl Rule {
    fn of(entry: &RuleEntry) -> std::result::Result<Self, String> {
        let replacement = entry.replacement.clone().unwrap_or_else(|| format!("[{}]", entry.name));
        let named = match (&entry.pattern, &entry.builtin) {
            (Some(_), Some(_)) => return Err("pattern and builtin exclude each other".to_owned()),
            (Some(pattern), None) => {
                // The machine that reads texts takes time in proportion to them, whatever the pattern.
                let pattern = Regex::new(pattern).map_err(|e| last_line(&e.to_string()))?;
                if pattern.is_match("") {
                    return Err("the pattern matches the empty text, and so everywhere".to_owned());
                }
                return Ok(Self { pattern, parts: None, replacement });
            }
            (None, Some(builtin)) => builtin,
            (None, None) => &entry.name,
        };
        let found = BUILTINS.iter().find(|builtin| builtin.name == named).ok_or_else(|| {
            let known: Vec<&str> = BUILTINS.iter().map(|builtin| builtin.name).collect();
            let known = known.join(", ");
            match entry.builtin {
                Some(_) => format!("there is no builtin \"{named}\"; there are {known}"),
                None => format!("it has no pattern, and is none of the builtins {known}"),
            }
        })?;
        let pattern = Regex::new(found.pattern).map_err(|e| last_line(&e.to_string()))?;
        Ok(Self { pattern, parts: found.parts, replacement })
    }

    /// The text without what the rule finds; `None` where it finds nothing.
    fn without(&self, text: &str) -> Option<String> {
        let Some(parts) = self.parts else {
            return match self.pattern.replace_all(text, NoExpand(&self.replacement)) {
                Cow::Borrowed(_) => None,
                Cow::Owned(changed) => Some(changed),
            };
        };
        let mut changed: Option<String> = None;
        let mut kept = 0;
        for found in self.pattern.find_iter(text) {
            for part in parts(found.as_str()) {
                let out = changed.get_or_insert_with(|| String::with_capacity(text.len()));
                out.push_str(text.get(kept..found.start() + part.start).unwrap_or_default());
                out.push_str(&self.replacement);
                kept = found.start() + part.end;
            }
        }
        changed.map(|mut out| {
            out.push_str(text.get(kept..).unwrap_or_default());
            out
        })
    }
}

/// What is wrong, without the drawing that points at it.
fn last_line(error: &str) -> String {
    let line = error.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(error);
    line.trim().trim_start_matches("error: ").to_owned()
}

/// A rule that is known by its name.
struct Builtin {
    name: &'static str,
    pattern: &'static str,
    parts: Option<Parts>,
}

const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "email",
        pattern: r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
        parts: None,
    },
    // A run of digits in any groups; which of them are a card's is for `cards` to say.
    Builtin { name: "credit_card", pattern: r"[0-9](?:[ -]?[0-9]){12,}", parts: Some(cards) },
    // With the code of its country, or as it is written in North America.
    Builtin {
        name: "phone",
        pattern: r"(?:\+|(?-u:\b)00)[1-9](?:[ ().-]{0,2}[0-9]){7,13}(?-u:\b)|(?:\([0-9]{3}\) ?|(?-u:\b)[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}(?-u:\b)",
        parts: None,
    },
    Builtin {
        name: "ipv4",
        pattern: r"(?-u:\b)(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?-u:\b)",
        parts: None,
    },
    // In the forms in which the usual services give them out, ours among them; tokens of the web, and what follows Bearer.
    Builtin {
        name: "api_key",
        pattern: r"(?x)(?-u:\b)(?:
            (?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,} | ags_[0-9a-f]{32}_[0-9a-f]{6} | AKIA[0-9A-Z]{16} | AIza[0-9A-Za-z_-]{35}
            | gh[oprsu]_[A-Za-z0-9]{36,} | github_pat_[A-Za-z0-9_]{22,} | glpat-[A-Za-z0-9_-]{20,} | hf_[A-Za-z0-9]{30,}
            | xox[abeoprs]-[A-Za-z0-9-]{10,} | eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
            | [Bb]earer\ [A-Za-z0-9._~+/-]{20,}=*
        )",
        parts: None,
    },
];

/// The parts of a run of digits that are numbers of cards: 13 to 19 digits in whole groups, by whose last one the others
/// are right (Luhn). Only whole groups, or every tenth long number would hold one.
fn cards(run: &str) -> Vec<Range<usize>> {
    const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut begins = 0;
    for group in run.split([' ', '-']) {
        groups.push(begins..begins + group.len());
        begins += group.len() + 1;
    }
    let mut found = Vec::new();
    let mut digits: Vec<u32> = Vec::with_capacity(*DIGITS.end());
    let mut rest = groups.as_slice();
    while let Some((first, others)) = rest.split_first() {
        digits.clear();
        let mut number = None;
        for (count, group) in (1..).zip(rest) {
            let text = run.get(group.clone()).unwrap_or_default();
            let begins_none = count == 1 && !text.starts_with(['2', '3', '4', '5', '6']);
            if begins_none || digits.len() + text.len() > *DIGITS.end() {
                break;
            }
            digits.extend(text.chars().filter_map(|digit| digit.to_digit(10)));
            if DIGITS.contains(&digits.len()) && is_luhn(&digits) {
                number = Some((count, group.end));
            }
        }
        found.extend(number.map(|(_, end)| first.start..end));
        rest = number.and_then(|(count, _)| rest.get(count..)).unwrap_or(others);
    }
    found
}

fn is_luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match digit * 2 {
            _ if place % 2 == 0 => *digit,
            doubled if doubled > 9 => doubled - 9,
            doubled => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Keys of a span with words by which it is found and told, at its top.
const NAMES_OF_A_SPAN: &[&str] = &["kind", "status"];
/// Attributes that name tools and models.
const NAMES: &[&str] = &[
    "agentsight.tool.name",
    "agentsight.entity.name",
    "gen_ai.tool.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
];

/// Whether a key holds what rows are found by, or a time in digits.
fn is_reference(key: &str) -> bool {
    const LAST_WORDS: [&str; 8] = ["_id", ".id", "-id", "Id", "_ids", ".ids", "Ids", "_unix_nano"];
    matches!(key, "id" | "ids") || LAST_WORDS.iter().any(|word| key.ends_with(word)) || NAMES.contains(&key)
}

/// Rules at work.
pub(crate) struct Rules<'r>(&'r [Rule]);

impl Rules<'_> {
    /// A text that stands for itself, which may be JSON.
    fn text(&self, text: &mut String) {
        if let Some(changed) = self.changed(text, 0) {
            *text = changed;
        }
    }

    /// Every string and whole number in a document but its keys.
    fn document(&self, document: &mut JsonText) {
        self.document_but(document, &[]);
    }

    /// The same without what stands under some keys at its top.
    fn document_but(&self, document: &mut JsonText, but: &[&str]) {
        let changed = document.stored().and_then(|text| self.changed_within(text, but, 0));
        if let Some(changed) = changed.and_then(|text| JsonText::parse(text).ok()) {
            *document = changed;
        }
    }

    fn changed(&self, text: &str, nested: usize) -> Option<String> {
        if nested < MOST_NESTED && text.trim_start().starts_with(['{', '[']) {
            // What is no JSON, or deeper than JSON may be here, is a text.
            if serde_json::from_str::<IgnoredAny>(text).is_ok() {
                return self.changed_within(text, &[], nested + 1);
            }
        }
        // As attributes of bytes are kept.
        if nested < MOST_NESTED
            && let Some(without) = of_base64(text).and_then(|text| self.changed(&text, nested + 1))
        {
            return Some(STANDARD.encode(without));
        }
        let mut changed: Option<String> = None;
        for rule in self.0 {
            if let Some(without) = rule.without(changed.as_deref().unwrap_or(text)) {
                changed = Some(without);
            }
        }
        // Digits of a time may look like something else's.
        changed.filter(|_| text.parse::<Timestamp>().is_err())
    }

    /// Goes through the text of a JSON document and rewrites the strings in which something was found, and whole numbers as
    /// strings: all else stays byte for byte.
    fn changed_within(&self, text: &str, but: &[&str], nested: usize) -> Option<String> {
        let bytes = text.as_bytes();
        let mut changed: Option<String> = None;
        let mut kept = 0;
        // Whether each of the brackets around is an object's, outermost first.
        let mut open: Vec<bool> = Vec::new();
        let (mut is_key, mut key): (bool, &str) = (false, "");
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'{' | b'[' => {
                    is_key = *byte == b'{';
                    open.push(is_key);
                }
                b'}' | b']' => {
                    open.pop();
                }
                b',' => is_key = open.last() == Some(&true),
                b':' => is_key = false,
                b'"' | b'-' | b'0'..=b'9' => {
                    let is_string = *byte == b'"';
                    let end = if is_string { end_of_string(bytes, at) } else { end_of_number(bytes, at) };
                    let written = text.get(at..end).unwrap_or_default();
                    if is_key {
                        key = written.trim_matches('"');
                    } else if !(is_reference(key) || open.len() == 1 && but.contains(&key)) {
                        let value = if is_string { decoded(written) } else { whole(written).map(Cow::Borrowed) };
                        let found = value.and_then(|value| self.changed(&value, nested));
                        if let Some(found) = found.and_then(|value| serde_json::to_string(&value).ok()) {
                            let out = changed.get_or_insert_with(|| String::with_capacity(text.len()));
                            out.push_str(text.get(kept..at).unwrap_or_default());
                            out.push_str(&found);
                            kept = end;
                        }
                    }
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        changed.map(|mut out| {
            out.push_str(text.get(kept..).unwrap_or_default());
            out
        })
    }
}

/// What a string of JSON says.
fn decoded(string: &str) -> Option<Cow<'_, str>> {
    if string.contains('\\') {
        return serde_json::from_str(string).ok().map(Cow::Owned);
    }
    string.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

/// The text that base64 stands for; `None` for what is no base64 of a text.
fn of_base64(text: &str) -> Option<String> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let may_be = text.len() >= LEAST_BASE64 && text.len().is_multiple_of(4) && text.bytes().all(is_letter);
    let bytes = if may_be { STANDARD.decode(text).ok()? } else { return None };
    String::from_utf8(bytes).ok()
}

/// The digits of a number that is whole (`7`, `7.0`); the digits of others are none of anything.
fn whole(number: &str) -> Option<&str> {
    let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_whole = fraction.bytes().all(|digit| digit == b'0') && !digits.contains(['e', 'E']);
    is_whole.then_some(digits)
}

/// The position after the number that begins at `at`.
fn end_of_number(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    at + length.unwrap_or(rest.len())
}

/// The position after the quote that ends the string which begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            // What is escaped ends nothing.
            _ => at += 2,
        }
    }
    bytes.len()
}

/// What holds texts that are written: it hands each of them to the rules.
pub(crate) trait HoldsTexts {
    fn redact(&mut self, rules: &Rules<'_>);
}

/// A text by itself.
impl HoldsTexts for String {
    fn redact(&mut self, rules: &Rules<'_>) {
        rules.text(self);
    }
}

/// A document by itself.
impl HoldsTexts for JsonText {
    fn redact(&mut self, rules: &Rules<'_>) {
        rules.document(self);
    }
}

impl<T: HoldsTexts> HoldsTexts for Option<T> {
    fn redact(&mut self, rules: &Rules<'_>) {
        if let Some(value) = self {
            value.redact(rules);
        }
    }
}

impl<T: HoldsTexts> HoldsTexts for Vec<T> {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.iter_mut().for_each(|value| value.redact(rules));
    }
}

/// An address in which something is found is not kept: what would stand instead is none.
impl HoldsTexts for Option<IpAddr> {
    fn redact(&mut self, rules: &Rules<'_>) {
        *self = self.filter(|address| rules.changed(&address.to_string(), MOST_NESTED).is_none());
    }
}

impl HoldsTexts for NewConversation {
    fn redact(&mut self, rules: &Rules<'_>) {
        let texts = [&mut self.name, &mut self.device, &mut self.source, &mut self.language];
        texts.into_iter().for_each(|text| text.redact(rules));
        self.customer_ip_address.redact(rules);
        self.metadata.redact(rules);
    }
}

impl HoldsTexts for ConversationUpdate {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.name.redact(rules);
        self.device.redact(rules);
        self.language.redact(rules);
        self.metadata.redact(rules);
    }
}

impl HoldsTexts for NewActionDefinition {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.display_name.redact(rules);
        self.description.redact(rules);
    }
}

impl HoldsTexts for ActionChange {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.display_name.redact(rules);
        self.description.redact(rules);
    }
}

impl HoldsTexts for NewEvent {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.metadata.redact(rules);
        match &mut self.what {
            Event::Message { content, .. } => content.redact(rules),
            Event::Action(action) => {
                action.tools_used.redact(rules);
                action.response.redact(rules);
                action.error_message.redact(rules);
            }
            Event::Click(click) => click.redact(rules),
            Event::Files { .. } => {}
        }
    }
}

impl HoldsTexts for NewClick {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.button_event.redact(rules);
        self.label.redact(rules);
        self.value.redact(rules);
    }
}

impl HoldsTexts for SpanBatch {
    fn redact(&mut self, rules: &Rules<'_>) {
        for block in &mut self.blocks {
            block.fields.redact(rules);
            block.spans.redact(rules);
        }
    }
}

impl HoldsTexts for TraceSpans {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.fields.redact(rules);
        self.spans.redact(rules);
    }
}

impl HoldsTexts for BlockFields {
    fn redact(&mut self, rules: &Rules<'_>) {
        let texts = [&mut self.name, &mut self.device, &mut self.source, &mut self.language];
        texts.into_iter().for_each(|text| text.redact(rules));
        self.customer_ip_address.redact(rules);
        self.metadata.redact(rules);
    }
}

impl HoldsTexts for NewSpan {
    fn redact(&mut self, rules: &Rules<'_>) {
        match &mut self.tells {
            Tells::Turn(turn) => {
                turn.incomplete_reason.redact(rules);
                turn.messages.redact(rules);
            }
            Tells::Tool(run) => {
                // A tool that has no name of its own bears that of its span.
                if run.name == self.name {
                    run.name.redact(rules);
                }
                run.arguments.redact(rules);
                run.response.redact(rules);
                run.error.redact(rules);
            }
            Tells::Click(click, data) => {
                click.redact(rules);
                data.redact(rules);
            }
            Tells::Llm(_) | Tells::Visit | Tells::Nothing => {}
        }
        self.name.redact(rules);
        if let Some(Dialogue { heard, said }) = &mut self.dialogue {
            heard.redact(rules);
            said.redact(rules);
        }
        rules.document_but(&mut self.payload, NAMES_OF_A_SPAN);
    }
}

impl HoldsTexts for TurnMessage {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.content.redact(rules);
        self.metadata.redact(rules);
    }
}

impl HoldsTexts for NewFeedback {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.comment.redact(rules);
        self.metadata.redact(rules);
    }
}

impl HoldsTexts for FeedbackPost {
    fn redact(&mut self, rules: &Rules<'_>) {
        match self {
            Self::Conversation(new) => new.redact(rules),
            Self::Agent(new) => {
                new.comment.redact(rules);
                new.metadata.redact(rules);
            }
            Self::Message(vote) => {
                vote.comment.redact(rules);
                vote.topic.redact(rules);
                vote.reason.redact(rules);
                vote.metadata.redact(rules);
            }
        }
    }
}

impl HoldsTexts for FeedbackChange {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.comment.redact(rules);
        self.topic.redact(rules);
        self.reason.redact(rules);
    }
}

impl HoldsTexts for NewTicket {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.title.redact(rules);
    }
}

impl HoldsTexts for TicketChange {
    fn redact(&mut self, rules: &Rules<'_>) {
        self.title.redact(rules);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction(names: &[&str]) -> Redaction {
        let file: String = names.iter().map(|name| format!("[[rule]]\nname = \"{name}\"\n")).collect();
        Redaction::parse(&file).unwrap()
    }

    fn without(redaction: &Redaction, text: &str) -> String {
        let mut text = text.to_owned();
        redaction.apply(&mut text);
        text
    }

    fn document(redaction: &Redaction, text: &str) -> String {
        let mut document = JsonText::parse(text.to_owned()).unwrap();
        redaction.apply(&mut document);
        document.as_str().to_owned()
    }

    #[test]
    fn builtins_find_what_they_are_called() {
        for (name, given, written) in [
            ("email", "Write to jane.doe+x@mail.example.org, or not", "Write to [email], or not"),
            ("email", "me@localhost and @handle", "me@localhost and @handle"),
            ("credit_card", "It is 4111 1111 1111 1111.", "It is [credit_card]."),
            ("credit_card", "378282246310005 and 5555-5555-5555-4444 12", "[credit_card] and [credit_card] 12"),
            ("credit_card", "order 12 4111111111111111", "order 12 [credit_card]"),
            (
                "credit_card",
                "4111 1111 1111 1112, 4111111111111111111111",
                "4111 1111 1111 1112, 4111111111111111111111",
            ),
            ("credit_card", "\u{662f}4111111111111111\u{3002}", "\u{662f}[credit_card]\u{3002}"),
            ("phone", "call +385 91 234 5678 or (555) 123-4567", "call [phone] or [phone]"),
            ("phone", "0049 30 1234567, 555.123.4567", "[phone], [phone]"),
            ("phone", "12345 of 2026-03-02, 1.250.000", "12345 of 2026-03-02, 1.250.000"),
            ("ipv4", "from 203.0.113.45 to 999.1.1.1", "from [ipv4] to 999.1.1.1"),
            ("api_key", "ags_0123456789abcdef0123456789abcdef_00ff00 is mine", "[api_key] is mine"),
            ("api_key", "sk-proj-abcdefghijklmnop and AKIAABCDEFGHIJKLMNOP", "[api_key] and [api_key]"),
            ("api_key", "Authorization: Bearer abcdefghij0123456789==", "Authorization: [api_key]"),
            ("api_key", "a task-force, skilled", "a task-force, skilled"),
        ] {
            assert_eq!(without(&redaction(&[name]), given), written, "{name}");
        }
    }

    #[test]
    fn a_run_of_digits_without_end_is_read_once() {
        let digits = "1 ".repeat(200_000);
        assert_eq!(without(&redaction(&["credit_card", "phone"]), &digits), digits);
    }

    #[test]
    fn rules_follow_each_other_and_say_what_stands_instead() {
        let rules = Redaction::parse(
            "[[rule]]\nname = 'order'\npattern = 'ORD-(\\d+)'\nreplacement = 'order $1'\n
             [[rule]]\nname = 'mail'\nbuiltin = 'email'\n
             [[rule]]\nname = 'none'\npattern = '\\[mail\\]'\nreplacement = ''\n",
        )
        .unwrap();
        assert_eq!(without(&rules, "ORD-17 of a@b.example"), "order $1 of ");
    }

    #[test]
    fn a_document_stays_as_it_is_but_for_what_is_found() {
        let rules = redaction(&["email", "credit_card", "phone"]);
        for (given, written) in [
            (r#"{ "b": 1e2, "a": [1.0, "a@b.example"] }"#, r#"{ "b": 1e2, "a": [1.0, "[email]"] }"#),
            (r#"{"a@b.example": "a\u0040b.example"}"#, r#"{"a@b.example": "[email]"}"#),
            (
                r#"{"user_id": "a@b.example", "id": "a@b.example", "session.id": "+385912345678", "toolCallId": "4111111111111111"}"#,
                r#"{"user_id": "a@b.example", "id": "a@b.example", "session.id": "+385912345678", "toolCallId": "4111111111111111"}"#,
            ),
            (
                r#"{"at": "2026-03-02T09:15:00.123456Z", "start_time_unix_nano": "4111111111111111"}"#,
                r#"{"at": "2026-03-02T09:15:00.123456Z", "start_time_unix_nano": "4111111111111111"}"#,
            ),
            (
                r#"{"n": 4111111111111111, "of": [4111111111111111.0,-4111111111111111], "kept": "\"\\"}"#,
                r#"{"n": "[credit_card]", "of": ["[credit_card]","-[credit_card]"], "kept": "\"\\"}"#,
            ),
            (
                r#"{"score": 0.4111111111111111, "e": 4111111111111111e1, "id": 4111111111111111, "no": [true, null, 7]}"#,
                r#"{"score": 0.4111111111111111, "e": 4111111111111111e1, "id": 4111111111111111, "no": [true, null, 7]}"#,
            ),
            // Bytes of a text, and of anything else.
            (r#"{"a": "SSBhbSBhQGIuZXhhbXBsZQ==", "b": "+/8="}"#, r#"{"a": "SSBhbSBbZW1haWxd", "b": "+/8="}"#),
            (
                r#"{"arguments": "{\"to\": \"a@b.example\", \"id\": \"a@b.example\"}"}"#,
                r#"{"arguments": "{\"to\": \"[email]\", \"id\": \"a@b.example\"}"}"#,
            ),
            (
                r#"["{a@b.example", {"x": {"y": ["a@b.example"]}}, "z"]"#,
                r#"["{[email]", {"x": {"y": ["[email]"]}}, "z"]"#,
            ),
        ] {
            assert_eq!(document(&rules, given), written);
        }
        assert_eq!(without(&rules, r#"{"to": "a@b.example"}"#), r#"{"to": "[email]"}"#);
    }

    #[test]
    fn a_rule_that_cannot_be_used_is_named() {
        for (file, says) in [
            ("", "there is no [[rule]] in it"),
            ("[[rule]]\nname = ' '", "rule 1 has no name"),
            ("[[rule]]\nname = 'email'\n[[rule]]\nname = 'email'", "two rules are called \"email\""),
            (
                "[[rule]]\nname = 'order'",
                "rule \"order\": it has no pattern, and is none of the builtins email, credit_card, phone, ipv4, api_key",
            ),
            (
                "[[rule]]\nname = 'mail'\nbuiltin = 'mail'",
                "rule \"mail\": there is no builtin \"mail\"; there are email, credit_card, phone, ipv4, api_key",
            ),
            (
                "[[rule]]\nname = 'x'\nbuiltin = 'email'\npattern = 'y'",
                "rule \"x\": pattern and builtin exclude each other",
            ),
            ("[[rule]]\nname = 'x'\npattern = '(y'", "rule \"x\": unclosed group"),
            (
                "[[rule]]\nname = 'x'\npattern = 'y*'",
                "rule \"x\": the pattern matches the empty text, and so everywhere",
            ),
        ] {
            assert_eq!(Redaction::parse(file).unwrap_err(), says);
        }
        let unknown = Redaction::parse("[[rule]]\nname = 'x'\nregex = 'y'").unwrap_err();
        assert!(unknown.contains("line 3") && unknown.contains("regex"), "{unknown}");
    }
}
