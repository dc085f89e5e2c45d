//! Holds every answer against `/openapi.json`: its path, its method, its status and its body must
//! stand there.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::app::Answer;

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(agentsight_server::openapi()).unwrap());

/// Routes that the document does not describe: itself and its explorer.
fn is_about_the_document(path: &str) -> bool {
    path == "/openapi.json" || path == "/docs" || path.starts_with("/docs/")
}

/// Fails when an answer is not documented.
pub(crate) fn check(answer: &Answer) {
    let sent = &answer.sent;
    let said = format!("{} {} → {} {}", sent.method, sent.path, answer.status, answer.text());
    let said: String = said.chars().take(2_000).collect();
    assert!(answer.header("x-request-id").is_some(), "no x-request-id: {said}");
    let path = routed(&sent.path);
    if is_about_the_document(&path) {
        return;
    }
    let is_protobuf = answer.header("content-type") == Some("application/x-protobuf");
    if is_protobuf {
        assert!(["/v1/traces", "/v1/logs"].contains(&path.as_str()), "only OpenTelemetry speaks protobuf: {said}");
        assert!(
            find(&path)
                .is_some_and(|(_, methods)| methods["post"]["responses"].get(answer.status.to_string()).is_some()),
            "undocumented status: {said}"
        );
        return;
    }
    if answer.status >= 400 && sent.method != "HEAD" {
        assert_eq!(answer.header("content-type"), Some("application/json"), "every error is JSON: {said}");
    }
    // For people with a browser, beside the document.
    if path == "/" {
        return;
    }
    let Some((template, methods)) = find(&path) else {
        assert_eq!(answer.status, 404, "undocumented path: {said}");
        assert_eq!(answer.json(), json!({ "detail": "Not found." }));
        return;
    };
    let method = if sent.method == "HEAD" { "get".to_owned() } else { sent.method.to_ascii_lowercase() };
    let Some(operation) = methods.get(&method) else {
        assert_eq!(answer.status, 405, "undocumented method: {said}");
        assert_eq!(answer.json(), json!({ "detail": format!("Method \"{}\" not allowed.", sent.method) }));
        return;
    };
    let response = operation["responses"].get(answer.status.to_string());
    let response = response.unwrap_or_else(|| panic!("undocumented status: {said}"));
    if sent.method == "HEAD" {
        return;
    }
    if answer.status == 204 {
        assert!(response.get("content").is_none() && answer.body.is_empty(), "204 has no body: {said}");
        return;
    }
    let content = response.get("content").unwrap_or_else(|| panic!("a body where none is documented: {said}"));
    let Some(schema) = content.get("application/json").and_then(|json| json.get("schema")) else { return };
    assert_eq!(answer.header("content-type"), Some("application/json"), "{said}");
    let validator = validator(&format!("{method} {template} {}", answer.status), schema);
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        // A number past the range of this reader may stand in what a sender gave; all else is JSON.
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_ok(), "no JSON: {said}");
        return;
    };
    let errors: Vec<String> = validator.iter_errors(&body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "not the documented shape: {said}\n{}", errors.join("\n"));
}

/// The path without its query, in the form in which it is documented.
fn routed(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut tidy: String = path.split('/').filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect();
    if tidy.is_empty() || tidy.starts_with("/api/") {
        tidy.push('/');
    }
    tidy
}

/// The documented path that a path means; literal segments go before parameters.
fn find(path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template.zip(path).all(|(part, given)| part == given || part.starts_with('{') && !given.is_empty())
    };
    let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    found.first().map(|(template, methods)| (template.as_str(), *methods))
}

/// A validator for one answer's schema, with everything that it refers to.
fn validator(of: &str, schema: &Value) -> Arc<Validator> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let validator = validators.entry(of.to_owned()).or_insert_with(|| {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": DOCUMENT["components"],
        });
        Arc::new(jsonschema::validator_for(&whole).unwrap())
    });
    Arc::clone(validator)
}
