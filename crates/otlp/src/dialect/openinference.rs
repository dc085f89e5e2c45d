//! OpenInference (Arize): `openinference.span.kind`, `llm.*`, `input.value`.

use std::collections::BTreeMap;

use agentsight_model::usage::TokenCounts;
use serde_json::Value;

use super::{Found, Seen, call, called_with};
use crate::attributes::Attributes;
use crate::messages::{self, Said, message, text_of};
use crate::span::numbered;

pub(super) fn read(seen: &Seen<'_>) -> Option<Found> {
    let attributes = seen.attributes;
    let kind = attributes.text("openinference.span.kind")?.to_ascii_lowercase();
    let (input, output) = (attributes.get("input.value"), attributes.get("output.value"));
    Some(match kind.as_str() {
        // LlamaIndex makes one of the preparation of every call.
        "llm" if !seen.is_error && !is_call(attributes) => Found::of("chain"),
        "llm" => {
            let heard = indexed(attributes, "llm.input_messages", "user").unwrap_or_else(|| bare(input, "user"));
            let said = indexed(attributes, "llm.output_messages", "assistant");
            let said = said.unwrap_or_else(|| bare(output, "assistant"));
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
            let given = attributes.structure("input.value").filter(is_of_llamaindex).map(|value| called_with(&value));
            Found::of("tool").telling(seen.tool(attributes.first(&["tool.name"]), given.as_ref().or(arguments), output))
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

/// Whether a span of a model tells of a call, and not of what is done around one.
fn is_call(attributes: Attributes<'_>) -> bool {
    let told = ["llm.input_messages.", "llm.output_messages.", "llm.prompts", "llm.token_count."];
    attributes.has("llm.response.model_name")
        || attributes.0.keys().any(|key| told.iter().any(|prefix| key.starts_with(prefix)))
}

/// `{"kwargs": {"order": "A-9"}}`
fn is_of_llamaindex(input: &Value) -> bool {
    let is_part = |key: &String| matches!(key.as_str(), "args" | "kwargs");
    input.as_object().is_some_and(|input| !input.is_empty() && input.keys().all(is_part))
}

/// What a call was given, or gave, in no form that tells who said it.
fn bare(value: Option<&Value>, role: &str) -> Said {
    value.map(|value| messages::read(value, role)).unwrap_or_default()
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

/// `llm.input_messages.0.message.role`, `….content`, or `….contents.0.message_content.text`; `None` where there is nothing
/// of the kind. What holds calls of tools alone says nothing.
fn indexed(attributes: Attributes<'_>, prefix: &str, role: &str) -> Option<Said> {
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
    let numbered = numbered(attributes, prefix);
    (!numbered.is_empty()).then(|| numbered.values().filter_map(of).collect())
}
