//! `agentsight fetch` and `agentsight demo`, and the Rust client against the real server: one
//! conversation fetched back by every means, and the same.

use agentsight::blocking::AgentSight;
use agentsight::{Action, File, NewConversation, NewFeedback, NewMessage, Sentiment};
use serde_json::{Value, json};

use crate::program::{Folder, Server};

/// The documentation's own conversation, recorded with the Rust client; its integer.
fn record(server: &Server, key: &str) -> i64 {
    let client =
        AgentSight::builder().api_key(key).endpoint(format!("http://{}", server.address)).build_blocking().unwrap();
    let conversation = client.conversation("conv-abc-123");
    let made = conversation
        .get_or_create(
            NewConversation::new()
                .name("Support Chat")
                .customer_id("user-456")
                .customer_ip_address("203.0.113.45")
                .device("desktop")
                .language("en")
                .environment("production")
                .metadata(json!({ "priority": "high", "customer_tier": "premium" })),
        )
        .unwrap();
    let question = NewMessage::new("I need help with my account")
        .attach(File::from_bytes("note.txt", "hello".as_bytes().to_vec()));
    conversation.track_human_message(question).unwrap();
    let lookup = Action::new("database_lookup")
        .duration_ms(150)
        .tools_used(json!({ "database": "users_db" }))
        .response("User found");
    conversation.track_action(lookup).unwrap();
    conversation.track_agent_message("Found it.").unwrap();
    conversation.submit_feedback(NewFeedback::new(Sentiment::Positive).comment("Very helpful!")).unwrap();
    conversation.mark(true).unwrap();
    made.id.0
}

fn list(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

/// Links are signed anew for each answer.
fn without_links(mut conversation: Value) -> Value {
    for message in list(conversation.get_mut("messages")) {
        for file in list(message.get_mut("attachments")) {
            let link = file.get_mut("file_url").unwrap();
            assert!(link.as_str().unwrap().contains("/files/"));
            *link = Value::Null;
        }
    }
    conversation
}

#[test]
fn every_means_fetches_the_same_conversation() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.key();
    let id = record(&server, &key);
    let endpoint = format!("http://{}", server.address);
    let variables = [("AGENTSIGHT_API_KEY", key.as_str()), ("AGENTSIGHT_API_ENDPOINT", endpoint.as_str())];
    let printed = |line: &str| {
        let said = folder.run_with(line, &variables);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{line}");
        without_links(serde_json::from_str(&said.out).unwrap())
    };

    let by_id = printed(&format!("fetch {id} --pretty"));
    let by_name = printed("fetch conv-abc-123");
    let over_http = server.client(&key).get(&format!("/api/conversations/{id}/")).unwrap().1;
    let client = AgentSight::builder().api_key(&key).endpoint(&endpoint).build_blocking().unwrap();
    let in_rust = serde_json::to_value(client.fetch_conversation(id).unwrap()).unwrap();

    assert_eq!(by_id, without_links(over_http));
    assert_eq!(by_id, without_links(in_rust));
    // By name it is a row of a list, which has neither tickets nor usage.
    let mut row = by_id.clone();
    row.as_object_mut().unwrap().retain(|field, _| field != "tickets" && field != "token_usage");
    assert_eq!(by_name, row);
    assert_eq!(by_id["messages"].as_array().unwrap().len(), 3);
    assert_eq!(by_id["messages"][1]["action_logs"][0]["duration_ms"], json!(150));
    let listed =
        client.fetch_conversations().message_contains("ACCOUNT").is_marked(true).stream_lean().collect::<Vec<_>>();
    assert_eq!(listed.into_iter().map(|row| row.unwrap().id.0).collect::<Vec<_>>(), [id]);
    let files = client.fetch_conversation_attachments("conv-abc-123").unwrap();
    assert_eq!(client.download_attachment(&files.attachments[0]).unwrap(), "hello");
}

#[test]
fn digits_alone_are_a_name_where_no_integer_matches() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.key();
    let body = json!({ "conversation_id": "385911234", "sender": "end_user", "content": "hi" });
    server.client(&key).post("/api/track/", &body).unwrap();
    let endpoint = format!("http://{}", server.address);
    let variables = [("AGENTSIGHT_API_KEY", key.as_str()), ("AGENTSIGHT_API_ENDPOINT", endpoint.as_str())];

    let found = folder.run_with("fetch 385911234", &variables);
    let missing = folder.run_with("fetch 385911234 --by-id", &variables);
    let keyless = folder.run_with("fetch 1", &variables[1..]);

    assert_eq!(found.code, Some(0), "{found:?}");
    assert_eq!((missing.code, missing.out.as_str(), missing.err.as_str()), (Some(1), "", "agentsight: Not found.\n"));
    assert_eq!(keyless.err, "agentsight: no API key: set AGENTSIGHT_API_KEY (`agentsight key create` makes one)\n");
}

#[test]
fn the_demo_shows_a_conversation_fetched_back() {
    let folder = Folder::new();

    let said = folder.run("demo --once --listen 127.0.0.1:0 --conversations 20 --data-dir kept");

    assert_eq!(said.code, Some(0), "{said:?}");
    let (json, how) = said.out.split_once("\n\nThat was").unwrap();
    let conversation: Value = serde_json::from_str(json).unwrap();
    assert_eq!(conversation["conversation_id"], "conv-abc-123");
    assert_eq!(conversation["name"], "Support Chat");
    assert_eq!(conversation["messages"][1]["action_name"], "database_lookup");
    assert!(how.contains("export AGENTSIGHT_API_KEY=ags_") && how.contains("fetch conv-abc-123"), "{how}");
    assert!(folder.path().join("kept/agentsight.db").is_file());
}
