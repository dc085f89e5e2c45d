//! OpenTelemetry's own conventions for generative AI, as they are and as they were.

use agentsight_model::usage::TokenCounts;
use serde_json::Value;

use super::{Found, Seen, call};
use crate::attributes::Attributes;
use crate::messages::{self, Said, message, text_of};
use crate::span::numbered;

pub(super) fn read(seen: &Seen<'_>) -> Option<Found> {
    let attributes = seen.attributes;
    let operation = attributes.text("gen_ai.operation.name");
    let known = ["gen_ai.provider.name", "gen_ai.system", "gen_ai.request.model", "gen_ai.usage.input_tokens"];
    if operation.is_none() && !known.iter().any(|key| attributes.has(key)) {
        return None;
    }
    let (heard, said) = said(seen);
    let found = match operation.as_deref().unwrap_or("chat") {
        "execute_tool" => {
            let name = attributes.first(&["gen_ai.tool.name"]);
            let arguments =
                attributes.get("gen_ai.tool.call.arguments").or_else(|| attributes.get("gen_ai.tool.arguments"));
            let result = attributes.get("gen_ai.tool.call.result").or_else(|| attributes.get("gen_ai.tool.result"));
            return Some(Found::of("tool").telling(seen.tool(name, arguments, result)));
        }
        "invoke_agent" | "create_agent" | "invoke_workflow" => Found::of("agent"),
        operation => Found::of("llm").telling(call(model(attributes), counts(attributes), operation == "embeddings")),
    };
    Some(found.saying(heard, said))
}

/// The model that answered, or the one that was asked.
pub(super) fn model(attributes: Attributes<'_>) -> Option<String> {
    attributes.first(&["gen_ai.response.model", "gen_ai.request.model", "llm.model_name"])
}

pub(super) fn counts(attributes: Attributes<'_>) -> TokenCounts {
    TokenCounts {
        prompt_tokens: attributes.count(&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]),
        completion_tokens: attributes.count(&["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"]),
        cache_read_tokens: attributes
            .count(&["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"]),
        cache_write_tokens: attributes.count(&[
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
        ]),
        reasoning_tokens: attributes.count(&["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"]),
        ..TokenCounts::default()
    }
}

/// What went to the model and what came back, in whichever of the forms it is there.
pub(super) fn said(seen: &Seen<'_>) -> (Said, Said) {
    let attributes = seen.attributes;
    let mut heard = list(attributes, &["gen_ai.input.messages", "gen_ai.prompt"], "user");
    let mut said = list(attributes, &["gen_ai.output.messages", "gen_ai.completion"], "assistant");
    if heard.is_empty() {
        heard = indexed(attributes, "gen_ai.prompt", "user");
    }
    if said.is_empty() {
        said = indexed(attributes, "gen_ai.completion", "assistant");
    }
    for event in seen.events {
        let of = Attributes(&event.attributes);
        match event.name.as_str() {
            "gen_ai.client.inference.operation.details" | "gen_ai.content.prompt" | "gen_ai.content.completion" => {
                if heard.is_empty() {
                    heard = list(of, &["gen_ai.input.messages", "gen_ai.prompt"], "user");
                }
                if said.is_empty() {
                    said = list(of, &["gen_ai.output.messages", "gen_ai.completion"], "assistant");
                }
            }
            "gen_ai.user.message" => heard.extend(of_event(of, "user")),
            "gen_ai.assistant.message" => heard.extend(of_event(of, "assistant")),
            "gen_ai.choice" => said.extend(of_event(of, "assistant")),
            _ => {}
        }
    }
    (heard, said)
}

fn list(attributes: Attributes<'_>, keys: &[&str], role: &str) -> Said {
    keys.iter().find_map(|key| attributes.get(key)).map(|value| messages::read(value, role)).unwrap_or_default()
}

/// `gen_ai.prompt.0.role`, `gen_ai.prompt.0.content`, …
fn indexed(attributes: Attributes<'_>, prefix: &str, role: &str) -> Said {
    let of = |parts: &std::collections::BTreeMap<&str, &Value>| {
        let role = parts.get("role").and_then(|role| role.as_str()).unwrap_or(role);
        message(role, parts.get("content").map(|content| text_of(content)).unwrap_or_default())
    };
    numbered(attributes, prefix).values().filter_map(of).collect()
}

/// The body of an event of the older form, as attributes: `content`, or `message` with one.
fn of_event(attributes: Attributes<'_>, role: &str) -> Option<agentsight_model::span::TurnMessage> {
    let content = attributes.get("content").or_else(|| attributes.get("gen_ai.event.content"));
    if let Some(content) = content {
        return messages::read(content, role).into_iter().next();
    }
    let inner = attributes.structure("message")?;
    message(role, inner.get("content").map(text_of).unwrap_or_default())
}
