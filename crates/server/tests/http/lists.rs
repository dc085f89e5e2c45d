//! Lists: filters, order, pages (contract: reading §2, README §4).

use serde_json::{Value, json};

use crate::app::{Bot, HOST, TestApp};

async fn names(bot: &Bot<'_>, query: &str) -> Vec<String> {
    let answer = bot.get(&format!("/api/conversations/?page_size=100&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let answer = answer.json();
    let rows = answer["results"].as_array().unwrap();
    assert_eq!(answer["count"], rows.len(), "{query}");
    rows.iter().map(|row| row["conversation_id"].as_str().unwrap().to_owned()).collect()
}

async fn conversations(bot: &Bot<'_>, count: usize) {
    for number in 1..=count {
        let body =
            json!({ "conversation_id": format!("c-{number}"), "timestamp": format!("2026-03-02T09:00:{number:02}Z") });
        assert_eq!(bot.post("/api/conversations/", body).await.status, 201);
    }
}

#[tokio::test]
async fn every_list_has_the_envelope_of_both_generations() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let empty = bot.get("/api/conversations/").await;
    let envelope = |count: u64| json!({ "count": count, "page_size": 10, "total_pages": 1, "current_page": 1, "next": null, "previous": null, "results": [] });
    assert_eq!(empty.whole(), (200, envelope(0)));
    conversations(&bot, 2).await;
    let mut two = bot.get("/api/conversations/").await.json();
    two["results"] = json!([]);
    assert_eq!(two, envelope(2));
}

#[tokio::test]
async fn page_links_are_absolute_and_keep_every_other_parameter() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    conversations(&bot, 5).await;

    let page = bot.get("/api/conversations/?page=2&page_size=2&search=c-&colour=r%26d&full=false").await.json();

    let link = |number: u8| {
        format!("http://{HOST}/api/conversations/?page_size=2&search=c-&colour=r%26d&full=false&page={number}")
    };
    assert_eq!((&page["next"], &page["previous"]), (&json!(link(3)), &json!(link(1))));
    assert_eq!(
        (&page["count"], &page["total_pages"], &page["current_page"], &page["page_size"]),
        (&json!(5), &json!(3), &json!(2), &json!(2))
    );
    let mut seen = Vec::new();
    let mut next = Some("/api/conversations/?page_size=2&full=false".to_owned());
    while let Some(path) = next {
        let page = bot.get(&path).await.json();
        seen.extend(
            page["results"].as_array().unwrap().iter().map(|row| row["conversation_id"].as_str().unwrap().to_owned()),
        );
        next = page["next"].as_str().map(|url| url.strip_prefix(&format!("http://{HOST}")).unwrap().to_owned());
    }
    assert_eq!(seen, ["c-5", "c-4", "c-3", "c-2", "c-1"]);
}

#[tokio::test]
async fn a_page_that_is_none_is_404_and_a_size_that_is_none_the_default() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    conversations(&bot, 12).await;
    for page in ["0", "-1", "x", "", "3", "1.0", "99999999999999999999", "4294967295"] {
        assert_eq!(
            bot.get(&format!("/api/conversations/?page={page}")).await.whole(),
            (404, json!({ "detail": "Invalid page." })),
            "{page}"
        );
    }
    assert_eq!(bot.get("/api/conversations/?page=last").await.json()["current_page"], 2);
    for (size, used) in [
        ("0", 10),
        ("-5", 10),
        ("x", 10),
        ("", 10),
        ("3", 3),
        ("100", 100),
        ("101", 100),
        ("99999999999999999999", 100),
    ] {
        assert_eq!(
            bot.get(&format!("/api/conversations/?page_size={size}&full=false")).await.json()["page_size"],
            used,
            "{size}"
        );
    }
}

#[tokio::test]
async fn rows_are_full_unless_lean_ones_are_asked_for() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi" })).await;
    let has = async |query: &str, key: &str| {
        bot.get(&format!("/api/conversations/?{query}")).await.json()["results"][0].get(key).is_some()
    };
    assert!(has("", "messages").await && has("full=true", "messages").await);
    assert!(
        !has("full=false", "messages").await
            && !has("full=false", "tickets").await
            && !has("full=true", "token_usage").await
    );
    let rows = bot.get("/api/conversations/?paginate=false&full=false").await.json();
    assert_eq!(rows[0]["conversation_id"], "c-1");
    assert_eq!(bot.get("/api/conversations/?paginate=False").await.json()[0]["messages"][0]["content"], "hi");
}

#[tokio::test]
async fn every_filter_finds_what_it_says() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post("/api/conversations/", json!({
        "conversation_id": "c-1", "customer_id": "Ana-7", "customer_ip_address": "::1", "name": "Late PARCEL", "device": "Mobile", "language": "hr",
        "environment": "dev", "metadata": {"plan": "pro", "n": 1, "deep": {"room": "a,b:c"}, "list": [1, "x"], "nil": null}, "timestamp": "2026-03-01T00:00:00Z" })).await;
    bot.post("/api/conversations/", json!({ "conversation_id": "C-1", "metadata": {"plan": "free", "n": "1"}, "timestamp": "2026-03-02T00:00:00Z" })).await;
    let track = async |name: &str, content: &str| {
        bot.post("/api/track/", json!({ "conversation_id": name, "sender": "agent", "content": content, "timestamp": "2026-03-03T00:00:00Z" })).await
    };
    track("m-1", "Refund for Šime, 100%_ sure").await;
    track("m-1", "second \"quoted\" * text").await;
    bot.post(
        "/api/action_logs/",
        json!({ "conversation_id": "a-1", "action_name": "Lookup_Order", "timestamp": "2026-03-04T00:00:00Z" }),
    )
    .await;
    bot.post("/api/conversation-feedbacks/", json!({ "conversation_id": "a-1", "sentiment": "positive" })).await;
    let deleted = bot
        .post("/api/conversations/", json!({ "conversation_id": "gone", "timestamp": "2026-02-01T00:00:00Z" }))
        .await
        .id();
    bot.delete(&format!("/api/conversations/{deleted}/")).await;
    let marked = bot.fetch("m-1").await["id"].clone();
    bot.post(&format!("/api/conversations/{marked}/mark/"), json!({ "is_marked": true })).await;

    for (query, expected) in [
        ("", "a-1 m-1 C-1 c-1"),
        ("include_deleted=true", "a-1 m-1 C-1 c-1 gone"),
        ("conversation_id=c-1", "c-1"),
        ("customer_id=Ana-7", "c-1"),
        ("customer_id=ana-7", ""),
        ("customer_id__icontains=ANA", "c-1"),
        ("customer_ip_address=0:0:0:0:0:0:0:1", "c-1"),
        ("name=parcel", "c-1"),
        ("device=MOBILE", "c-1"),
        ("language=HR", "c-1"),
        ("environment=development", "c-1"),
        ("env=DEV", "c-1"),
        ("env=prod", "a-1 m-1 C-1"),
        ("env=prod&environment=dev", ""),
        ("is_marked=true", "m-1"),
        ("has_messages=true", "a-1 m-1"),
        ("has_messages=False", "C-1 c-1"),
        ("has_action=true", "a-1"),
        ("has_action=false", "m-1 C-1 c-1"),
        ("action_name=lookup", "a-1"),
        ("has_feedback=true", "a-1"),
        ("has_feedback=false", "m-1 C-1 c-1"),
        ("feedback_sentiment=positive", "a-1"),
        ("feedback_sentiment=positive&feedback_source=platform", ""),
        ("feedback_source=customer", "a-1"),
        ("message_contains=REFUND", "m-1"),
        ("message_contains=%C5%A1ime", "m-1"),
        ("message_contains=100%25_", "m-1"),
        ("message_contains=%25%25%25", ""),
        ("message_contains=%22quoted%22%20*", "m-1"),
        ("search=refund+second", "m-1"),
        ("search=refund+parcel", ""),
        ("search=ANA-7", "c-1"),
        ("metadata=plan:pro", "c-1"),
        ("metadata=plan:pro,n:1", "c-1"),
        ("metadata=n:1", "C-1 c-1"),
        ("metadata=list:x", "c-1"),
        ("metadata=nil:null", "c-1"),
        ("metadata_key=deep.room&metadata_value=a,b:c", "c-1"),
        ("started_at_after=2026-03-02&started_at_before=2026-03-03", "m-1 C-1"),
        ("ordering=started_at", "c-1 C-1 m-1 a-1"),
        ("ordering=colour", "a-1 m-1 C-1 c-1"),
        ("ordering=-is_marked,id", "m-1 c-1 C-1 a-1"),
        ("include_tickets=true", ""),
    ] {
        assert_eq!(names(&bot, query).await.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_read_names_its_parameter() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (query, body) in [
        (
            "env=staging",
            json!({ "environment": ["Select a valid choice. staging is not one of the available choices."] }),
        ),
        (
            "feedback_sentiment=meh",
            json!({ "feedback_sentiment": ["Select a valid choice. meh is not one of the available choices."] }),
        ),
        ("include_tickets=", json!({ "include_tickets": ["Must be one of: 1, true, yes, on, 0, false, no, off."] })),
        ("metadata=plan", json!({ "metadata": ["Use key:value pairs, separated by commas."] })),
        (&format!("metadata={}a:1", "a:1,".repeat(32)), json!({ "metadata": ["Use at most 32 pairs."] })),
        (&format!("search={}", "a+".repeat(33)), json!({ "search": ["Use at most 32 words."] })),
        ("started_at_after=soon", json!({ "started_at_after": ["Enter a valid date/time."] })),
        ("customer_ip_address=x", json!({ "customer_ip_address": ["Enter a valid IPv4 or IPv6 address."] })),
    ] {
        assert_eq!(bot.get(&format!("/api/conversations/?{query}")).await.whole(), (400, body), "{query}");
    }
}

#[tokio::test]
async fn an_unknown_parameter_is_ignored_with_a_warning_or_refused_where_strictness_was_asked_for() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    conversations(&bot, 1).await;
    let path = "/api/conversations/?colour=red&size%22%0A=1&full=false";

    let answer = bot.get(path).await;
    let strict = bot.send("GET", path, &[("Prefer", "handling=strict")], Vec::new()).await;

    assert_eq!((answer.status, &answer.json()["count"]), (200, &json!(1)));
    assert_eq!(answer.all("warning"), ["299 - \"unknown parameter: colour\"", "299 - \"unknown parameter: size??\""]);
    let unknown = json!(["Unknown parameter."]);
    assert_eq!(strict.whole(), (400, json!({ "colour": unknown, "size\"\n": unknown })));
    assert!(bot.get("/api/conversations/?full=false&env=prod").await.header("warning").is_none());
    let lonely = bot.get("/api/conversations/?metadata_key=plan").await;
    assert_eq!((lonely.status, lonely.all("warning").len()), (200, 1));
    assert_eq!(lonely.json()["count"], 1);
}

#[tokio::test]
async fn rows_with_tickets_only_are_rows_with_their_tickets() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    conversations(&bot, 1).await;
    for word in ["1", "TRUE", "yes", "On"] {
        assert_eq!(bot.get(&format!("/api/conversations/?include_tickets={word}")).await.json()["count"], 0);
    }
    let without = bot.get("/api/conversations/?include_tickets=off").await.json();
    assert_eq!((&without["count"], without["results"][0].get("tickets")), (&json!(1), None::<&Value>));
}
