//! JSON that a sender gave and that must come back as given: key order, number form, everything.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON document kept as its text; the empty object when nothing was recorded.
#[derive(Clone, Debug, Default)]
pub struct JsonText(Option<Box<RawValue>>);

impl JsonText {
    /// `{}`.
    pub const EMPTY: Self = Self(None);

    /// Keeps a document that was already checked to be JSON. White space around it is not kept.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Self {
        if raw.get() == "{}" { Self::EMPTY } else { Self(Some(raw.to_owned())) }
    }

    /// Reads a document from text, as it lies in the store.
    ///
    /// # Errors
    /// When the text is not one JSON value.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        if text == "{}" {
            return Ok(Self::EMPTY);
        }
        RawValue::from_string(text).map(|raw| Self(Some(raw)))
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::from_string("null".to_owned()).ok())
    }

    /// Writes any value as a document.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::value::to_raw_value(value).map_or(Self::EMPTY, |raw| Self::from_raw(&raw))
    }

    /// The text of the document.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("{}", |raw| raw.get())
    }

    /// The text, or `None` for `{}`, which the store does not keep.
    #[must_use]
    pub fn stored(&self) -> Option<&str> {
        self.0.as_ref().map(|raw| raw.get())
    }

    /// True for `{}` and for an object with nothing but white space in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|raw| {
            let text = raw.get();
            text.starts_with('{') && text.get(1..text.len() - 1).is_some_and(|inner| inner.trim().is_empty())
        })
    }

    /// The document as a value tree, for whoever wants to look inside.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.as_str()).unwrap_or(serde_json::Value::Null)
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for JsonText {}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_map(Some(0))?.end(),
            Some(raw) => raw.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(if raw.get() == "{}" || raw.get() == "null" { Self::EMPTY } else { Self(Some(raw)) })
    }
}

/// Objects and arrays inside each other that a body may have at most.
///
/// Deeper documents cannot be read by most clients (Python's reader stops near 1 000, Rust's at
/// 128), so that storing one would make its conversation unreadable.
pub const MAX_DEPTH: usize = 100;

/// What [`repair`] found wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JSON is nested deeper than {MAX_DEPTH} levels")]
pub struct TooDeep;

/// Makes a body readable that a strict parser would refuse (contract: README §5), and bounds its depth.
///
/// A lone surrogate (`\ud83d` without its partner) becomes `\ufffd`, an escaped NUL (`\u0000`) is
/// dropped. Everything else stays byte for byte. The text need not be valid JSON.
///
/// # Errors
/// [`TooDeep`] when brackets outside strings nest deeper than [`MAX_DEPTH`].
pub fn repair(text: &[u8]) -> Result<Cow<'_, [u8]>, TooDeep> {
    let mut repaired: Option<Vec<u8>> = None;
    let mut kept = 0; // everything before is in `repaired` already
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if !in_string {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(TooDeep);
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            continue;
        }
        // Inside a string only a quote and a backslash mean anything.
        let Some(next) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else { break };
        at += next;
        if text.get(at) == Some(&b'"') {
            in_string = false;
            at += 1;
            continue;
        }
        let replacement: Option<&[u8]> = match escaped_unit(text, at) {
            None => {
                at += 2;
                continue;
            }
            Some(0) => Some(b""),
            Some(0xD800..=0xDBFF) => match escaped_unit(text, at + 6) {
                Some(0xDC00..=0xDFFF) => {
                    at += 12;
                    continue;
                }
                _ => Some(b"\\ufffd"),
            },
            Some(0xDC00..=0xDFFF) => Some(b"\\ufffd"),
            Some(_) => None,
        };
        if let Some(replacement) = replacement {
            let out = repaired.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(text.get(kept..at).unwrap_or_default());
            out.extend_from_slice(replacement);
            kept = at + 6;
        }
        at += 6;
    }
    Ok(match repaired {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.extend_from_slice(text.get(kept..).unwrap_or_default());
            Cow::Owned(out)
        }
    })
}

/// The UTF-16 unit of a `\uXXXX` escape that begins at `at`.
fn escaped_unit(text: &[u8], at: usize) -> Option<u16> {
    let escape = text.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> String {
        String::from_utf8(repair(text.as_bytes()).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn lone_surrogates_and_nul_are_replaced_and_nothing_else() {
        for (given, meant) in [
            (r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\ud83d\ude00"}"#),
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (r#"{"a":"\ud83d\u0041"}"#, r#"{"a":"\ufffd\u0041"}"#),
            (r#"{"a":"\ude00x"}"#, r#"{"a":"\ufffdx"}"#),
            (r#"{"a":"x\u0000y"}"#, r#"{"a":"xy"}"#),
            (r#"{"a":"\\ud83d"}"#, r#"{"a":"\\ud83d"}"#),
            (r#"{"a":"\\\u0000"}"#, r#"{"a":"\\"}"#),
            (r#"{"a":"\u00"#, r#"{"a":"\u00"#),
            (r#"{"a":"\"#, r#"{"a":"\"#),
        ] {
            assert_eq!(repaired(given), meant, "{given}");
        }
    }

    #[test]
    fn depth_is_bounded_outside_strings_only() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(repair(deep.as_bytes()), Err(TooDeep));
        let brackets = format!("\"{deep}\"");
        assert!(repair(brackets.as_bytes()).is_ok());
        assert!(repair("[".repeat(MAX_DEPTH).as_bytes()).is_ok());
    }

    #[test]
    fn a_document_comes_back_as_it_was_given() {
        let given = r#"{ "b": 1e2, "a": [1.0, 1], "a": "\u00e9" }"#;
        let text: JsonText = serde_json::from_str(given).unwrap();
        assert_eq!(serde_json::to_string(&text).unwrap(), given);
        assert!(!text.is_empty());
        assert!(JsonText::parse("{ }".to_owned()).unwrap().is_empty());
    }
}
