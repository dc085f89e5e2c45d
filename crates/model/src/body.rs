//! Reading a JSON body field by field: leniently where the contract says so, and with every problem
//! reported under its field's name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::JsonText;
use crate::limits::METADATA_BYTES;
use crate::refusal::{FieldErrors, Refusal, texts};
use crate::time::Timestamp;

/// The fields of a JSON object, unread, and what was found wrong while reading them.
///
/// A field given twice counts as given the last time. Unknown fields are ignored.
#[derive(Debug)]
pub struct Body<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    errors: FieldErrors,
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    fields.push((name.0, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// How long a text may be.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// In characters.
    Chars(usize),
    /// In bytes of UTF-8.
    Bytes(usize),
}

impl<'a> Body<'a> {
    /// Takes a body apart that went through [`crate::json::repair`]. An empty body is an empty object.
    ///
    /// # Errors
    /// `{"detail": "JSON parse error - …"}` when it is not JSON, or no object.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { fields: Vec::new(), errors: FieldErrors::default() });
        }
        let text = std::str::from_utf8(bytes).map_err(|e| Refusal::Detail(format!("JSON parse error - {e}").into()))?;
        let Fields(fields) =
            serde_json::from_str(text).map_err(|e| Refusal::Detail(format!("JSON parse error - {e}").into()))?;
        Ok(Self { fields, errors: FieldErrors::default() })
    }

    /// Takes an object apart that is part of a body; `None` where it is no object.
    #[must_use]
    pub fn of(raw: &'a RawValue) -> Option<Self> {
        let Fields(fields) = serde_json::from_str(raw.get()).ok()?;
        Some(Self { fields, errors: FieldErrors::default() })
    }

    /// Every field as it was written, in the order of the body; one that is given twice is here twice.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }

    /// Reports every field that is not one of these.
    pub fn refuse_unknown(&mut self, known: &[&str]) {
        let (fields, errors) = (&self.fields, &mut self.errors);
        for (name, _) in fields.iter().filter(|(name, _)| !known.contains(&name.as_ref())) {
            errors.add(name.to_string(), texts::UNKNOWN);
        }
    }

    /// The value of a field as it was written; `None` where it is missing, `null` included where present.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().rev().find(|(field, _)| field == name).map(|(_, raw)| *raw)
    }

    /// The value of a field that is neither missing nor null.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&'a RawValue> {
        self.raw(name).filter(|raw| raw.get() != "null")
    }

    /// Whether a problem of a field was reported.
    #[must_use]
    pub fn has_refused(&self, field: &str) -> bool {
        self.errors.has(field)
    }

    /// Reports a problem.
    pub fn refuse(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) {
        self.errors.add(field, message);
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All problems found.
    pub fn finish(self) -> Result<(), Refusal> {
        self.errors.into_result()
    }

    /// A text; numbers and booleans become theirs (contract: tracking-v0 §3.4), null is none.
    pub fn text(&mut self, name: &'static str, length: Length) -> Option<String> {
        let raw = self.given(name)?;
        let Some(text) = scalar_text(raw) else {
            self.refuse(name, texts::NOT_TEXT);
            return None;
        };
        let fits = match length {
            Length::Chars(most) => text.len() <= most || text.chars().count() <= most,
            Length::Bytes(most) => text.len() <= most,
        };
        if !fits {
            let message = match length {
                Length::Chars(most) => format!("Ensure this field has no more than {most} characters."),
                Length::Bytes(most) => format!("Ensure this field has no more than {most} bytes."),
            };
            self.refuse(name, message);
            return None;
        }
        Some(text.into_owned())
    }

    /// A text that must be there and not blank; reported and empty where it is not.
    pub fn required_text(&mut self, name: &'static str, length: Length) -> String {
        match self.raw(name) {
            None => self.refuse(name, texts::REQUIRED),
            Some(raw) if raw.get() == "null" => self.refuse(name, texts::NOT_NULL),
            Some(_) => match self.text(name, length) {
                Some(text) if text.trim().is_empty() => self.refuse(name, texts::NOT_BLANK),
                Some(text) => return text,
                None => {}
            },
        }
        String::new()
    }

    /// A date-time.
    pub fn timestamp(&mut self, name: &'static str) -> Option<Timestamp> {
        let raw = self.given(name)?;
        let read = serde_json::from_str::<Cow<'_, str>>(raw.get()).ok().and_then(|text| text.parse().ok());
        if read.is_none() {
            self.refuse(name, texts::BAD_DATETIME);
        }
        read
    }

    /// A flag: a JSON boolean, 0, 1, or the words in which the SDKs and people spell one.
    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let raw = self.given(name)?;
        let read = scalar_text(raw).and_then(|text| parse_bool(&text));
        if read.is_none() {
            self.refuse(name, texts::NOT_BOOLEAN);
        }
        read
    }

    /// A document that must be an object, at most [`METADATA_BYTES`] long.
    pub fn object(&mut self, name: &'static str) -> Option<JsonText> {
        let raw = self.given(name)?;
        if !raw.get().starts_with('{') {
            self.refuse(name, texts::NOT_OBJECT);
            return None;
        }
        if raw.get().len() > METADATA_BYTES {
            self.refuse(name, format!("Ensure this field has no more than {METADATA_BYTES} bytes."));
            return None;
        }
        Some(JsonText::from_raw(raw))
    }

    /// The key of a row: an integer, or its decimal text. Anything else but null is reported.
    pub fn integer(&mut self, name: &'static str) -> Option<i64> {
        let key = self.key(name);
        if key.is_none() && self.given(name).is_some() {
            self.refuse(name, texts::NOT_INTEGER);
        }
        key
    }

    /// The key of a row: an integer, or its decimal text. Everything that SDK 0.0.x writes for
    /// "none" (`"None"`, `"null"`, `""`) and anything else counts as absent.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<i64> {
        let text = scalar_text(self.given(name)?)?;
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than any key has: a key that no row bears, not an absent one.
        digits.then(|| text.parse().unwrap_or(i64::MAX))
    }
}

/// True for the texts that stand for "no value" in ids (contract: tracking-v0 §2).
#[must_use]
pub fn is_absent(text: &str) -> bool {
    matches!(text.trim(), "" | "None" | "null")
}

/// The text of a string, number or boolean.
#[must_use]
pub fn scalar_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Name<'_>>(json).ok().map(|name| name.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// `true`, `false`, `1`, `0`, `yes`, `no`, `on`, `off` in any case (contract: README §6).
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    const TRUE: [&str; 4] = ["true", "1", "yes", "on"];
    const FALSE: [&str; 4] = ["false", "0", "no", "off"];
    let text = text.trim();
    let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(TRUE) {
        Some(true)
    } else if is(FALSE) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_reported_under_its_field() {
        let mut body =
            Body::parse(br#"{"a": {}, "b": "yesterday", "c": [1], "d": "  ", "e": "maybe", "f": null}"#).unwrap();
        body.text("a", Length::Chars(5));
        body.timestamp("b");
        body.object("c");
        body.required_text("d", Length::Chars(5));
        body.boolean("e");
        body.required_text("f", Length::Chars(5));
        body.required_text("g", Length::Chars(5));
        let Err(Refusal::Fields(errors)) = body.finish() else { panic!("found nothing") };
        assert_eq!(
            serde_json::to_string(&errors).unwrap(),
            r#"{"a":["Not a valid string."],"b":["Datetime has wrong format."],"c":["Must be a JSON object."],"d":["This field may not be blank."],"e":["Must be a valid boolean."],"f":["This field may not be null."],"g":["This field is required."]}"#
        );
    }

    #[test]
    fn keys_are_read_from_numbers_and_digits_and_nothing_else() {
        let body = Body::parse(br#"{"a": 42, "b": "42", "c": "None", "d": "", "e": null, "f": "x1", "g": 4.5, "h": "99999999999999999999"}"#).unwrap();
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|name| body.key(name));
        assert_eq!(keys, [Some(42), Some(42), None, None, None, None, None, Some(i64::MAX), None]);
    }

    #[test]
    fn what_is_no_object_is_refused_as_a_whole() {
        for text in ["[]", "12", "{", "{\"a\":1}x", "\u{feff}{}"] {
            assert!(matches!(Body::parse(text.as_bytes()), Err(Refusal::Detail(_))), "{text}");
        }
        assert!(Body::parse(b" \n").is_ok());
    }

    #[test]
    fn numbers_become_text_and_the_last_of_two_counts() {
        let mut body = Body::parse(br#"{"a": 12, "a": 1.50, "b": true}"#).unwrap();
        assert_eq!(body.text("a", Length::Chars(9)).as_deref(), Some("1.50"));
        assert_eq!(body.text("b", Length::Chars(9)).as_deref(), Some("true"));
    }
}
