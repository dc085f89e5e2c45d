//! Fetches one conversation and prints what is in it.
//!
//! ```console
//! $ AGENTSIGHT_API_KEY=ags_… AGENTSIGHT_API_ENDPOINT=http://localhost:8080 \
//!       cargo run -p agentsight --example seed -- conv-abc-123
//! ```

use agentsight::{AgentSight, Conversation};

#[tokio::main(flavor = "current_thread")]
async fn main() -> agentsight::Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_else(|| "conv-abc-123".to_owned());
    let agentsight = AgentSight::from_env()?;

    // By the integer of the database, or by the string of the sender.
    let conversation = match wanted.parse::<i64>() {
        Ok(id) => agentsight.fetch_conversation(id).await?,
        Err(_) => agentsight.fetch_conversation(wanted).await?,
    };
    print(&conversation);
    Ok(())
}

fn print(conversation: &Conversation) {
    println!("Conversation: {}", conversation.name.as_deref().unwrap_or("(no name)"));
    println!("Messages: {}", conversation.messages.len());
    println!("Feedbacks: {}", conversation.feedbacks.len());

    println!("Begun {}, ended {}, in {}", conversation.started_at, conversation.ended_at, conversation.environment);
    if let Some(place) = &conversation.geo_location {
        let known = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
        println!("From {}, {} ({})", known(&place.city), known(&place.country), known(&place.timezone_name));
    }
    for message in &conversation.messages {
        println!("  {} {}: {}", message.timestamp, message.sender.as_str(), message.content);
        for run in &message.action_logs {
            let took = run.duration_ms.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
            println!("    took {took} ms with {}: {}", run.tools_used.as_str(), run.response);
        }
        for file in &message.attachments {
            println!("    {} ({}, {} bytes): {}", file.filename, file.mime_type, file.size_bytes, file.file_url);
        }
    }
    for feedback in &conversation.feedbacks {
        println!("  {}: {}", feedback.sentiment.as_str(), feedback.comment.as_deref().unwrap_or(""));
    }
}
