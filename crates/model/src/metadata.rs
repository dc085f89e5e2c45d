//! Looking into metadata: dot paths, and values that are found however they were typed (contract: reading §2.7).

use serde_json::Value;

use crate::text::fold;

/// One `key:value` that a conversation's metadata must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataTerm {
    /// A literal key, or a dot path into nested objects.
    pub path: String,
    /// Every stored form that the value matches.
    pub forms: Vec<String>,
}

impl MetadataTerm {
    /// A term from key and value as written.
    #[must_use]
    pub fn new(key: &str, value: &str) -> Self {
        let (path, value) = (key.trim(), value.trim());
        let mut forms = vec![text_form(value)];
        // Typed by its look: the number 1 and the text "1" both match `1`.
        if let Ok(typed @ (Value::Number(_) | Value::Bool(_) | Value::Null)) = serde_json::from_str::<Value>(value) {
            forms.extend(form(&typed));
        }
        Self { path: path.to_owned(), forms }
    }

    /// Terms of `key:value,key2:value2`.
    ///
    /// # Errors
    /// The contract's text where a piece has no colon.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, &'static str> {
        text.split(',')
            .map(|piece| {
                piece
                    .split_once(':')
                    .map(|(key, value)| Self::new(key, value))
                    .ok_or("Use key:value pairs, separated by commas.")
            })
            .collect()
    }
}

/// Characters of a value that are kept in its form; longer texts keep a hash of the rest.
const FORM_CHARS: usize = 200;

/// A scalar in a form that compares equal exactly when the values are: `n1.5`, `b1`, `z`, `stext`.
fn form(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("z".to_owned()),
        Value::Bool(flag) => Some(if *flag { "b1" } else { "b0" }.to_owned()),
        Value::Number(number) => Some(format!("n{}", number_form(number))),
        Value::String(text) => Some(text_form(text)),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// `1`, `1.0` and `1e0` are one number.
fn number_form(number: &serde_json::Number) -> String {
    const EXACT: f64 = 9e15;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => (float as i64).to_string(),
        _ => number.to_string(),
    }
}

fn text_form(text: &str) -> String {
    if text.len() <= FORM_CHARS {
        return format!("s{text}");
    }
    let start: String = text.chars().take(FORM_CHARS / 4).collect();
    let hash = crate::attachment::ContentHash::of(text.as_bytes());
    let tail: String = hash.0.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("h{start}{tail}")
}

/// Every scalar in a metadata document: its dot path and its form, sorted, each pair once.
///
/// Elements of arrays stand under their array's path. Where a literal key `a.b` stands beside
/// `{"a": {"b": …}}`, the literal key alone counts.
#[must_use]
pub fn entries(metadata: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(metadata, &mut |path, value| found.extend(form(value).map(|form| (path.to_owned(), form))));
    found.sort_unstable();
    found.dedup();
    found
}

/// Every path under which `metadata` holds something that is no object, unsorted.
#[must_use]
pub fn paths(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(metadata, &mut |path, _| found.push(path.to_owned()));
    found
}

/// The scalars at one path.
#[must_use]
pub fn values_at<'a>(metadata: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    walk(metadata, &mut |at, value| {
        if at == path && !value.is_array() {
            found.push(value);
        }
    });
    found
}

fn walk<'a>(metadata: &'a Value, visit: &mut dyn FnMut(&str, &'a Value)) {
    let Value::Object(top) = metadata else { return };
    for (key, value) in top {
        descend(key, value, top, visit);
    }
}

fn descend<'a>(
    path: &str,
    value: &'a Value,
    top: &'a serde_json::Map<String, Value>,
    visit: &mut dyn FnMut(&str, &'a Value),
) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let path = format!("{path}.{key}");
                if !top.contains_key(&path) {
                    descend(&path, value, top, visit);
                }
            }
        }
        Value::Array(items) => {
            visit(path, value);
            items.iter().filter(|item| !item.is_object() && !item.is_array()).for_each(|item| visit(path, item));
        }
        _ => visit(path, value),
    }
}

/// The order in which lists of keys are answered: letter case ignored first.
#[must_use]
pub fn sorted(mut keys: Vec<String>, most: usize) -> Vec<String> {
    keys.sort_by_cached_key(|key| (fold(key), key.clone()));
    keys.dedup();
    keys.truncate(most);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(metadata: &Value, key: &str, value: &str) -> bool {
        let term = MetadataTerm::new(key, value);
        entries(metadata).iter().any(|(path, form)| *path == term.path && term.forms.contains(form))
    }

    #[test]
    fn values_match_typed_or_as_text() {
        for stored in [json!({"plan": 1}), json!({"plan": "1"}), json!({"plan": 1.0}), json!({"plan": [2, 1]})] {
            assert!(holds(&stored, "plan", "1"), "{stored}");
        }
        assert!(holds(&json!({"a": null}), "a", "null"));
        assert!(!holds(&json!({}), "a", "null"));
        assert!(holds(&json!({"a": true}), "a", "true"));
        assert!(!holds(&json!({"a": "True"}), "a", "true"));
        assert!(holds(&json!({"a": "x".repeat(999)}), "a", &"x".repeat(999)));
        assert!(!holds(&json!({"a": "x".repeat(999)}), "a", &"x".repeat(998)));
    }

    #[test]
    fn paths_lead_into_objects_and_literal_keys_win() {
        assert!(holds(&json!({"analysis": {"room_name": "kitchen"}}), "analysis.room_name", "kitchen"));
        let both = json!({"a.b": 1, "a": {"b": 2}});
        assert!(holds(&both, "a.b", "1"));
        assert!(!holds(&both, "a.b", "2"));
    }

    #[test]
    fn a_piece_without_a_colon_is_refused() {
        assert_eq!(MetadataTerm::parse_list("a:1,b"), Err("Use key:value pairs, separated by commas."));
        assert_eq!(MetadataTerm::parse_list("a:b:c").unwrap(), [MetadataTerm::new("a", "b:c")]);
    }
}
