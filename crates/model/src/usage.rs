//! Tokens and what they cost.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::agent::normalise_slug;
use crate::filter::{Query, SortKeys};
use crate::ids::{ConversationId, UsageId};
use crate::limits;
use crate::refusal::{FieldErrors, Refusal};
use crate::time::Timestamp;

/// Tokens by class. Zeros are left out of answers, except the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct TokenCounts {
    /// Input without cache reads and writes.
    #[serde(skip_serializing_if = "is_zero")]
    pub prompt_tokens: i64,
    /// Output, reasoning included.
    #[serde(skip_serializing_if = "is_zero")]
    pub completion_tokens: i64,
    /// Embedded text.
    #[serde(skip_serializing_if = "is_zero")]
    pub embedding_tokens: i64,
    /// Input read from a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_tokens: i64,
    /// Input written to a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: i64,
    /// Part of the output.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: i64,
    /// Part of the input.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input_tokens: i64,
    /// Part of the output.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output_tokens: i64,
    /// Prompt, completion, embedding, cache read and cache write together.
    pub total_tokens: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl TokenCounts {
    /// Sets the total: reasoning and audio are parts of the other classes and are not added.
    pub fn sum_up(&mut self) {
        let billed = [
            self.prompt_tokens,
            self.completion_tokens,
            self.embedding_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
        ];
        self.total_tokens = billed.into_iter().fold(0, i64::saturating_add);
    }

    /// Adds another's counts to these.
    pub fn add(&mut self, other: &Self) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.embedding_tokens = self.embedding_tokens.saturating_add(other.embedding_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
        self.audio_input_tokens = self.audio_input_tokens.saturating_add(other.audio_input_tokens);
        self.audio_output_tokens = self.audio_output_tokens.saturating_add(other.audio_output_tokens);
        self.total_tokens = self.total_tokens.saturating_add(other.total_tokens);
    }
}

/// Units of 0.00000001 US dollars in what a sender says that a call cost; 0 for what no call costs.
#[must_use]
pub fn units_of_dollars(dollars: f64) -> i64 {
    let units = (dollars * 1e8).round();
    if (0.0..=limits::CALL_COST as f64).contains(&units) { units as i64 } else { 0 }
}

/// Money, as a decimal text with eight places.
pub type Cost = String;

/// Tokens of a conversation: `token_usage` of its detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageSummary {
    /// Over all models.
    pub totals: TokenCounts,
    /// US dollars with eight places.
    pub cost_usd: Cost,
    /// Distinct sources, sorted: `backend`, `reported`, `unpriced`.
    pub cost_sources: Vec<String>,
    /// One entry per model and cost source.
    pub models: Vec<ModelUsage>,
}

/// Tokens of one model within [`UsageSummary`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelUsage {
    /// The model that answered; null when unknown.
    pub model: Option<String>,
    /// `backend`, `reported` or `unpriced`; the cost of the last is 0 and means unknown.
    pub cost_source: String,
    /// US dollars with eight places.
    pub cost_usd: Cost,
    /// Its tokens, beside the other keys.
    #[serde(flatten)]
    pub counts: TokenCounts,
}

/// One row of `GET /api/token-usage/`: what a turn used of a model (contract: reading §10.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Our key.
    pub id: UsageId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The sender's name for it.
    pub conversation_id: String,
    /// Slug of its environment.
    pub environment: String,
    /// `span_id` of the turn; null for calls outside one.
    pub turn_id: Option<String>,
    /// The model that answered; null when unknown.
    pub model: Option<String>,
    /// Its tokens, zeros included, beside the other keys.
    #[serde(flatten)]
    pub counts: AllCounts,
    /// US dollars with eight places; 0 means unknown where the source is `unpriced`.
    pub cost_usd: Cost,
    /// What the sender said.
    pub cost_usd_reported: Cost,
    /// `backend`, `reported` or `unpriced`.
    pub cost_source: String,
    /// Calls that it sums up.
    pub calls: i64,
    /// Those whose usage was never reported.
    pub unreported_calls: i64,
    /// The turn broke off.
    pub incomplete: bool,
    /// `error`, `abandoned`, `deadline`, `shutdown`, else null.
    pub incomplete_reason: Option<String>,
    /// The turn's start.
    pub started_at: Timestamp,
    /// The turn's end.
    pub ended_at: Timestamp,
}

/// Tokens by class, each of them there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct AllCounts(pub TokenCounts);

impl Serialize for AllCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = &self.0;
        let mut map = serializer.serialize_map(Some(9))?;
        map.serialize_entry("prompt_tokens", &counts.prompt_tokens)?;
        map.serialize_entry("completion_tokens", &counts.completion_tokens)?;
        map.serialize_entry("embedding_tokens", &counts.embedding_tokens)?;
        map.serialize_entry("cache_read_tokens", &counts.cache_read_tokens)?;
        map.serialize_entry("cache_write_tokens", &counts.cache_write_tokens)?;
        map.serialize_entry("reasoning_tokens", &counts.reasoning_tokens)?;
        map.serialize_entry("audio_input_tokens", &counts.audio_input_tokens)?;
        map.serialize_entry("audio_output_tokens", &counts.audio_output_tokens)?;
        map.serialize_entry("total_tokens", &counts.total_tokens)?;
        map.end()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for AllCounts {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        TokenCounts::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for AllCounts {}

/// Which rows of usage are wanted; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageFilter {
    /// Exact.
    pub model: Option<String>,
    /// Our key of the conversation.
    pub conversation: Option<i64>,
    /// The sender's name for it, exact.
    pub conversation_id: Option<String>,
    /// `span_id` of the turn.
    pub turn_id: Option<String>,
    /// Slug of the conversation's environment.
    pub environment: Option<String>,
    /// `backend`, `reported`, `unpriced`.
    pub cost_source: Option<String>,
    /// Whether the turn broke off.
    pub incomplete: Option<bool>,
    /// Inclusive.
    pub started_at_after: Option<Timestamp>,
    /// Inclusive.
    pub started_at_before: Option<Timestamp>,
    /// Newest first when empty.
    pub ordering: SortKeys,
}

/// What rows of usage may be ordered by.
const SORT_KEYS: &[&str] = &["started_at", "ended_at", "total_tokens", "cost_usd", "id"];

/// Parameters of the filter.
macro_rules! usage_parameters {
    ($($more:literal),*) => {
        &["model", "conversation", "conversation_id", "turn_id", "environment", "cost_source", "incomplete",
          "started_at_after", "started_at_before", $($more),*]
    };
}
/// Every parameter that the list reads.
pub const USAGE_PARAMETERS: &[&str] = usage_parameters!("ordering", "page", "page_size", "paginate");
/// Every parameter that the summary reads.
pub const SUMMARY_PARAMETERS: &[&str] = usage_parameters!("group_by", "currency");

impl UsageFilter {
    /// Reads the parameters.
    ///
    /// # Errors
    /// Every parameter whose value cannot be read. The slug is checked against the agent's by the store.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        let filter = Self {
            model: query.owned("model"),
            conversation: query.key("conversation", &mut errors),
            conversation_id: query.owned("conversation_id"),
            turn_id: query.owned("turn_id").map(|id| id.to_ascii_lowercase()),
            environment: query.get("environment").and_then(normalise_slug),
            cost_source: query.word("cost_source", &["backend", "reported", "unpriced"], &mut errors),
            incomplete: query.flag("incomplete", &mut errors),
            started_at_after: query.timestamp("started_at_after", &mut errors),
            started_at_before: query.timestamp("started_at_before", &mut errors),
            ordering: SortKeys::read(query, SORT_KEYS),
        };
        errors.into_result()?;
        Ok(filter)
    }
}

/// By what a summary is grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    /// The model's id.
    #[default]
    Model,
    /// Our key of the conversation.
    Conversation,
    /// The day, in UTC, on which the turn began.
    Day,
}

impl GroupBy {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Conversation => "conversation",
            Self::Day => "day",
        }
    }

    /// Reads `group_by`.
    ///
    /// # Errors
    /// 400 with the words that it takes.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        match query.get("group_by") {
            None => Ok(Self::default()),
            Some(word) => [Self::Model, Self::Conversation, Self::Day]
                .into_iter()
                .find(|by| by.as_str() == word)
                .ok_or_else(|| Refusal::bare("group_by", "Must be one of: model, conversation, day.")),
        }
    }
}

/// In what a summary is asked to show costs; dollars are always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Currency {
    /// US dollars.
    #[default]
    Usd,
    /// Euros, where a rate is on file.
    Eur,
}

impl Currency {
    /// As it stands in an answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Eur => "EUR",
        }
    }

    /// Reads `currency`.
    ///
    /// # Errors
    /// 400 with the words that it takes.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        match query.get("currency").map(str::to_ascii_lowercase).as_deref() {
            None | Some("usd") => Ok(Self::Usd),
            Some("eur") => Ok(Self::Eur),
            Some(_) => Err(Refusal::bare("currency", "Must be one of: usd, eur.")),
        }
    }
}

/// `GET /api/token-usage/summary/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageGroups {
    /// `model`, `conversation` or `day`.
    pub group_by: String,
    /// `USD` or `EUR`.
    pub currency: String,
    /// The dearest first.
    pub results: Vec<UsageGroup>,
}

/// One group of a summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageGroup {
    /// The model, the conversation's integer, or the day; null for an unknown model.
    pub group: Option<GroupKey>,
    /// Calls.
    pub calls: i64,
    /// Rows that were summed up.
    pub rows: i64,
    /// Input without cache reads and writes.
    pub prompt_tokens: i64,
    /// Output.
    pub completion_tokens: i64,
    /// Embedded text.
    pub embedding_tokens: i64,
    /// Input read from a cache.
    pub cache_read_tokens: i64,
    /// Input written to a cache.
    pub cache_write_tokens: i64,
    /// All of them.
    pub total_tokens: i64,
    /// US dollars, of the rows whose cost is known.
    pub cost_usd: f64,
    /// Rows whose cost is not known, which `cost_usd` does not hold; left out where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpriced_rows: i64,
    /// Euros; there only where a rate is on file for every day of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_eur: Option<f64>,
}

/// What a group of a summary is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum GroupKey {
    /// A conversation.
    Number(i64),
    /// A model or a day.
    Text(String),
}

/// Counters that a process of SDK 0.0.x posted: cumulative over its life (contract: tracking-v0 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostedCounters {
    /// `prompt_tokens`
    pub prompt: i64,
    /// `completion_tokens`
    pub completion: i64,
    /// `embedding_tokens`
    pub embedding: i64,
    /// Their sum, or the posted total where all three are zero.
    pub total: i64,
}

impl PostedCounters {
    /// The counters of a `token_usage` action's metadata; `None` when it names none.
    #[must_use]
    pub fn from_metadata(metadata: &serde_json::Value) -> Option<Self> {
        let count = |key: &str| metadata.get(key).and_then(whole);
        let keys = ["prompt_tokens", "completion_tokens", "embedding_tokens", "total_tokens"];
        if keys.iter().all(|key| count(key).is_none()) {
            return None;
        }
        let get = |key| count(key).unwrap_or(0);
        let (prompt, completion, embedding) = (get("prompt_tokens"), get("completion_tokens"), get("embedding_tokens"));
        let sum = prompt.saturating_add(completion).saturating_add(embedding);
        Some(Self { prompt, completion, embedding, total: if sum == 0 { get("total_tokens") } else { sum } })
    }

    /// True where every counter of `earlier` is at most ours, so that both may be of one process.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        earlier.prompt <= self.prompt
            && earlier.completion <= self.completion
            && earlier.embedding <= self.embedding
            && earlier.total <= self.total
    }

    /// What came on top of `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> TokenCounts {
        TokenCounts {
            prompt_tokens: self.prompt - earlier.prompt,
            completion_tokens: self.completion - earlier.completion,
            embedding_tokens: self.embedding - earlier.embedding,
            total_tokens: self.total - earlier.total,
            ..TokenCounts::default()
        }
    }

    /// Counters of a process that has not counted anything yet.
    pub const ZERO: Self = Self { prompt: 0, completion: 0, embedding: 0, total: 0 };
}

/// A count of tokens; `None` for what is none.
pub(crate) fn whole(value: &serde_json::Value) -> Option<i64> {
    let number = value.as_i64().or_else(|| value.as_f64().filter(|n| (0.0..=9e15).contains(n)).map(|n| n as i64));
    number.filter(|n| (0..=limits::TOKENS).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_classes_are_left_out_and_the_total_stays() {
        let counts = TokenCounts { prompt_tokens: 3, total_tokens: 3, ..TokenCounts::default() };
        assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"prompt_tokens":3,"total_tokens":3}"#);
    }

    #[test]
    fn a_posted_total_counts_only_where_the_parts_are_zero() {
        let read = |json: serde_json::Value| PostedCounters::from_metadata(&json);
        assert_eq!(read(serde_json::json!({})), None);
        assert_eq!(read(serde_json::json!({"prompt_tokens": 2, "total_tokens": 9})).unwrap().total, 2);
        assert_eq!(read(serde_json::json!({"prompt_tokens": 0, "total_tokens": 9})).unwrap().total, 9);
    }
}
