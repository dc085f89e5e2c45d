//! Tokens and what they cost.

use serde::{Deserialize, Serialize};

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

fn whole(value: &serde_json::Value) -> Option<i64> {
    let number = value.as_i64().or_else(|| value.as_f64().filter(|n| (0.0..=9e15).contains(n)).map(|n| n as i64));
    number.filter(|n| *n >= 0)
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
