//! OpenLLMetry (Traceloop): general attributes with numbers in them, and workflows of its own.

use serde_json::Value;

use super::{Found, Seen, gen_ai};
use crate::messages;

pub(super) fn read(seen: &Seen<'_>) -> Option<Found> {
    let attributes = seen.attributes;
    let kind = attributes.text("traceloop.span.kind")?;
    let name = attributes.first(&["traceloop.entity.name"]);
    let (input, output) =
        (attributes.structure("traceloop.entity.input"), attributes.structure("traceloop.entity.output"));
    if kind == "tool" {
        // What a decorated function was called with: by name, or else by position.
        let named = |value: &Value| {
            let of = |key: &str| value.get(key).filter(|inner| inner.as_object().is_none_or(|inner| !inner.is_empty()));
            // LangChain's inputs come with `kwargs` of its own.
            let given = of("inputs").or_else(|| of("kwargs")).or_else(|| of("args"));
            match given {
                // In JavaScript arguments have no names, and so most tools take one object.
                Some(Value::Array(items)) if matches!(items.as_slice(), [Value::Object(_)]) => {
                    items.first().cloned().unwrap_or_default()
                }
                Some(given) => given.clone(),
                None => value.clone(),
            }
        };
        let input = input.as_ref().map(named);
        // A text is in quotes, as JSON has it.
        let said = attributes.get("traceloop.entity.output");
        let text = said.and_then(|value| serde_json::from_str(value.as_str()?).ok()).map(Value::String);
        let response = text.as_ref().or(output.as_ref()).or(said);
        return Some(Found::of("tool").telling(seen.tool(name, input.as_ref(), response)));
    }
    if let Some(found) = gen_ai::read(seen) {
        return Some(found);
    }
    let kind = if kind == "agent" { "agent" } else { "chain" };
    // Only the outermost speaks with somebody.
    if attributes.text("traceloop.entity.path").is_some_and(|path| !path.is_empty()) {
        return Some(Found::of(kind));
    }
    let heard = input.map(|value| messages::read(&value, "user")).unwrap_or_default();
    let said = output.map(|value| messages::read(&value, "assistant")).unwrap_or_default();
    Some(Found::of(kind).saying(heard, said))
}
