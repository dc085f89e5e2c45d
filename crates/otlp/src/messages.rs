//! Messages in the forms in which models are called.

use agentsight_model::json::JsonText;
use agentsight_model::message::Sender;
use agentsight_model::span::TurnMessage;
use serde_json::Value;

use crate::attributes::structure;

/// What was said, by whom.
pub(crate) type Said = Vec<TurnMessage>;

/// A message, where a role and a text make one: what systems, developers and tools say is no part of a transcript.
pub(crate) fn message(role: &str, text: String) -> Option<TurnMessage> {
    let sender = match role.to_ascii_lowercase().as_str() {
        "user" | "human" | "end_user" => Sender::EndUser,
        "assistant" | "ai" | "model" | "agent" => Sender::Agent,
        _ => return None,
    };
    let text = crate::attributes::without_nul(text);
    (!text.trim().is_empty()).then_some(TurnMessage {
        sender,
        content: text,
        timestamp: None,
        metadata: JsonText::EMPTY,
    })
}

/// The messages of a value in any of the usual forms: a list of them, one of them, or an object that holds the list.
/// A bare text is said by `role`.
pub(crate) fn read(value: &Value, role: &str) -> Said {
    match value {
        Value::Array(items) => {
            // OpenInference of LangChain: a list of lists.
            items.iter().flat_map(|item| read(item, role)).collect()
        }
        Value::Object(object) => {
            for list in ["messages", "choices", "generations", "contents"] {
                if let Some(inner @ Value::Array(_)) = object.get(list) {
                    return read(inner, role);
                }
            }
            if let Some(inner @ Value::Object(_)) = object.get("message").or_else(|| object.get("kwargs")) {
                return one(inner, own_role(value).unwrap_or(role)).into_iter().collect();
            }
            if object.contains_key("role")
                || object.contains_key("content")
                || object.contains_key("parts")
                || object.contains_key("text")
            {
                return one(value, role).into_iter().collect();
            }
            // The input or output of a chain, by the names that people give it.
            let keys = ["input", "question", "query", "prompt", "user_input", "output", "answer", "response", "result"];
            keys.iter().find_map(|key| object.get(*key)).map(|inner| read(inner, role)).unwrap_or_default()
        }
        Value::String(text) => match structure(value) {
            Some(inner) => read(&inner, role),
            None => message(role, text.clone()).into_iter().collect(),
        },
        _ => Said::new(),
    }
}

fn own_role(value: &Value) -> Option<&str> {
    let role = value.get("role").or_else(|| value.get("type")).and_then(Value::as_str)?;
    // What LangChain calls its classes.
    Some(match role {
        "HumanMessage" | "HumanMessageChunk" => "human",
        "AIMessage" | "AIMessageChunk" => "ai",
        "SystemMessage" => "system",
        "ToolMessage" | "FunctionMessage" => "tool",
        role => role,
    })
}

fn one(value: &Value, role: &str) -> Option<TurnMessage> {
    let known = ["user", "human", "assistant", "ai", "model", "system", "developer", "tool", "function", "agent"];
    let role = own_role(value).filter(|role| known.contains(&role.to_ascii_lowercase().as_str())).unwrap_or(role);
    let content =
        ["content", "parts", "text"].iter().find_map(|key| value.get(*key)).filter(|content| !content.is_null())?;
    message(role, text_of(content))
}

/// The text of a content: itself, or its text parts.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => match structure(content) {
            // A list of parts that was written as text.
            Some(parts @ Value::Array(_)) if is_parts(&parts) => text_of(&parts),
            _ => text.clone(),
        },
        Value::Array(parts) => {
            let texts: Vec<String> = parts.iter().map(text_of).filter(|text| !text.is_empty()).collect();
            texts.join("\n")
        }
        Value::Object(part) => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
            if !matches!(kind, "text" | "input_text" | "output_text" | "message") {
                return String::new();
            }
            ["text", "content", "value"].iter().find_map(|key| part.get(*key)).map(text_of).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn is_parts(value: &Value) -> bool {
    value.as_array().is_some_and(|parts| {
        !parts.is_empty() && parts.iter().all(|part| part.get("type").is_some() || part.get("text").is_some())
    })
}
