//! Attributes as JSON, and reading them.

use std::borrow::Cow;

use agentsight_model::limits;
use base64::Engine as _;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value};

/// Attributes, flat, as they are archived. The last of two of one name counts.
pub(crate) fn to_json(attributes: Vec<KeyValue>) -> Map<String, Value> {
    attributes.into_iter().map(|attribute| (attribute.key, value(attribute.value, 0))).collect()
}

/// Lists and maps inside each other that are followed; deeper ones are cut off.
const DEPTH: usize = 32;

pub(crate) fn value(value_of: Option<AnyValue>, depth: usize) -> Value {
    let Some(any) = value_of.and_then(|any| any.value) else { return Value::Null };
    if depth > DEPTH {
        return Value::Null;
    }
    match any {
        Any::StringValue(text) => Value::String(without_nul(text)),
        Any::BoolValue(flag) => Value::Bool(flag),
        Any::IntValue(number) => number.into(),
        // What JSON cannot say is kept as its word.
        Any::DoubleValue(number) => {
            serde_json::Number::from_f64(number).map_or_else(|| word(number).into(), Value::Number)
        }
        Any::ArrayValue(list) => list.values.into_iter().map(|item| value(Some(item), depth + 1)).collect(),
        Any::KvlistValue(map) => {
            Value::Object(map.values.into_iter().map(|pair| (pair.key, value(pair.value, depth + 1))).collect())
        }
        Any::BytesValue(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        Any::StringValueStrindex(_) => Value::Null,
    }
}

/// What protobuf's JSON calls a number that JSON has not.
fn word(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

/// No engine keeps a NUL.
pub(crate) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}

/// The attributes of a span, as an adapter reads them.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Attributes<'a> {
    pub(crate) fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key)
    }

    pub(crate) fn has(self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// A text that is not empty; numbers become theirs.
    pub(crate) fn text(self, key: &str) -> Option<Cow<'a, str>> {
        match self.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// The first of some keys that holds a text.
    pub(crate) fn first(self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.text(key)).map(Cow::into_owned)
    }

    /// The first of some keys that holds a whole number.
    pub(crate) fn count(self, keys: &[&str]) -> i64 {
        keys.iter().find_map(|key| count(self.get(key)?)).unwrap_or(0)
    }

    /// A structure, or the JSON text of one.
    pub(crate) fn structure(self, key: &str) -> Option<Value> {
        structure(self.get(key)?)
    }
}

pub(crate) fn count(value: &Value) -> Option<i64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64().or_else(|| other.as_f64().map(|number| number as i64)),
    };
    number.filter(|number| (0..=limits::TOKENS).contains(number))
}

/// A structure, or the JSON text of one.
pub(crate) fn structure(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            agentsight_model::json::repair(text.as_bytes()).ok().and_then(|text| serde_json::from_slice(&text).ok())
        }
        Value::Array(_) | Value::Object(_) => Some(value.clone()),
        _ => None,
    }
}
