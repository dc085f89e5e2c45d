//! Request bodies as SDK 0.0.44 sends them.
//!
//! Python's JSON has a blank after `,` and `:` and escapes everything outside ASCII, so a Chinese
//! message is three times as long on the wire as in the store, and the server has the escapes to
//! undo. A benchmark that sent tidier bodies than the users' would flatter it.

use std::fmt::Write;

use jiff::Timestamp;

use crate::dataset::{Action, Conversation};

/// Appends `text` as a JSON string in ASCII, with surrogate pairs as Python writes them.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _infallible = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Appends a time with microseconds and offset, as Python's `isoformat()` does.
fn push_time(out: &mut String, at_us: i64) {
    let time = Timestamp::from_microsecond(at_us).unwrap_or_default();
    let _infallible = write!(out, "\"{time:.6}");
    if out.ends_with('Z') {
        out.pop();
    }
    out.push_str("+00:00\"");
}

/// Appends the key that the server answered, or `null` where the SDK never learned one.
fn push_conversation(out: &mut String, key: Option<u64>) {
    let _infallible = match key {
        Some(key) => write!(out, ", \"conversation\": {key}}}"),
        None => write!(out, ", \"conversation\": null}}"),
    };
}

/// The body of `POST /api/conversations/`.
pub(crate) fn conversation(out: &mut String, conversation: &Conversation) {
    let facts = &conversation.facts;
    out.push_str("{\"timestamp\": ");
    push_time(out, facts.started_at_us);
    let _infallible = write!(
        out,
        ", \"conversation_id\": \"{}\", \"customer_id\": \"{}\", \"customer_ip_address\": null, \"device\": \"{}\", \
         \"source\": \"web\", \"language\": \"{}\", \"name\": ",
        conversation.conversation_id, facts.customer_id, facts.device, facts.language
    );
    push_string(out, &conversation.name);
    let _infallible = write!(
        out,
        ", \"is_used\": true, \"environment\": \"production\", \
         \"metadata\": {{\"plan\": \"{}\", \"region\": \"{}\", \"build\": {}}}}}",
        facts.plan, facts.region, facts.build
    );
}

/// The body of `POST /api/track/`.
pub(crate) fn message(
    out: &mut String,
    conversation_id: &str,
    key: Option<u64>,
    at_us: i64,
    sender: &str,
    content: &str,
) {
    out.push_str("{\"timestamp\": ");
    push_time(out, at_us);
    out.push_str(", \"content\": ");
    push_string(out, content);
    let _infallible =
        write!(out, ", \"sender\": \"{sender}\", \"conversation_id\": \"{conversation_id}\", \"metadata\": {{}}");
    push_conversation(out, key);
}

/// The body of `POST /api/action_logs/`.
pub(crate) fn action(out: &mut String, conversation_id: &str, key: Option<u64>, action: &Action) {
    out.push_str("{\"timestamp\": ");
    push_time(out, action.at_us);
    let _infallible = write!(
        out,
        ", \"action_name\": \"{}\", \"conversation_id\": \"{conversation_id}\", \"metadata\": {{}}, \"started_at\": ",
        action.name
    );
    push_time(out, action.at_us - action.duration_ms as i64 * 1_000);
    let _infallible = write!(out, ", \"duration_ms\": {}, \"tools_used\": {{\"query\": ", action.duration_ms);
    push_string(out, &action.query);
    out.push_str("}, \"response\": ");
    push_string(out, &action.response);
    out.push_str(", \"error_msg\": \"\"");
    push_conversation(out, key);
}

/// The body of `POST /api/conversation-feedbacks/`.
pub(crate) fn feedback(out: &mut String, conversation_id: &str, sentiment: &str, comment: &str) {
    let _infallible =
        write!(out, "{{\"sentiment\": \"{sentiment}\", \"conversation_id\": \"{conversation_id}\", \"comment\": ");
    push_string(out, comment);
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;

    #[test]
    fn a_message_is_written_as_python_writes_it() {
        let mut body = String::new();
        message(&mut body, "c-1", None, 1_735_689_600_000_001, "end_user", "ž \"🙂\"");
        assert_eq!(
            body,
            r#"{"timestamp": "2025-01-01T00:00:00.000001+00:00", "content": "\u017e \"\ud83d\ude42\"", "sender": "end_user", "conversation_id": "c-1", "metadata": {}, "conversation": null}"#
        );
    }

    #[test]
    fn every_body_is_json() {
        let set = Dataset { conversations: 200 };
        for index in 0..200 {
            let whole = set.conversation(index);
            let mut bodies = vec![String::new(); 4];
            conversation(&mut bodies[0], &whole);
            let first = &whole.messages[0];
            message(&mut bodies[1], &whole.conversation_id, Some(7), first.at_us, first.sender, &first.content);
            action(&mut bodies[2], &whole.conversation_id, Some(7), &whole.actions[0]);
            feedback(&mut bodies[3], &whole.conversation_id, "neutral", &whole.comment);
            for body in &bodies {
                let value: serde_json::Value = serde_json::from_str(body).expect(body);
                assert!(body.is_ascii() && value.is_object());
            }
            let value: serde_json::Value = serde_json::from_str(&bodies[1]).unwrap();
            assert_eq!(value["content"], first.content.as_str());
        }
    }
}
