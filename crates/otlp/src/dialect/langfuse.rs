//! Langfuse's own SDKs: `langfuse.observation.*`, `langfuse.trace.*`.

use agentsight_model::usage::TokenCounts;

use super::{Found, Seen, call, called_with, gen_ai};
use crate::attributes::{count, structure};
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
            // Its wrapper of `openai` hands on what that said, where the finer counts are one level down.
            let of = |keys: &[&str]| keys.iter().find_map(|key| count(details.get(*key)?));
            let inner = |group: &str, key: &str| count(details.get(group)?.get(key)?);
            let own = TokenCounts {
                prompt_tokens: of(&["input", "prompt_tokens", "input_tokens"]).unwrap_or(0),
                completion_tokens: of(&["output", "completion_tokens", "output_tokens"]).unwrap_or(0),
                cache_read_tokens: of(&["cache_read_input_tokens", "input_cached_tokens", "input_cache_read"])
                    .or_else(|| inner("prompt_tokens_details", "cached_tokens"))
                    .unwrap_or(0),
                cache_write_tokens: of(&["cache_creation_input_tokens", "input_cache_creation"]).unwrap_or(0),
                reasoning_tokens: of(&["output_reasoning_tokens", "reasoning_tokens"])
                    .or_else(|| inner("completion_tokens_details", "reasoning_tokens"))
                    .unwrap_or(0),
                ..TokenCounts::default()
            };
            let counts = if own == TokenCounts::default() { gen_ai::counts(attributes) } else { own };
            let model = attributes.first(&["langfuse.observation.model.name"]).or_else(|| gen_ai::model(attributes));
            Found::of("llm").telling(call(model, counts, kind == "embedding")).saying(heard(), said())
        }
        "tool" => {
            let input = input.and_then(structure).map(|given| called_with(&given)).or_else(|| input.cloned());
            Found::of("tool").telling(seen.tool(None, input.as_ref(), output))
        }
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
