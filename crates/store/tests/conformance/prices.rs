//! What usage costs, and what becomes of that when prices change.

use agentsight_model::body::Body;
use agentsight_model::price::list::PriceList;
use agentsight_model::price::{ALWAYS, NewPrice, PerToken, PriceSource, Rate};
use agentsight_model::span::{NewSpan, SpanBatch, TraceSpans};
use agentsight_model::time::Timestamp;
use agentsight_model::track::NewEvent;
use agentsight_model::usage::{GroupBy, UsageFilter};
use agentsight_store::{BookChange, Extent, Missing, Restated, Store};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::world::{Bot, World, at, document, event, json as as_json, missing, named, page, ran};

/// Dollars per million tokens of input and output, from a moment on.
fn price(model: &str, from: Timestamp, prompt: &str, completion: &str) -> NewPrice {
    let price = |text: &str| Some(PerToken::per_million(text).unwrap());
    let rate = Rate { prompt: price(prompt), completion: price(completion), ..Rate::default() };
    NewPrice::check(model, from, rate).unwrap()
}

/// A call that begins so many seconds after the world, of so many tokens in and out.
fn call(id: &str, turn: Option<&str>, seconds: i64, model: &str, tokens: (i64, i64)) -> Value {
    let mut attributes = json!({ "agentsight.span.kind": "llm", "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": tokens.0, "gen_ai.usage.output_tokens": tokens.1 });
    if let Some(turn) = turn {
        attributes["agentsight.turn.id"] = json!(turn);
    }
    json!({ "span_id": id, "trace_id": "5e10711800eca7c1021db9cea659992b", "kind": "llm", "name": "chat",
        "started_at": at(seconds).to_string(), "ended_at": at(seconds + 1).to_string(), "attributes": attributes })
}

fn turn(id: &str, from: i64, to: i64) -> Value {
    json!({ "span_id": id, "trace_id": "5e10711800eca7c1021db9cea659992b", "kind": "turn", "name": "ask",
        "started_at": at(from).to_string(), "ended_at": at(to).to_string(),
        "attributes": { "agentsight.turn.id": id, "agentsight.turn.complete": true } })
}

impl Bot {
    async fn calls(&self, conversation: &str, spans: &[Value]) {
        let body = json!({ "conversations": [{ "conversation_id": conversation, "spans": spans }] });
        let batch = SpanBatch::read(&Body::parse(body.to_string().as_bytes()).unwrap()).unwrap();
        self.store.ingest(self.agent, batch).await.unwrap();
    }

    /// Source and cost of each row of usage, the oldest row first.
    async fn costs(&self) -> Vec<(String, String)> {
        let found = self.store.list_usage(self.agent, UsageFilter::default(), Extent::Everything).await.unwrap();
        let mut rows: Vec<_> = found.rows.into_iter().map(|row| (row.id, row.cost_source, row.cost_usd)).collect();
        rows.sort();
        rows.into_iter().map(|(_, source, cost)| (source, cost)).collect()
    }
}

fn backend(cost: &str) -> (String, String) {
    ("backend".to_owned(), cost.to_owned())
}

fn unpriced() -> (String, String) {
    ("unpriced".to_owned(), "0.00000000".to_owned())
}

/// Restates until there is nothing left to do; the steps that did something.
async fn restated(store: &Store) -> Vec<u64> {
    let mut steps = Vec::new();
    loop {
        match store.restate_step().await.unwrap() {
            Restated::Everything => return steps,
            Restated::Some(rows) => steps.push(rows),
            Restated::Elsewhere => {}
        }
    }
}

pub(crate) async fn a_call_is_priced_when_it_is_booked(world: World) {
    let bot = world.bot("helpdesk").await;
    world.store.renew_default_prices().await.unwrap();

    bot.calls("c", &[call("1", Some("a"), 0, "gpt-4o-mini-2024-07-18", (100, 50)), turn("a", 0, 2)]).await;
    bot.calls("c", &[call("2", Some("a"), 0, "gpt-4o-mini-2024-07-18", (42, 8))]).await;

    assert_eq!(bot.costs().await, [backend("0.00005610")]);
    let [usage] = bot.fields("c", ["token_usage"]).await;
    assert_eq!([&usage["cost_usd"], &usage["cost_sources"]], [&json!("0.00005610"), &json!(["backend"])]);
    let sums = bot.store.sum_up_usage(bot.agent, UsageFilter::default(), GroupBy::Model, None).await.unwrap();
    assert_eq!(as_json(&sums)[0]["cost_usd"], json!(0.000_056_1));
    assert_eq!(as_json(&sums)[0].get("unpriced_rows"), None);
}

pub(crate) async fn a_model_without_a_price_costs_what_its_sender_says_or_nobody_knows_what(world: World) {
    let bot = world.bot("helpdesk").await;
    world.store.set_prices(vec![price("known", ALWAYS, "1", "1")]).await.unwrap();
    let mut told = call("1", None, 0, "new-model", (10, 10));
    told["attributes"]["agentsight.llm.cost_usd"] = json!(0.25);
    let mut both = call("2", None, 0, "known", (10, 10));
    both["attributes"]["agentsight.llm.cost_usd"] = json!(0.25);
    let mut mute = call("3", None, 0, "known", (0, 0));
    mute["attributes"]["agentsight.llm.usage_reported"] = json!(false);

    bot.calls("c", &[told, both, mute, call("4", None, 0, "new-model", (10, 10)), call("5", None, 0, "", (10, 10))])
        .await;

    let reported = ("reported".to_owned(), "0.25000000".to_owned());
    assert_eq!(bot.costs().await, [reported, backend("0.00002000"), unpriced(), unpriced(), unpriced()]);
    let sums = as_json(&bot.store.sum_up_usage(bot.agent, UsageFilter::default(), GroupBy::Model, None).await.unwrap());
    let of = |group: &Value| sums.as_array().unwrap().iter().find(|sum| sum["group"] == *group).unwrap().clone();
    assert_eq!(
        [&of(&json!("new-model"))["cost_usd"], &of(&json!("new-model"))["unpriced_rows"]],
        [&json!(0.25), &json!(1)]
    );
    assert_eq!([&of(&json!(null))["cost_usd"], &of(&json!(null))["unpriced_rows"]], [&json!(0.0), &json!(1)]);
}

pub(crate) async fn counters_that_name_their_model_are_priced(world: World) {
    let bot = world.bot("helpdesk").await;
    world.store.set_prices(vec![price("m", ALWAYS, "2", "10")]).await.unwrap();
    let post = async |metadata: Value| {
        let metadata = document(&metadata.to_string());
        bot.does(NewEvent { metadata, ..event(named("c"), 1, ran("token_usage", at(1))) }).await;
    };

    post(json!({"prompt_tokens": 10, "completion_tokens": 1, "model": "openai/m"})).await;
    post(json!({"prompt_tokens": 15, "completion_tokens": 1})).await;

    assert_eq!(bot.costs().await, [backend("0.00003000"), unpriced()]);
}

pub(crate) async fn the_price_is_the_one_that_held_when_the_turn_began(world: World) {
    let bot = world.bot("helpdesk").await;
    let prices = vec![price("m", at(0), "1", "0"), price("m", at(100), "3", "0")];
    world.store.set_prices(prices).await.unwrap();
    let tokens = (1_000_000, 0);

    bot.calls("before", &[call("1", None, -1, "m", tokens)]).await;
    bot.calls("early", &[call("1", None, 99, "m", tokens)]).await;
    bot.calls("late", &[call("1", None, 100, "m", tokens)]).await;
    bot.calls("across", &[call("1", Some("a"), 120, "m", tokens), turn("a", 90, 130)]).await;

    assert_eq!(bot.costs().await, [unpriced(), backend("1.00000000"), backend("3.00000000"), backend("1.00000000")]);
}

pub(crate) async fn a_turn_that_comes_late_has_its_calls_priced_anew(world: World) {
    let bot = world.bot("helpdesk").await;
    let prices = vec![price("m", at(0), "1", "0"), price("m", at(100), "3", "0")];
    world.store.set_prices(prices).await.unwrap();
    let tokens = (1_000_000, 0);

    bot.calls("c", &[call("1", Some("a"), 120, "m", tokens), call("2", Some("b"), 120, "m", tokens)]).await;
    assert_eq!(bot.costs().await, [backend("3.00000000"), backend("3.00000000")]);
    bot.calls("c", &[turn("a", 90, 130), call("3", Some("a"), 121, "m", tokens)]).await;

    assert_eq!(bot.costs().await, [backend("2.00000000"), backend("3.00000000")]);
    let [usage] = bot.fields("c", ["token_usage"]).await;
    assert_eq!(usage["cost_usd"], json!("5.00000000"));
}

pub(crate) async fn a_change_of_prices_restates_history_of_every_agent(world: World) {
    let (bot, other) = (world.bot("helpdesk").await, world.bot("sales").await);
    for bot in [&bot, &other] {
        bot.calls("c", &[call("1", None, 0, "m-large", (1_000_000, 0)), call("2", None, 0, "other", (5, 5))]).await;
    }
    assert_eq!(restated(&world.store).await, Vec::<u64>::new());

    world.store.set_prices(vec![price("m*", ALWAYS, "2", "0")]).await.unwrap();
    assert_eq!(bot.costs().await, [unpriced(), unpriced()]);
    assert_eq!(restated(&world.store).await, [4]);

    for bot in [&bot, &other] {
        assert_eq!(bot.costs().await, [backend("2.00000000"), unpriced()]);
    }
    world.store.set_prices(vec![price("m-large", at(-10), "5", "0")]).await.unwrap();
    restated(&world.store).await;
    assert_eq!(bot.costs().await, [backend("5.00000000"), unpriced()]);
    world.store.remove_prices("m-large".to_owned(), None).await.unwrap();
    world.store.remove_prices("m*".to_owned(), Some(ALWAYS)).await.unwrap();
    restated(&world.store).await;
    assert_eq!(other.costs().await, [unpriced(), unpriced()]);
}

pub(crate) async fn restating_goes_on_where_it_was_when_the_store_was_closed(world: World) {
    let bot = world.bot("helpdesk").await;
    let calls: Vec<Value> = (0..1_200).map(|n| call(&format!("{n:x}"), None, n, "m", (1_000_000, 0))).collect();
    bot.calls("c", &calls).await;
    world.store.set_prices(vec![price("m", ALWAYS, "2", "0")]).await.unwrap();

    assert_eq!(world.store.restate_step().await.unwrap(), Restated::Some(1_000));
    let world = world.reopened().await;
    assert_eq!(restated(&world.store).await, [1_200]);

    let costs = bot.in_world(&world).costs().await;
    assert!(costs.iter().all(|cost| *cost == backend("2.00000000")), "{costs:?}");

    // A change in the midst begins anew.
    world.store.set_prices(vec![price("m", ALWAYS, "3", "0")]).await.unwrap();
    assert_eq!(world.store.restate_step().await.unwrap(), Restated::Some(1_000));
    world.store.set_prices(vec![price("m", ALWAYS, "4", "0")]).await.unwrap();
    assert_eq!(restated(&world.store).await, [1_000, 1_200]);
    let costs = bot.in_world(&world).costs().await;
    assert!(costs.iter().all(|cost| *cost == backend("4.00000000")), "{costs:?}");
}

pub(crate) async fn usage_of_an_adopted_conversation_is_restated_though_history_has_gone_by(world: World) {
    let bot = world.bot("helpdesk").await;
    bot.calls("named", &[call("1", None, 0, "m", (1_000_000, 0))]).await;
    let calls: Vec<Value> = (0..1_200).map(|n| call(&format!("f{n:x}"), None, n, "m", (1_000_000, 0))).collect();
    bot.calls("busy", &calls).await;
    let exports = async |id: &str, conversation: Option<&str>| {
        let mut span = call(id, None, 0, "m", (1_000_000, 0));
        span["trace_id"] = json!("a".repeat(32));
        let span = NewSpan::read(&RawValue::from_string(span.to_string()).unwrap()).unwrap();
        let (trace_id, conversation_id) = (span.trace_id.clone(), conversation.map(str::to_owned));
        let trace = TraceSpans { trace_id, conversation_id, spans: vec![span], ..TraceSpans::default() };
        bot.store.ingest_traces(bot.agent, vec![trace]).await.unwrap();
    };
    exports("2", None).await;
    world.store.set_prices(vec![price("m", ALWAYS, "2", "0")]).await.unwrap();
    assert_eq!(world.store.restate_step().await.unwrap(), Restated::Some(1_000));

    // The trace gets its name: what was unpriced goes where history has gone by already.
    exports("3", Some("named")).await;
    restated(&world.store).await;

    let costs = bot.costs().await;
    assert_eq!(costs.len(), 1_203);
    assert!(costs.iter().all(|cost| *cost == backend("2.00000000")), "{costs:?}");
}

pub(crate) async fn nothing_is_lost_or_priced_by_an_old_book_while_prices_change(world: World) {
    let bot = world.bot("helpdesk").await;
    let neighbour = world.neighbour();
    let beside = Bot { store: neighbour.clone(), agent: bot.agent };
    let writes = async |bot: &Bot, from: i64| {
        for n in from..from + 40 {
            // Both sides add to the same row now and then.
            let turn = format!("{:x}", n % 7);
            bot.calls(&format!("c-{}", n % 5), &[call(&format!("{n:x}"), Some(&turn), n, "m", (1_000_000, 0))]).await;
        }
    };
    let edits = async {
        for dollars in 1..=9 {
            neighbour.set_prices(vec![price("m", ALWAYS, &dollars.to_string(), "0")]).await.unwrap();
            let _ = world.store.restate_step().await.unwrap();
            let _ = neighbour.restate_step().await.unwrap();
        }
    };

    futures_util::join!(writes(&bot, 0), writes(&beside, 1_000), edits);
    restated(&world.store).await;

    let found = bot.store.list_usage(bot.agent, UsageFilter::default(), Extent::Everything).await.unwrap();
    let calls: i64 = found.rows.iter().map(|row| row.calls).sum();
    assert_eq!(calls, 80);
    for row in found.rows {
        let dollars = row.counts.0.prompt_tokens / 1_000_000 * 9;
        assert_eq!((row.cost_source, row.cost_usd), backend(&format!("{dollars}.00000000")));
    }
    neighbour.close().await;
}

pub(crate) async fn another_node_prices_with_the_book_as_it_is(world: World) {
    let bot = world.bot("helpdesk").await;
    let beside = Bot { store: world.neighbour(), agent: bot.agent };
    for (n, dollars) in ["1", "2", "3"].into_iter().enumerate() {
        world.store.set_prices(vec![price("m", ALWAYS, dollars, "0")]).await.unwrap();
        beside.calls("c", &[call(&n.to_string(), None, 0, "m", (1_000_000, 0))]).await;
    }

    assert_eq!(bot.costs().await, [backend("1.00000000"), backend("2.00000000"), backend("3.00000000")]);
    beside.store.close().await;
}

pub(crate) async fn defaults_are_renewed_and_leave_what_an_operator_did(world: World) {
    let store = &world.store;
    store.set_prices(vec![price("gpt-4o*", ALWAYS, "1", "1")]).await.unwrap();

    let first = store.renew_default_prices().await.unwrap();
    let again = store.renew_default_prices().await.unwrap();

    assert_eq!((first.changed, first.removed, first.unchanged), (0, 0, 1));
    assert!(first.added > 10, "{first:?}");
    assert_eq!(again, BookChange::default());
    let shown = async |model: &str| {
        let found = store.find_price(model.to_owned(), at(0)).await.unwrap();
        found.map(|(name, rate)| (name, rate.prompt.unwrap().to_string()))
    };
    assert_eq!(shown("gpt-4o-2024-08-06").await, Some(("gpt-4o*".to_owned(), "1".to_owned())));
    assert_eq!(shown("gpt-4o-mini").await, Some(("gpt-4o-mini*".to_owned(), "0.15".to_owned())));

    let removed = store.remove_prices("gpt-4o*".to_owned(), None).await.unwrap();
    assert_eq!(removed, BookChange { removed: 1, ..BookChange::default() });
    assert_eq!(missing(store.remove_prices("gpt-4o*".to_owned(), None).await), Missing::Row);
    assert_eq!(shown("gpt-4o").await, None);
    assert_eq!(store.set_prices(vec![price("gpt-4o*", ALWAYS, "7", "7")]).await.unwrap().added, 1);
    assert_eq!(shown("gpt-4o").await, Some(("gpt-4o*".to_owned(), "7".to_owned())));
}

pub(crate) async fn a_price_list_is_imported_once(world: World) {
    let list = PriceList::read(
        r#"{"m": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "mode": "chat"},
            "e": {"input_cost_per_token": 2e-08, "mode": "embedding"}, "image": {"mode": "image_generation"}}"#,
        at(0),
    )
    .unwrap();

    let first = world.store.set_prices(list.prices.clone()).await.unwrap();
    let again = world.store.set_prices(list.prices).await.unwrap();

    assert_eq!(first, BookChange { added: 2, ..BookChange::default() });
    assert_eq!(again, BookChange { unchanged: 2, ..BookChange::default() });
    let found = world.store.list_prices(Extent::Page(page(1, 1))).await.unwrap();
    assert_eq!((found.count, found.rows[0].model.as_str(), found.rows[0].source), (2, "e", PriceSource::Operator));
    assert_eq!(
        as_json(&world.store.all_prices().await.unwrap()[1]),
        json!({"model": "m", "valid_from": at(0), "source": "operator", "updated_at": at(0), "usd_per_million":
            {"prompt": "2.5", "completion": "10", "embedding": null, "cache_read": null, "cache_write": null}})
    );
}
