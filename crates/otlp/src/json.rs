//! OTLP/JSON as the protobuf message that it stands for.
//!
//! What is read is the JSON form of protobuf, as lenient as its specification asks of readers, with ids in hexadecimal
//! (OTLP specification, "JSON Protobuf Encoding"). A problem is told with the path of its field. Fields that nothing is made of are
//! not listed here and skipped like those that nobody knows.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

/// The fields of a message.
pub(crate) struct Message(&'static [Field]);

struct Field {
    tag: u32,
    /// In lowerCamelCase; the snake_case name of the schema is read too.
    name: &'static str,
    is_list: bool,
    holds: Holds,
}

enum Holds {
    Text,
    /// In hexadecimal.
    Id,
    /// In base64.
    Bytes,
    Flag,
    Whole(Whole),
    Double,
    /// An enum, with the number of a name.
    Choice(fn(&str) -> Option<i32>),
    Message(&'static Message),
}

/// Integers, as JSON numbers or as texts.
enum Whole {
    Int64,
    Uint32,
    Fixed32,
    Fixed64,
}

const fn one(tag: u32, name: &'static str, holds: Holds) -> Field {
    Field { tag, name, is_list: false, holds }
}

const fn list(tag: u32, name: &'static str, of: &'static Message) -> Field {
    Field { tag, name, is_list: true, holds: Holds::Message(of) }
}

/// An export of spans.
pub(crate) static TRACES: Message = Message(&[list(1, "resourceSpans", &RESOURCE_SPANS)]);
/// An export of log records.
pub(crate) static LOGS: Message = Message(&[list(1, "resourceLogs", &RESOURCE_LOGS)]);

static RESOURCE_SPANS: Message =
    Message(&[one(1, "resource", Holds::Message(&RESOURCE)), list(2, "scopeSpans", &SCOPE_SPANS)]);
static RESOURCE_LOGS: Message =
    Message(&[one(1, "resource", Holds::Message(&RESOURCE)), list(2, "scopeLogs", &SCOPE_LOGS)]);
static RESOURCE: Message = Message(&[list(1, "attributes", &KEY_VALUE)]);
static SCOPE_SPANS: Message =
    Message(&[one(1, "scope", Holds::Message(&SCOPE)), list(2, "spans", &SPAN), one(3, "schemaUrl", Holds::Text)]);
static SCOPE_LOGS: Message = Message(&[
    one(1, "scope", Holds::Message(&SCOPE)),
    list(2, "logRecords", &LOG_RECORD),
    one(3, "schemaUrl", Holds::Text),
]);
static SCOPE: Message = Message(&[one(1, "name", Holds::Text), one(2, "version", Holds::Text)]);
static SPAN: Message = Message(&[
    one(1, "traceId", Holds::Id),
    one(2, "spanId", Holds::Id),
    one(3, "traceState", Holds::Text),
    one(4, "parentSpanId", Holds::Id),
    one(5, "name", Holds::Text),
    one(6, "kind", Holds::Choice(|name| SpanKind::from_str_name(name).map(i32::from))),
    one(7, "startTimeUnixNano", Holds::Whole(Whole::Fixed64)),
    one(8, "endTimeUnixNano", Holds::Whole(Whole::Fixed64)),
    list(9, "attributes", &KEY_VALUE),
    one(10, "droppedAttributesCount", Holds::Whole(Whole::Uint32)),
    list(11, "events", &EVENT),
    one(12, "droppedEventsCount", Holds::Whole(Whole::Uint32)),
    list(13, "links", &LINK),
    one(14, "droppedLinksCount", Holds::Whole(Whole::Uint32)),
    one(15, "status", Holds::Message(&STATUS)),
    one(16, "flags", Holds::Whole(Whole::Fixed32)),
]);
static EVENT: Message = Message(&[
    one(1, "timeUnixNano", Holds::Whole(Whole::Fixed64)),
    one(2, "name", Holds::Text),
    list(3, "attributes", &KEY_VALUE),
]);
static LINK: Message =
    Message(&[one(1, "traceId", Holds::Id), one(2, "spanId", Holds::Id), list(4, "attributes", &KEY_VALUE)]);
static STATUS: Message = Message(&[
    one(2, "message", Holds::Text),
    one(3, "code", Holds::Choice(|name| StatusCode::from_str_name(name).map(i32::from))),
]);
static LOG_RECORD: Message = Message(&[
    one(1, "timeUnixNano", Holds::Whole(Whole::Fixed64)),
    one(5, "body", Holds::Message(&ANY_VALUE)),
    list(6, "attributes", &KEY_VALUE),
    one(9, "traceId", Holds::Id),
    one(10, "spanId", Holds::Id),
    one(11, "observedTimeUnixNano", Holds::Whole(Whole::Fixed64)),
    one(12, "eventName", Holds::Text),
]);
static KEY_VALUE: Message = Message(&[one(1, "key", Holds::Text), one(2, "value", Holds::Message(&ANY_VALUE))]);
static ANY_VALUE: Message = Message(&[
    one(1, "stringValue", Holds::Text),
    one(2, "boolValue", Holds::Flag),
    one(3, "intValue", Holds::Whole(Whole::Int64)),
    one(4, "doubleValue", Holds::Double),
    one(5, "arrayValue", Holds::Message(&ARRAY_VALUE)),
    one(6, "kvlistValue", Holds::Message(&KEY_VALUES)),
    one(7, "bytesValue", Holds::Bytes),
]);
static ARRAY_VALUE: Message = Message(&[list(1, "values", &ANY_VALUE)]);
static KEY_VALUES: Message = Message(&[list(1, "values", &KEY_VALUE)]);

/// Writes a body as the protobuf message that it stands for.
///
/// # Errors
/// A sentence that says what cannot be read, and where.
pub(crate) fn to_protobuf(message: &'static Message, body: &[u8]) -> Result<Vec<u8>, String> {
    let (mut out, mut path) = (Vec::with_capacity(body.len()), Vec::new());
    let mut json = serde_json::Deserializer::from_slice(body);
    let members = Members { message, out: &mut out, path: &mut path };
    match json.deserialize_any(members).and_then(|()| json.end()) {
        Ok(()) => Ok(out),
        Err(error) if error.classify() == Category::Data => Err(format!("{}: {error}", Path(&path))),
        Err(error) => Err(format!("JSON parse error - {error}")),
    }
}

/// A step on the way to a field.
#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Item(usize),
}

struct Path<'a>(&'a [Step]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("The body");
        }
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(number) => write!(f, "[{number}]")?,
            }
        }
        Ok(())
    }
}

/// Reads the members of a message. A step of the path is taken back only where its value could be read.
struct Members<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
    path: &'a mut Vec<Step>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { message, out, path } = self;
        while let Some(field) = map.next_key_seed(Name(message))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            path.push(Step::Field(field.name));
            map.next_value_seed(Member { field, is_item: false, out, path })?;
            path.pop();
        }
        Ok(())
    }
}

/// Finds a field by its name.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let Self(Message(fields)) = self;
        let exact = fields.iter().find(|field| field.name == name);
        let in_schema = || fields.iter().find(|field| name.contains('_') && is_snake_case_of(name, field.name));
        Ok(exact.or_else(in_schema))
    }
}

fn is_snake_case_of(name: &str, camel_case: &str) -> bool {
    let letters = camel_case.chars().flat_map(|letter| {
        let underscore = letter.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain([letter.to_ascii_lowercase()])
    });
    letters.eq(name.chars())
}

/// Reads the value of a field, or an item of it.
struct Member<'a> {
    field: &'static Field,
    is_item: bool,
    out: &'a mut Vec<u8>,
    path: &'a mut Vec<Step>,
}

/// A value that is neither object nor list.
#[derive(Clone, Copy)]
enum Scalar<'a> {
    Text(&'a str),
    Flag(bool),
    Integer(i128),
    Float(f64),
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.field.holds {
            _ if self.is_whole_list() => "a list",
            Holds::Text => "a string",
            Holds::Id => "a string of hexadecimal digits, two for each byte",
            Holds::Bytes => "a string of base64",
            Holds::Flag => "true or false",
            Holds::Whole(whole) => return whole.expecting(f),
            Holds::Double => "a number",
            Holds::Choice(_) => "a number or name of its enum",
            Holds::Message(_) => "an object",
        })
    }

    /// Null stands for a field that is not there.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.is_item { Err(self.refusal()) } else { Ok(()) }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Holds::Message(message) = &self.field.holds else { return Err(self.refusal()) };
        if self.is_whole_list() {
            return Err(self.refusal());
        }
        encode_key(self.field.tag, WireType::LengthDelimited, self.out);
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; LENGTH_BYTES]);
        Members { message, out: &mut *self.out, path: self.path }.visit_map(map)?;
        let length = self.out.len() - length_at - LENGTH_BYTES;
        if let Some(place) = self.out.get_mut(length_at..length_at + LENGTH_BYTES) {
            write_length(length, place);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if !self.is_whole_list() {
            return Err(self.refusal());
        }
        let Self { field, out, path, .. } = self;
        for number in 0.. {
            path.push(Step::Item(number));
            let item = items.next_element_seed(Member { field, is_item: true, out, path })?;
            path.pop();
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(Scalar::Text(text))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.scalar(Scalar::Flag(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.scalar(Scalar::Integer(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.scalar(Scalar::Integer(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.scalar(Scalar::Float(number))
    }
}

/// Bytes of the length of a message: it is known only behind it, so that its place is kept in front of it.
const LENGTH_BYTES: usize = 5;

/// Writes a length as a variable-length integer that fills its place.
fn write_length(mut length: usize, place: &mut [u8]) {
    let last = place.len() - 1;
    for (at, byte) in place.iter_mut().enumerate() {
        *byte = (length & 0x7f) as u8 | if at < last { 0x80 } else { 0 };
        length >>= 7;
    }
}

impl Member<'_> {
    fn is_whole_list(&self) -> bool {
        self.field.is_list && !self.is_item
    }

    /// What is wrong, without the value: it may be long, and is known to who sent it.
    fn refusal<E: Error>(&self) -> E {
        E::custom(format_args!("expected {}", self as &dyn serde::de::Expected))
    }

    fn scalar<E: Error>(mut self, given: Scalar<'_>) -> Result<(), E> {
        let written = if self.is_whole_list() { None } else { self.write(given) };
        written.ok_or_else(|| self.refusal())
    }

    /// `None` for what the field cannot hold.
    fn write(&mut self, given: Scalar<'_>) -> Option<()> {
        let tag = self.field.tag;
        match (&self.field.holds, given) {
            (Holds::Text, Scalar::Text(text)) => self.write_bytes(text.as_bytes()),
            (Holds::Id, Scalar::Text(text)) => self.write_bytes(&hex::decode(text).ok()?),
            (Holds::Bytes, Scalar::Text(text)) => self.write_bytes(&of_base64(text)?),
            (Holds::Flag, Scalar::Flag(flag)) => self.write_varint(flag.into()),
            (Holds::Whole(whole), given) => {
                let number = given.whole().filter(|number| whole.range().contains(number))?;
                match whole {
                    // Both of protobuf's forms are the lower bits of the number.
                    Whole::Int64 | Whole::Uint32 => self.write_varint(number as u64),
                    Whole::Fixed32 => {
                        encode_key(tag, WireType::ThirtyTwoBit, self.out);
                        self.out.extend_from_slice(&(number as u32).to_le_bytes());
                    }
                    Whole::Fixed64 => {
                        encode_key(tag, WireType::SixtyFourBit, self.out);
                        self.out.extend_from_slice(&(number as u64).to_le_bytes());
                    }
                }
            }
            (Holds::Double, given) => {
                let number = given.number()?;
                encode_key(tag, WireType::SixtyFourBit, self.out);
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            (Holds::Choice(of_name), Scalar::Text(name)) if !name.starts_with(|c: char| c.is_ascii_digit()) => {
                self.write_varint(of_name(name)? as u64);
            }
            (Holds::Choice(_), given) => self.write_varint(i32::try_from(given.whole()?).ok()? as u64),
            _ => return None,
        }
        Some(())
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        encode_key(self.field.tag, WireType::LengthDelimited, self.out);
        encode_varint(bytes.len() as u64, self.out);
        self.out.extend_from_slice(bytes);
    }

    fn write_varint(&mut self, number: u64) {
        encode_key(self.field.tag, WireType::Varint, self.out);
        encode_varint(number, self.out);
    }
}

impl Whole {
    fn range(&self) -> RangeInclusive<i128> {
        match self {
            Self::Int64 => i64::MIN.into()..=i64::MAX.into(),
            Self::Uint32 | Self::Fixed32 => 0..=u32::MAX.into(),
            Self::Fixed64 => 0..=u64::MAX.into(),
        }
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.range().start(), self.range().end())
    }
}

impl Scalar<'_> {
    /// A whole number, in whichever form: `7`, `"7"`, `7.0`, `"7e0"`.
    fn whole(self) -> Option<i128> {
        match self {
            Self::Integer(number) => Some(number),
            Self::Float(number) => (number.fract() == 0.0).then_some(number as i128),
            Self::Text(text) => text.parse().ok().or_else(|| Scalar::Float(text.parse().ok()?).whole()),
            Self::Flag(_) => None,
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            // `NaN`, `Infinity` and `-Infinity` are among what is read here.
            Self::Text(text) => text.parse().ok(),
            Self::Flag(_) => None,
        }
    }
}

/// Base64 of either alphabet, padded or not.
fn of_base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let is_url_safe = text.contains(['-', '_']);
    let alphabet = if is_url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message as _;

    use super::*;

    /// The one span of an export.
    fn span(members: &str) -> Span {
        let body = format!(r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{{{members}}}]}}]}}]}}"#);
        let bytes = to_protobuf(&TRACES, body.as_bytes()).unwrap();
        let export = ExportTraceServiceRequest::decode(&*bytes).unwrap();
        export.resource_spans[0].scope_spans[0].spans[0].clone()
    }

    /// The value of an attribute.
    fn value(json: &str) -> Option<Any> {
        let span = span(&format!(r#""attributes": [{{"key": "k", "value": {json}}}]"#));
        span.attributes[0].value.clone().and_then(|any| any.value)
    }

    fn problem(body: &str) -> String {
        to_protobuf(&TRACES, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn every_form_of_a_span_that_protobuf_has_in_json_is_read_as_it() {
        let usual = span(
            r#""traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "chat", "kind": 3, "flags": 257,
               "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000", "status": {"code": 2},
               "droppedEventsCount": 0, "links": [{"traceId": "5b", "spanId": "ee"}]"#,
        );
        let other = span(
            r#""trace_id": "5B8EFFF798038103D269B633813FC60C", "span_id": "EEE19B7EC3C1B174", "parentSpanId": null, "name": "chat",
               "kind": "SPAN_KIND_CLIENT", "flags": "257", "start_time_unix_nano": 1544712660000000000, "endTimeUnixNano": 1.544712661e18,
               "status": {"code": "STATUS_CODE_ERROR", "message": null}, "attributes": null, "events": [], "ofTomorrow": [{"x": 1}],
               "links": [{"traceId": "5b", "spanId": "ee", "flags": "?"}]"#,
        );
        assert_eq!(other, usual);
        assert_eq!(usual.start_time_unix_nano, 1_544_712_660_000_000_000);
        assert_eq!((usual.trace_id.len(), usual.status.unwrap().code, usual.links.len()), (16, 2, 1));
        assert_eq!(span(""), Span::default());
    }

    #[test]
    fn values_are_read_in_all_of_their_forms() {
        for (json, meant) in [
            (r#"{"stringValue": "a \"b\" \ud83d\ude00"}"#, Any::StringValue("a \"b\" \u{1f600}".to_owned())),
            (r#"{"string_value": ""}"#, Any::StringValue(String::new())),
            (r#"{"boolValue": false}"#, Any::BoolValue(false)),
            (r#"{"intValue": "-9223372036854775808"}"#, Any::IntValue(i64::MIN)),
            (r#"{"intValue": 7.0}"#, Any::IntValue(7)),
            (r#"{"intValue": "1e3"}"#, Any::IntValue(1_000)),
            (r#"{"doubleValue": "0.5"}"#, Any::DoubleValue(0.5)),
            (r#"{"doubleValue": 2}"#, Any::DoubleValue(2.0)),
            (r#"{"doubleValue": "-Infinity"}"#, Any::DoubleValue(f64::NEG_INFINITY)),
            (r#"{"bytesValue": "+/8="}"#, Any::BytesValue(vec![0xfb, 0xff])),
            (r#"{"bytesValue": "-_8"}"#, Any::BytesValue(vec![0xfb, 0xff])),
        ] {
            assert_eq!(value(json), Some(meant), "{json}");
        }
        assert!(matches!(value(r#"{"doubleValue": "NaN"}"#), Some(Any::DoubleValue(number)) if number.is_nan()));
        assert_eq!((value("{}"), value("null"), value(r#"{"stringValue": null}"#)), (None, None, None));
        let Some(Any::ArrayValue(list)) =
            value(r#"{"arrayValue": {"values": [{"kvlistValue": {"values": [{"key": "a"}]}}, {}]}}"#)
        else {
            panic!("no list")
        };
        assert_eq!(list.values.len(), 2);
    }

    #[test]
    fn a_message_of_any_length_is_framed_by_it() {
        for length in [0, 127, 128, 70_000] {
            let text = "x".repeat(length);
            assert_eq!(value(&format!(r#"{{"stringValue": "{text}"}}"#)), Some(Any::StringValue(text)));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_path() {
        let within = |members: &str| {
            problem(&format!(r#"{{"resourceSpans": [{{}}, {{"scopeSpans": [{{"spans": [{{}}, {{{members}}}]}}]}}]}}"#))
        };
        for (members, says) in [
            (
                r#""startTimeUnixNano": "soon""#,
                "startTimeUnixNano: expected a whole number from 0 to 18446744073709551615 at line",
            ),
            (
                r#""startTimeUnixNano": -1"#,
                "startTimeUnixNano: expected a whole number from 0 to 18446744073709551615 at line",
            ),
            (
                r#""start_time_unix_nano": 1.5"#,
                "startTimeUnixNano: expected a whole number from 0 to 18446744073709551615 at line",
            ),
            (r#""flags": 4294967296"#, "flags: expected a whole number from 0 to 4294967295 at line"),
            (r#""spanId": "xyz""#, "spanId: expected a string of hexadecimal digits, two for each byte at line"),
            (r#""name": 7"#, "name: expected a string at line"),
            (r#""kind": "CLIENT""#, "kind: expected a number or name of its enum at line"),
            (r#""status": []"#, "status: expected an object at line"),
            (r#""attributes": {}"#, "attributes: expected a list at line"),
            (r#""attributes": [{}, null]"#, "attributes[1]: expected an object at line"),
            (
                r#""attributes": [{"value": {"boolValue": "true"}}]"#,
                "attributes[0].value.boolValue: expected true or false at line",
            ),
            (
                r#""events": [{"attributes": [{"value": {"arrayValue": {"values": [{"bytesValue": "?"}]}}}]}]"#,
                "events[0].attributes[0].value.arrayValue.values[0].bytesValue: expected a string of base64 at line",
            ),
        ] {
            let problem = within(members);
            let expected = format!("resourceSpans[1].scopeSpans[0].spans[1].{says} 1 column ");
            assert!(problem.starts_with(&expected), "{problem}");
        }
        assert!(problem(r#"{"resourceSpans": 7}"#).starts_with("resourceSpans: expected a list at line"));
        assert!(problem(r#"{"resourceSpans": [[]]}"#).starts_with("resourceSpans[0]: expected an object at line"));
        for body in ["[]", "\"x\"", "7", "null"] {
            let problem = problem(body);
            assert!(problem.starts_with("The body: ") && problem.contains("expected an object"), "{problem}");
        }
        assert!(problem(r#"{"resourceSpans": ["#).starts_with("JSON parse error - EOF"));
        assert!(problem("{} {}").starts_with("JSON parse error - trailing characters"));
        assert_eq!(to_protobuf(&TRACES, br#"{"foo": 1}"#), Ok(Vec::new()));
    }
}
