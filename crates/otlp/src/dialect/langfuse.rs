//! Langfuse's own SDKs: `langfuse.observation.*`, `langfuse.trace.*`.

use agentsight_model::usage::TokenCounts;

use super::{Found, Seen, call, gen_ai};
use crate::attributes::count;
use crate::messages;

pub(super) fn read(seen: &Seen<'_>) -> Option<Found> {
    let attributes = seen.attributes;
    let kind = attributes.text("langfuse.observation.type")?;
    let (input, output) = (attributes.get("langfuse.observation.input"), attributes.get("langfuse.observation.output"));
    let heard = || input.map(|value| messages::read(value, "user")).unwrap_or_default();
    let said = || output.map(|value| messages::read(value, "assistant")).unwrap_or_default();
    Some(match &*kind {
        "generation" | "embedding" => {
            let details = attributes.structure("langfuse.observation.usage_details").unwrap_or_default();
            let of = |keys: &[&str]| keys.iter().find_map(|key| count(details.get(*key)?)).unwrap_or(0);
            let own = TokenCounts {
                prompt_tokens: of(&["input", "prompt_tokens", "input_tokens"]),
                completion_tokens: of(&["output", "completion_tokens", "output_tokens"]),
                cache_read_tokens: of(&["cache_read_input_tokens", "input_cached_tokens", "input_cache_read"]),
                cache_write_tokens: of(&["cache_creation_input_tokens", "input_cache_creation"]),
                reasoning_tokens: of(&["output_reasoning_tokens", "reasoning_tokens"]),
                ..TokenCounts::default()
            };
            let counts = if own == TokenCounts::default() { gen_ai::counts(attributes) } else { own };
            let model = attributes.first(&["langfuse.observation.model.name"]).or_else(|| gen_ai::model(attributes));
            Found::of("llm").telling(call(model, counts, kind == "embedding")).saying(heard(), said())
        }
        "tool" => Found::of("tool").telling(seen.tool(None, input, output)),
        "agent" | "chain" => Found::of(&kind).saying(heard(), said()),
        // A span is whatever somebody wrapped: it speaks with somebody only where the trace says so.
        _ => {
            let heard =
                attributes.get("langfuse.trace.input").map(|value| messages::read(value, "user")).unwrap_or_default();
            let said = attributes
                .get("langfuse.trace.output")
                .map(|value| messages::read(value, "assistant"))
                .unwrap_or_default();
            Found::of(if kind == "span" { "chain" } else { &kind }).saying(heard, said)
        }
    })
}
