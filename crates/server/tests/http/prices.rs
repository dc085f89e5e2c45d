//! Prices over HTTP, and costs in another currency (contract: ingest-v1 §5.5, reading §10.2).

use std::time::{Duration, Instant};

use agentsight_model::key::Role;
use agentsight_model::price::{ALWAYS, NewPrice, PerToken, Rate};
use agentsight_server::{Server, ServerConfig};
use agentsight_store::{Store, StoreConfig};
use serde_json::{Value, json};

use crate::app::{Bot, TestApp};

/// A call of so many tokens, outside a turn.
fn call(id: &str, day: &str, model: &str, tokens: (i64, i64)) -> Value {
    json!({"span_id": id, "trace_id": "5e10711800eca7c1021db9cea659992b", "kind": "llm", "name": "chat", "started_at": format!("{day}T10:00:00Z"),
        "attributes": {"gen_ai.request.model": model, "gen_ai.usage.input_tokens": tokens.0, "gen_ai.usage.output_tokens": tokens.1}})
}

async fn calls(bot: &Bot<'_>, spans: &[Value]) {
    let body = json!({"conversations": [{"conversation_id": "c-1", "spans": spans}]});
    assert_eq!(bot.post("/api/ingest/", body).await.status, 200);
}

fn price(model: &str, prompt: &str) -> NewPrice {
    let rate = Rate { prompt: Some(PerToken::per_million(prompt).unwrap()), ..Rate::default() };
    NewPrice::check(model, ALWAYS, rate).unwrap()
}

#[tokio::test]
async fn a_known_model_is_priced_and_the_summary_says_what_is_not() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    calls(
        &bot,
        &[
            call("1", "2026-03-02", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", (360, 120)),
            call("2", "2026-03-02", "who-knows", (360, 120)),
        ],
    )
    .await;

    let sums = bot.get("/api/token-usage/summary/?currency=eur").await.json();
    let shown: Vec<[&Value; 4]> = sums["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sum| ["group", "cost_usd", "unpriced_rows", "cost_eur"].map(|key| sum.get(key).unwrap_or(&Value::Null)))
        .collect();
    assert_eq!(
        shown,
        [
            [&json!("us.anthropic.claude-sonnet-4-5-20250929-v1:0"), &json!(0.00288), &Value::Null, &Value::Null],
            [&json!("who-knows"), &json!(0.0), &json!(1), &Value::Null],
        ]
    );
    let usage = bot.get("/api/conversations/1/").await.json()["token_usage"].clone();
    assert_eq!([&usage["cost_usd"], &usage["cost_sources"]], [&json!("0.00288000"), &json!(["backend", "unpriced"])]);
}

#[tokio::test]
async fn prices_are_read_with_any_key_and_written_with_none() {
    let app = TestApp::start().await;
    let reader = app.agent("helpdesk").with_key(Role::Read).await;
    let writer = app.bot().await;
    app.store.set_prices(vec![price("a-model", "2.5")]).await.unwrap();

    let page = reader.get("/api/prices/?page_size=1").await.json();
    assert_eq!(
        page["results"],
        json!([{"model": "a-model", "valid_from": "1970-01-01T00:00:00Z", "source": "operator", "updated_at": "2026-03-02T09:30:00Z",
            "usd_per_million": {"prompt": "2.5", "completion": null, "embedding": null, "cache_read": null, "cache_write": null}}])
    );
    assert!(page["count"].as_i64().unwrap() > 20, "{page}");
    let all = reader.get("/api/prices/?paginate=false").await.json();
    assert_eq!(all.as_array().unwrap().len() as i64, page["count"]);
    assert_eq!(reader.get("/api/prices/?page=99").await.status, 404);

    let found = reader.get("/api/prices/lookup/?model=openai/gpt-4o-mini-2024-07-18").await.json();
    assert_eq!([&found["model"], &found["usd_per_million"]["prompt"]], [&json!("gpt-4o-mini*"), &json!("0.15")]);
    assert_eq!(reader.get("/api/prices/lookup/?model=who-knows").await.status, 404);
    assert_eq!(reader.get("/api/prices/lookup/?model=gpt-4o&at=1969-01-01").await.status, 404);
    assert_eq!(
        reader.get("/api/prices/lookup/?at=never").await.whole(),
        (400, json!({"at": ["Enter a valid date/time."], "model": ["This field is required."]}))
    );
    for method in ["POST", "PATCH", "PUT", "DELETE"] {
        let refused =
            writer.send(method, "/api/prices/", &[("content-type", "application/json")], b"{}".to_vec()).await;
        assert_eq!(refused.status, 405, "{method}");
    }
    assert_eq!(app.stranger().get("/api/prices/").await.status, 401);
}

#[tokio::test]
async fn a_running_server_restates_history_after_an_edit() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    calls(&bot, &[call("1", "2026-03-02", "mine", (1_000_000, 0))]).await;
    assert_eq!(bot.get("/api/token-usage/").await.json()["results"][0]["cost_source"], "unpriced");

    app.store.set_prices(vec![price("mine", "3")]).await.unwrap();

    let began = Instant::now();
    loop {
        let row = bot.get("/api/token-usage/").await.json()["results"][0].clone();
        if row["cost_usd"] == "3.00000000" {
            break assert_eq!(row["cost_source"], "backend");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{row}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn euros_are_of_each_row_s_day_and_absent_without_a_rate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rates.csv");
    std::fs::write(&file, "date,currency,rate\n2026-03-01,EUR,0.5\n2026-03-03,EUR,0.25\n").unwrap();
    let app = TestApp::with(ServerConfig { currency_rates: Some(file), ..ServerConfig::default() }).await;
    let bot = app.bot().await;
    app.store.set_prices(vec![price("early", "1"), price("both", "1")]).await.unwrap();

    calls(
        &bot,
        &[
            call("1", "2026-03-02", "both", (2_000_000, 0)),
            call("2", "2026-03-04", "both", (1_000_000, 0)),
            call("3", "2026-02-28", "early", (1_000_000, 0)),
            call("4", "2026-03-02", "early", (1_000_000, 0)),
            call("5", "2026-03-02", "who-knows", (1, 0)),
        ],
    )
    .await;

    let costs = async |query: &str| -> Vec<(Value, Value, Option<Value>)> {
        let sums = bot.get(&format!("/api/token-usage/summary/?{query}")).await.json();
        let of = |sum: &Value| (sum["group"].clone(), sum["cost_usd"].clone(), sum.get("cost_eur").cloned());
        let mut costs: Vec<_> = sums["results"].as_array().unwrap().iter().map(of).collect();
        costs.sort_by_key(|(group, ..)| group.to_string());
        costs
    };
    assert_eq!(
        costs("currency=eur").await,
        [
            (json!("both"), json!(3.0), Some(json!(1.25))),
            (json!("early"), json!(2.0), None),
            (json!("who-knows"), json!(0.0), None),
        ]
    );
    assert_eq!(
        costs("currency=EUR&group_by=day").await,
        [
            (json!("2026-02-28"), json!(1.0), None),
            (json!("2026-03-02"), json!(3.0), Some(json!(1.5))),
            (json!("2026-03-04"), json!(1.0), Some(json!(0.25))),
        ]
    );
    assert!(costs("currency=usd").await.iter().all(|(.., euros)| euros.is_none()));
}

#[tokio::test]
async fn a_file_of_rates_that_cannot_be_read_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rates.csv");
    std::fs::write(&file, "date,currency,rate\n2026-03-01,EUR,none\n").unwrap();
    let store = Store::open(folder.path(), &StoreConfig::default()).unwrap();

    let config = ServerConfig { currency_rates: Some(file.clone()), ..ServerConfig::default() };
    let refused = Server::new(store.clone(), config).await.err().unwrap().to_string();

    assert_eq!(
        refused,
        format!(
            "currency_rates (AGENTSIGHT_CURRENCY_RATES): {}: line 2: Not a rate of more than 0 and less than 1000000",
            file.display()
        )
    );
    store.close().await;
}
