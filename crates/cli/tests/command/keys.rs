//! `agentsight key`, beside a running server.

use serde_json::{Value, json};

use crate::program::{Folder, eventually};
use crate::schema::TempSchema;

#[test]
fn a_key_stands_alone_on_standard_output() {
    let folder = Folder::new();

    let made = folder.run("key create --agent bot --role read --name laptop");

    assert_eq!(
        (made.code, made.err.as_str()),
        (Some(0), "Made a new store in …/agentsight-data.\nMade the agent \"bot\".\n")
    );
    let key = made.out.trim_end();
    assert_eq!((key.len(), made.out.lines().count(), &key[..4]), (43, 1, "ags_"));
    assert_eq!(folder.run("key create --agent bot").err, "");
    let blank = folder.run_with("key create --agent", &[]);
    assert_eq!(blank.code, Some(2));
}

#[test]
fn keys_are_listed_by_their_last_digits_only() {
    let folder = Folder::new();
    let key = folder.key();

    let listed = folder.run("key list");

    assert_eq!((listed.code, listed.err.as_str()), (Some(0), ""));
    assert_eq!(listed.out.lines().count(), 2);
    let row = listed.out.lines().nth(1).unwrap();
    assert!(
        row.contains(&format!("…_{}", &key[37..]))
            && row.contains("write")
            && row.contains("bot")
            && row.contains("active"),
        "{row}"
    );
    assert!(!listed.out.contains(&key));
}

#[test]
fn keys_and_environments_are_numbered_one_by_one() {
    let folder = Folder::new();
    let schema = TempSchema::new();
    let url = schema.as_ref().map(TempSchema::address);
    for variables in [Some(vec![]), url.as_deref().map(|url| vec![("AGENTSIGHT_DATABASE_URL", url)])] {
        let Some(variables) = variables else { continue };
        for _ in 0..3 {
            folder.key_with(&variables);
        }
        folder.run_with("environment create --agent bot staging", &variables);

        let keys = folder.run_with("key list", &variables).out;
        let environments = folder.run_with("environment list --json", &variables).out;

        let ids = keys.lines().skip(1).map(|line| line.split_whitespace().next().unwrap());
        assert_eq!(ids.collect::<Vec<_>>(), ["1", "2", "3"]);
        let environments: Value = serde_json::from_str(&environments).unwrap();
        let ids = environments.as_array().unwrap().iter().map(|environment| &environment["id"]);
        assert_eq!(ids.collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[test]
fn a_key_made_beside_a_running_server_works_until_it_is_revoked() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.key();
    let mut client = server.client(&key);
    let body = json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi" });
    assert_eq!(client.post("/api/track/", &body).unwrap().0, 201);

    let revoked = folder.run("key revoke 1");

    assert_eq!((revoked.code, revoked.out.as_str(), revoked.err.as_str()), (Some(0), "", "Revoked key 1.\n"));
    eventually("the revoked key is refused", || client.get("/api/me/").unwrap().0 == 401);
    assert_eq!(client.get("/api/me/").unwrap().1, json!({ "detail": "API key is inactive, expired or revoked." }));
    assert!(folder.run("key list").out.contains("revoked 2"));
    let unknown = folder.run("key revoke 99");
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (Some(1), "agentsight: there is no key 99; `agentsight key list` shows them\n")
    );
}

#[test]
fn a_key_from_the_environment_is_added_to_an_empty_store_only() {
    let folder = Folder::new();
    let key = "ags_0123456789abcdef0123456789abcdef_00ff00";
    let server = folder.serve_with("serve --listen 127.0.0.1:0", &[("AGENTSIGHT_BOOTSTRAP_API_KEY", key)]);
    assert_eq!(server.client(key).get("/api/me/").unwrap().1["agent_name"], "default");
    drop(server);
    let other = "ags_ffffffffffffffffffffffffffffffff_00ff00";
    let server = folder.serve_with("serve --listen 127.0.0.1:0", &[("AGENTSIGHT_BOOTSTRAP_API_KEY", other)]);
    assert_eq!(server.client(other).get("/api/me/").unwrap().0, 401);
}
