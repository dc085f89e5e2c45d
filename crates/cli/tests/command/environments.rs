//! `agentsight environment`, beside a running server and without one.

use serde_json::json;

use crate::program::Folder;

#[test]
fn help_teaches_what_an_environment_is() {
    let said = Folder::new().run("environment --help");

    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    for text in ["production and development", "slug", "agentsight environment create --agent my-bot staging"] {
        assert!(said.out.contains(text), "{text} in {}", said.out);
    }
}

#[test]
fn an_environment_made_beside_a_running_server_is_used_at_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut client = server.client(&folder.key());
    let body = json!({ "conversation_id": "c-1", "environment": "staging" });
    let known = "Unknown environment: 'staging'. This agent has: production, development.";
    assert_eq!(client.post("/api/conversations/", &body).unwrap(), (400, json!({ "environment": [known] })));

    let made = folder.run("environment create --agent bot Staging");

    assert_eq!((made.code, made.out.as_str(), made.err.as_str()), (Some(0), "staging\n", ""));
    let (status, conversation) = client.post("/api/conversations/", &body).unwrap();
    assert_eq!((status, &conversation["environment"]), (201, &json!("staging")));
    let environments = client.get("/api/me/").unwrap().1["environments"].clone();
    let slugs: Vec<_> = environments.as_array().unwrap().iter().map(|row| row["slug"].clone()).collect();
    assert_eq!(slugs, ["production", "development", "staging"]);
}

#[test]
fn environments_are_listed_by_agent() {
    let folder = Folder::new();
    folder.key();
    assert_eq!(folder.run("key create --agent another").code, Some(0));
    assert_eq!(folder.run("environment create --agent bot EU --production").code, Some(0));

    let listed = folder.run("environment list --json");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&listed.out).unwrap();
    let shown: Vec<_> =
        rows.iter().map(|row| json!([row["agent"], row["slug"], row["name"], row["is_production"]])).collect();
    assert_eq!(
        shown,
        [
            json!(["another", "production", "Production", true]),
            json!(["another", "development", "Development", false]),
            json!(["bot", "production", "Production", true]),
            json!(["bot", "development", "Development", false]),
            json!(["bot", "eu", "EU", true]),
        ]
    );

    let one = folder.run("environment list --agent bot");
    let words: Vec<Vec<&str>> = one.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["AGENT", "SLUG", "PRODUCTION", "CREATED", "NAME"]);
    assert_eq!((words[3][..3].to_vec(), words[3][4]), (vec!["bot", "eu", "yes"], "EU"));
    assert_eq!(words.len(), 4);
}

#[test]
fn what_cannot_be_made_is_said_in_a_sentence() {
    let folder = Folder::new();
    let none = folder.run("environment create --agent bot staging");
    assert_eq!((none.code, none.out.as_str()), (Some(1), ""));
    assert!(none.err.starts_with("agentsight: there is no AgentSight store in agentsight-data: "), "{}", none.err);
    folder.key();

    for (line, says) in [
        (
            "create --agent bot !!!",
            "agentsight: name: Give at least one letter or digit, of which its slug can be made\n",
        ),
        ("create --agent bot prod", "agentsight: name: An environment \"production\" already exists\n"),
        (
            "create --agent bto staging",
            "agentsight: there is no agent \"bto\"; `agentsight environment list` shows those that there are, `agentsight key create` makes one\n",
        ),
        (
            "list --agent bto",
            "agentsight: there is no agent \"bto\"; `agentsight environment list` shows those that there are, `agentsight key create` makes one\n",
        ),
    ] {
        let said = folder.run(&format!("environment {line}"));
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", says));
    }
}
