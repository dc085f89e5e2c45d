//! `agentsight prices`, beside a running server and without one.

use serde_json::{Value, json};

use crate::program::{Folder, Server, eventually};

const NOTE: &str = "A running server prices stored usage anew now; without one, `agentsight prices reprice` does.\n";

/// A call of a model with a million tokens in.
fn calls(server: &Server, key: &str, id: &str, model: &str) {
    let span = json!({"span_id": id, "trace_id": "5e10711800eca7c1021db9cea659992b", "kind": "llm", "name": "chat",
        "started_at": "2026-03-02T09:15:00Z", "attributes": {"gen_ai.request.model": model, "gen_ai.usage.input_tokens": 1_000_000}});
    let body = json!({"conversations": [{"conversation_id": "c-1", "spans": [span]}]});
    assert_eq!(server.client(key).post("/api/ingest/", &body).unwrap().0, 200);
}

/// Model, source and cost of each row of usage.
fn costs(server: &Server, key: &str) -> Vec<[Value; 3]> {
    let page = server.client(key).get("/api/token-usage/?ordering=id").unwrap().1;
    let rows = page["results"].as_array().unwrap();
    rows.iter().map(|row| ["model", "cost_source", "cost_usd"].map(|field| row[field].clone())).collect()
}

#[test]
fn help_teaches_what_a_price_is() {
    let said = Folder::new().run("prices --help");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    for text in
        ["US dollars per million tokens", "asterisk", "agentsight prices set", "agentsight prices import", "reprice"]
    {
        assert!(said.out.contains(text), "{text} in {}", said.out);
    }
}

#[test]
fn prices_are_listed_set_and_removed() {
    let folder = Folder::new();
    folder.key();

    let shipped = folder.run("prices list");
    assert_eq!((shipped.code, shipped.err.as_str()), (Some(0), ""));
    let mini: Vec<&str> =
        shipped.out.lines().find(|line| line.starts_with("gpt-4o-mini*")).unwrap().split_whitespace().collect();
    assert_eq!(mini, ["gpt-4o-mini*", "always", "0.15", "0.6", "-", "0.075", "0", "default"]);

    let set = folder.run("prices set My-Model --prompt 1.5 --completion 3 --from 2026-03-01");
    assert_eq!(
        (set.code, set.out.as_str(), set.err.as_str()),
        (Some(0), "1 added, 0 changed, 0 removed, 0 unchanged.\n", NOTE)
    );
    let again = folder.run("prices set my-model --prompt 1.5 --completion 3 --from 2026-03-01 --json");
    assert_eq!(
        (again.out.as_str(), again.err.as_str()),
        ("{\"added\":0,\"changed\":0,\"removed\":0,\"unchanged\":1}\n", "")
    );

    let shown = folder.run("prices list --model azure/my-model-2026-02-01 --at 2026-03-02 --json");
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!([&shown["model"], &shown["usd_per_million"]["completion"]], [&json!("my-model"), &json!("3")]);
    let before = folder.run("prices list --model my-model --at 2026-02-28");
    assert_eq!(
        (before.code, before.err.as_str()),
        (Some(1), "agentsight: no price is known for my-model; `agentsight prices set` adds one\n")
    );
    let all: Value = serde_json::from_str(&folder.run("prices list --json").out).unwrap();
    let mine = all.as_array().unwrap().iter().find(|price| price["model"] == "my-model").unwrap();
    assert_eq!([&mine["valid_from"], &mine["source"]], [&json!("2026-03-01T00:00:00Z"), &json!("operator")]);

    assert_eq!(folder.run("prices remove my-model").out, "0 added, 0 changed, 1 removed, 0 unchanged.\n");
    let gone = folder.run("prices remove my-model");
    assert_eq!(
        (gone.code, gone.err.as_str()),
        (Some(1), "agentsight: there is no such price of my-model; `agentsight prices list` shows them\n")
    );
}

#[test]
fn what_is_no_price_is_named() {
    let folder = Folder::new();
    for (line, code, said) in [
        (
            "prices set m",
            1,
            "agentsight: price: Give at least one of prompt, completion, embedding, cache_read and cache_write\n",
        ),
        ("prices set a*b --prompt 1", 1, "agentsight: model: An asterisk may only stand at the end\n"),
        ("prices set m --prompt -1", 2, "'--prompt <USD>': Not a number of US dollars, such as 2.5 or 2.5e-06."),
        ("prices set m --prompt 0.00000001", 2, "More than 7 decimals"),
        ("prices set m --prompt 1 --from yesterday", 2, "'--from <DATE>': Not a date or time, such as 2026-03-01"),
        ("prices import missing.json", 1, "agentsight: missing.json: No such file"),
        ("prices list --at 2026-03-01", 2, "--model"),
    ] {
        let answer = folder.run(line);
        assert_eq!((answer.code, answer.out.as_str()), (Some(code), ""), "{line}");
        assert!(answer.err.contains(said), "{line}: {}", answer.err);
    }
}

#[test]
fn a_price_list_is_imported_and_exported() {
    let folder = Folder::new();
    folder.key();
    folder.write(
        "list.json",
        r#"{"sample_spec": {"mode": "chat"}, "new-model": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "mode": "chat"},
            "new-embedding": {"input_cost_per_token": 2e-08, "mode": "embedding"}, "picture": {"mode": "image_generation"}}"#,
    );

    let imported = folder.run("prices import list.json --from 2026-01-01");

    assert_eq!(
        (imported.code, imported.out.as_str(), imported.err.as_str()),
        (
            Some(0),
            "2 added, 0 changed, 0 removed, 0 unchanged; skipped 0 without a price per token, 1 of images, speech and other kinds.\n",
            NOTE
        )
    );
    let exported = folder.run("prices export");
    let list: Value = serde_json::from_str(&exported.out).unwrap();
    assert_eq!(list["new-embedding"], json!({"input_cost_per_token": 2e-8, "mode": "embedding"}));
    assert!(list.get("gpt-4o*").is_some());
    folder.write("back.json", &exported.out);
    folder.run("prices remove new-model");
    assert!(
        folder.run("prices import back.json").out.starts_with("2 added, 22 changed"),
        "defaults become the operator's"
    );

    folder.write("bad.json", r#"{"good": {"input_cost_per_token": 1e-6}, "bad": {"input_cost_per_token": "cheap"}}"#);
    let refused = folder.run("prices import bad.json");
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (Some(1), "agentsight: bad.input_cost_per_token: Not a number of US dollars, such as 2.5 or 2.5e-06\n")
    );
    assert_eq!(folder.run("prices list --model good").code, Some(1));
}

#[test]
fn a_price_set_beside_a_running_server_restates_and_prices_what_comes() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.key();
    calls(&server, &key, "1", "mine");
    calls(&server, &key, "2", "gpt-4o-mini");
    assert_eq!(costs(&server, &key)[0], [json!("mine"), json!("unpriced"), json!("0.00000000")]);
    assert_eq!(costs(&server, &key)[1], [json!("gpt-4o-mini"), json!("backend"), json!("0.15000000")]);

    assert_eq!(folder.run("prices set mine --prompt 2 --completion 2").code, Some(0));
    calls(&server, &key, "3", "mine");

    assert_eq!(costs(&server, &key)[2], [json!("mine"), json!("backend"), json!("2.00000000")]);
    eventually("history is restated", || costs(&server, &key)[0][2] == "2.00000000");
    assert_eq!(folder.run("prices remove mine").code, Some(0));
    eventually("history is restated again", || costs(&server, &key)[0][1] == "unpriced");
}

#[test]
fn without_a_server_usage_is_priced_by_a_command() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.key();
    calls(&server, &key, "1", "mine");
    drop(server);

    folder.run("prices set mine --prompt 2");
    let repriced = folder.run("prices reprice");
    let again = folder.run("prices reprice --json");

    assert_eq!((repriced.code, repriced.out.as_str()), (Some(0), "Priced 1 rows of usage.\n"), "{repriced:?}");
    assert_eq!(again.out, "{\"rows\":1}\n");
    let server = folder.serve();
    assert_eq!(costs(&server, &key)[0][2], "2.00000000");
}

#[test]
fn euros_come_from_a_file_that_a_setting_names() {
    let folder = Folder::new();
    folder.write("rates.csv", "Date,USD,JPY,\n2026-03-02,1.25,170,\n");
    let server = folder.serve_with("serve --listen 127.0.0.1:0 --currency-rates rates.csv", &[]);
    let key = folder.key();
    calls(&server, &key, "1", "gpt-4o-mini");

    let sums = server.client(&key).get("/api/token-usage/summary/?currency=eur").unwrap().1;

    assert_eq!([&sums["results"][0]["cost_usd"], &sums["results"][0]["cost_eur"]], [&json!(0.15), &json!(0.12)]);
    drop(server);
    let missing = folder.run_with("serve --listen 127.0.0.1:0", &[("AGENTSIGHT_CURRENCY_RATES", "none.csv")]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.err.contains("agentsight: currency_rates (AGENTSIGHT_CURRENCY_RATES): none.csv: No such file"),
        "{}",
        missing.err
    );
}
