//! The AI SDK of Vercel: `ai.*`.

use agentsight_model::usage::TokenCounts;

use serde_json::Value;

use super::{Found, Seen, call, gen_ai};
use crate::messages::{self, Said, message};

pub(super) fn read(seen: &Seen<'_>) -> Option<Found> {
    let attributes = seen.attributes;
    let operation = attributes.text("ai.operationId")?;
    if operation == "ai.toolCall" {
        let name = attributes.first(&["ai.toolCall.name"]);
        let (arguments, result) =
            (["ai.toolCall.args", "ai.toolCall.input"], ["ai.toolCall.result", "ai.toolCall.output"]);
        let first = |keys: [&str; 2]| keys.iter().find_map(|key| attributes.get(key));
        // A result is JSON, and so a text is in quotes.
        let result = first(result);
        let text = result.and_then(|value| serde_json::from_str::<String>(value.as_str()?).ok()).map(Value::String);
        return Some(Found::of("tool").telling(seen.tool(name, first(arguments), text.as_ref().or(result))));
    }
    let heard = ["ai.prompt.messages", "ai.prompt"].iter().find_map(|key| attributes.get(key));
    // `{"system": …, "messages": […]}`, `{"prompt": "…"}`, or the list itself.
    let heard = heard.map(|value| messages::read(value, "user")).unwrap_or_default();
    let text = attributes.first(&["ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object"]);
    let said: Said = text.and_then(|text| message("assistant", text)).into_iter().collect();
    let is_embedding = operation.starts_with("ai.embed");
    // The calls themselves are inside: `ai.generateText.doGenerate`, `ai.streamText.doStream`, `ai.embed.doEmbed`.
    if !operation.contains(".do") {
        return Some(Found::of(if is_embedding { "chain" } else { "agent" }).saying(heard, said));
    }
    let own = TokenCounts {
        prompt_tokens: attributes.count(&["ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"]),
        completion_tokens: attributes.count(&["ai.usage.outputTokens", "ai.usage.completionTokens"]),
        cache_read_tokens: attributes.count(&["ai.usage.cachedInputTokens"]),
        reasoning_tokens: attributes.count(&["ai.usage.reasoningTokens"]),
        ..TokenCounts::default()
    };
    let counts = if own == TokenCounts::default() { gen_ai::counts(attributes) } else { own };
    let model =
        attributes.first(&["ai.response.model", "gen_ai.response.model", "ai.model.id", "gen_ai.request.model"]);
    Some(Found::of("llm").telling(call(model, counts, is_embedding)).saying(heard, said))
}
