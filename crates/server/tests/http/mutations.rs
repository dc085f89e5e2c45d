//! Bodies that were valid until something happened to them.

use std::sync::{LazyLock, Mutex, PoisonError};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::app::TestApp;
use crate::hostile::{ROUTES, furnished, valid};

/// What happens to a field.
#[derive(Clone, Debug)]
enum Mutation {
    Drop,
    Retype(Value),
    Nest(usize),
    Oversize(usize),
    Rename,
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[0-9:TZ+. -]{0,30}".prop_map(Value::from),
        Just(json!("None")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn mutations() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        2 => Just(Mutation::Drop),
        6 => values().prop_map(Mutation::Retype),
        1 => (1_usize..150).prop_map(Mutation::Nest),
        1 => (200_usize..400_000).prop_map(Mutation::Oversize),
        1 => Just(Mutation::Rename),
    ]
}

/// Applies a mutation to one field, or to a field within it where `deep` leads to one.
fn mutate(body: &mut Value, at: usize, deep: bool, mutation: &Mutation) {
    let keys: Vec<String> = match &*body {
        Value::Object(fields) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    };
    if keys.is_empty() {
        return;
    }
    let key = &keys[at % keys.len()];
    if deep {
        let inner = match &mut body[key] {
            Value::Array(items) if !items.is_empty() => &mut items[0],
            other => other,
        };
        if inner.as_object().is_some_and(|fields| !fields.is_empty()) {
            return mutate(inner, at / 7, true, mutation);
        }
    }
    let old = body[key].clone();
    match mutation {
        Mutation::Drop => drop(body.as_object_mut().unwrap().remove(key)),
        Mutation::Retype(value) => body[key] = value.clone(),
        Mutation::Nest(depth) => {
            body[key] = (0..*depth)
                .fold(old, |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) });
        }
        Mutation::Oversize(size) => body[key] = "x".repeat(*size).into(),
        Mutation::Rename => {
            body.as_object_mut().unwrap().remove(key);
            body[format!("{key}_")] = old;
        }
    }
}

/// Cases that share a server: what one leaves is what the next one finds. Each looks at all that is stored, so that it
/// must not become much.
const SHIFT: usize = 25;

static SERVER: LazyLock<Mutex<(Runtime, Option<TestApp>, usize)>> =
    LazyLock::new(|| Mutex::new((Runtime::new().unwrap(), None, 0)));

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_that_was_changed_is_stored_or_refused_with_a_reason(
        route in 0..ROUTES.len(),
        changes in prop::collection::vec((any::<usize>(), any::<bool>(), mutations()), 1..4),
    ) {
        // A case that failed says so itself; those that make it smaller go on.
        let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let (runtime, app, cases) = &mut *server;
        if cases.is_multiple_of(SHIFT) {
            *app = None;
        }
        *cases += 1;
        let app = &*app.get_or_insert_with(|| runtime.block_on(TestApp::start()));
        let (method, path) = ROUTES[route];
        let mut body = valid(path);
        changes.iter().for_each(|(at, deep, mutation)| mutate(&mut body, *at, *deep, mutation));
        runtime.block_on(async {
            let bot = app.bot().await;
            let id = furnished(&bot).await;
            let before = app.contents();

            // Statuses and shapes are checked against the document by the client itself.
            let answer = bot.json(method, &path.replace("{id}", &id.to_string()), body.to_string()).await;

            assert!(answer.status < 500, "{path} {body}: {}", answer.text());
            if answer.status >= 400 {
                assert_eq!(app.contents(), before, "{path} {body}: {}", answer.text());
            }
            // What was stored can be read.
            let fetched = bot.get(&format!("/api/conversations/{id}/")).await;
            assert_eq!(fetched.status, 200, "{path} {body}: {}", fetched.text());
            for list in ["feedbacks/?include_tickets=true", "tickets/", "actions/", "buttons/"] {
                let listed = bot.get(&format!("/api/{list}")).await;
                assert_eq!(listed.status, 200, "{path} {body}: {}", listed.text());
            }
        });
    }
}
