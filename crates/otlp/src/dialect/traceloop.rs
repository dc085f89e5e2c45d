//! OpenLLMetry (Traceloop): general attributes with numbers in them, and workflows of its own.

use serde_json::Value;

use super::{Found, Seen, called_with, gen_ai};
use crate::messages;

pub(super) fn read(seen: &Seen<'_>) -> Option<Found> {
    let attributes = seen.attributes;
    let kind = attributes.text("traceloop.span.kind")?;
    let name = attributes.first(&["traceloop.entity.name"]);
    let (input, output) =
        (attributes.structure("traceloop.entity.input"), attributes.structure("traceloop.entity.output"));
    if kind == "tool" {
        let input = input.as_ref().map(called_with);
        // A text is in quotes, as JSON has it.
        let said = attributes.get("traceloop.entity.output");
        let text = said.and_then(|value| serde_json::from_str(value.as_str()?).ok()).map(Value::String);
        let response = text.as_ref().or(output.as_ref()).or(said);
        return Some(Found::of("tool").telling(seen.tool(name, input.as_ref(), response)));
    }
    if let Some(found) = gen_ai::read(seen) {
        return Some(found);
    }
    // LlamaIndex's tools are workflows like everything else of it; their account tells them.
    let ran = |output: &Value| Some((output.get("tool_name")?.as_str()?.to_owned(), output.get("raw_input")?.clone()));
    if let Some((name, given)) = output.as_ref().and_then(ran) {
        let tells = seen.tool(Some(name), Some(&called_with(&given)), output.as_ref());
        return Some(Found::of("tool").telling(tells));
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
