//! OpenInference (Arize): `openinference.span.kind`, `llm.*`, `input.value`.

use std::collections::BTreeMap;

use agentsight_model::usage::TokenCounts;
use serde_json::Value;

use super::{Found, Seen, call};
use crate::attributes::Attributes;
use crate::messages::{self, Said, message, text_of};
use crate::span::numbered;

pub(super) fn read(seen: &Seen<'_>) -> Option<Found> {
    let attributes = seen.attributes;
    let kind = attributes.text("openinference.span.kind")?.to_ascii_lowercase();
    let (input, output) = (attributes.get("input.value"), attributes.get("output.value"));
    Some(match kind.as_str() {
        "llm" => {
            let heard = or(indexed(attributes, "llm.input_messages", "user"), input, "user");
            let said = or(indexed(attributes, "llm.output_messages", "assistant"), output, "assistant");
            Found::of("llm").telling(call(model(attributes), counts(attributes), false)).saying(heard, said)
        }
        "embedding" => {
            let model = attributes.first(&["embedding.model_name", "llm.model_name"]);
            Found::of("llm").telling(call(model, counts(attributes), true))
        }
        "tool" => {
            let arguments = attributes.get("tool.parameters").filter(|value| !value.is_null()).or(input);
            let arguments =
                input.filter(|value| value.as_str().is_some_and(|text| text.starts_with('{'))).or(arguments);
            Found::of("tool").telling(seen.tool(attributes.first(&["tool.name"]), arguments, output))
        }
        "agent" | "chain" => {
            let heard = input.map(|value| messages::read(value, "user")).unwrap_or_default();
            let said = output.map(|value| messages::read(value, "assistant")).unwrap_or_default();
            // A step inside of an agent speaks with nobody; which one is outermost is known by its messages.
            Found::of(&kind).saying(last(heard), last(said))
        }
        _ => Found::of(&kind),
    })
}

/// The model that answered; a call that failed has only what it was asked with.
fn model(attributes: Attributes<'_>) -> Option<String> {
    let asked = || {
        let given = attributes.structure("llm.invocation_parameters")?;
        ["model", "model_name"].iter().find_map(|key| given.get(*key)?.as_str()).map(str::to_owned)
    };
    attributes.first(&["llm.model_name"]).or_else(asked)
}

/// A chain's input may be its whole state: what counts is what came last.
fn last(mut said: Said) -> Said {
    if said.len() > 1 {
        said.drain(..said.len() - 1);
    }
    said
}

fn or(said: Said, value: Option<&Value>, role: &str) -> Said {
    if said.is_empty() { value.map(|value| messages::read(value, role)).unwrap_or_default() } else { said }
}

fn counts(attributes: Attributes<'_>) -> TokenCounts {
    let count = |key: &str| attributes.count(&[key]);
    TokenCounts {
        prompt_tokens: count("llm.token_count.prompt"),
        completion_tokens: count("llm.token_count.completion"),
        cache_read_tokens: count("llm.token_count.prompt_details.cache_read"),
        cache_write_tokens: count("llm.token_count.prompt_details.cache_write"),
        audio_input_tokens: count("llm.token_count.prompt_details.audio"),
        reasoning_tokens: count("llm.token_count.completion_details.reasoning"),
        audio_output_tokens: count("llm.token_count.completion_details.audio"),
        ..TokenCounts::default()
    }
}

/// `llm.input_messages.0.message.role`, `….content`, or `….contents.0.message_content.text`.
fn indexed(attributes: Attributes<'_>, prefix: &str, role: &str) -> Said {
    let of = |parts: &BTreeMap<&str, &Value>| {
        let role = parts.get("message.role").and_then(|role| role.as_str()).unwrap_or(role);
        let whole = parts.get("message.content").map(|content| text_of(content)).unwrap_or_default();
        let text = if whole.is_empty() {
            let texts = parts
                .iter()
                .filter(|(key, _)| key.starts_with("message.contents.") && key.ends_with(".message_content.text"));
            texts.filter_map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
        } else {
            whole
        };
        message(role, text)
    };
    numbered(attributes, prefix).values().filter_map(of).collect()
}
