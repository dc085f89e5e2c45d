//! Query parameters of `GET /api/conversations/` as meant (contract: reading §2.5).

use std::net::IpAddr;

use crate::agent::normalise_slug;
use crate::body::parse_bool;
use crate::feedback::{FeedbackSource, Sentiment};
use crate::limits::FILTER_TERMS;
use crate::metadata::MetadataTerm;
use crate::refusal::{FieldErrors, Refusal};
use crate::time::Timestamp;
use crate::track::parse_address;

/// Which conversations are wanted; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationFilter {
    /// The sender's name, exact.
    pub conversation_id: Option<String>,
    /// Exact.
    pub customer_id: Option<String>,
    /// Substring, case ignored.
    pub customer_id_contains: Option<String>,
    /// The same address, however it is spelled.
    pub customer_ip_address: Option<IpAddr>,
    /// Substring, case ignored.
    pub name: Option<String>,
    /// Exact, ASCII case ignored.
    pub device: Option<String>,
    /// Exact, ASCII case ignored.
    pub language: Option<String>,
    /// Slugs that must hold all at once; more than one different matches nothing.
    pub environments: Vec<String>,
    /// On the list of favourites, or not.
    pub is_marked: Option<bool>,
    /// Those in the trash too.
    pub include_deleted: bool,
    /// Only those that have a ticket, and with their tickets.
    pub include_tickets: bool,
    /// At least one message, or none.
    pub has_messages: Option<bool>,
    /// At least one action log, or none.
    pub has_action: Option<bool>,
    /// Substring of the name of an action that ran in it, case ignored.
    pub action_name: Option<String>,
    /// At least one feedback or vote, or none.
    pub has_feedback: Option<bool>,
    /// Of one feedback, which must have the source too where both are given.
    pub feedback_sentiment: Option<Sentiment>,
    /// Of one feedback.
    pub feedback_source: Option<FeedbackSource>,
    /// Substring of a message, case ignored.
    pub message_contains: Option<String>,
    /// Each word must occur in the name, an id or a message.
    pub search: Vec<String>,
    /// Each must hold.
    pub metadata: Vec<MetadataTerm>,
    /// Inclusive.
    pub started_at_after: Option<Timestamp>,
    /// Inclusive.
    pub started_at_before: Option<Timestamp>,
    /// Sort keys in order; newest first when empty. The id is always the last.
    pub ordering: Vec<Order>,
}

/// One key of an ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// Largest first.
    pub descending: bool,
}

/// `ordering` of a list whose sort keys are columns of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortKeys(Vec<(&'static str, bool)>);

impl SortKeys {
    /// Reads the parameter; what is no sort key is ignored.
    pub(crate) fn read(query: &Query, known: &'static [&'static str]) -> Self {
        let keys = query.get("ordering").unwrap_or_default().split(',').map(str::trim).filter_map(|key| {
            let (name, descending) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
            known.iter().find(|known| **known == name).map(|name| (*name, descending))
        });
        Self(keys.take(known.len()).collect())
    }

    /// The keys in order, each with whether it falls; the newest first where none is given. The id is always among
    /// them, so that pages do not overlap.
    #[must_use]
    pub fn or_newest(&self, newest: &'static str) -> Vec<(&'static str, bool)> {
        self.or((newest, true))
    }

    /// The same with another order where none is given.
    #[must_use]
    pub fn or(&self, usual: (&'static str, bool)) -> Vec<(&'static str, bool)> {
        let mut keys = self.0.clone();
        if keys.is_empty() {
            keys.push(usual);
        }
        if !keys.iter().any(|(key, _)| *key == "id") {
            let falls = keys.first().is_some_and(|(_, falls)| *falls);
            keys.push(("id", falls));
        }
        keys
    }
}

/// What a list of conversations can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub enum OrderBy {
    StartedAt,
    EndedAt,
    Id,
    CustomerId,
    IsMarked,
    Language,
}

impl OrderBy {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartedAt => "started_at",
            Self::EndedAt => "ended_at",
            Self::Id => "id",
            Self::CustomerId => "customer_id",
            Self::IsMarked => "is_marked",
            Self::Language => "language",
        }
    }
}

/// Every parameter that the list reads; any other is named in a `Warning`.
pub const CONVERSATION_PARAMETERS: [&str; 30] = [
    "conversation_id",
    "customer_id",
    "customer_id__icontains",
    "customer_ip_address",
    "name",
    "device",
    "language",
    "environment",
    "env",
    "is_marked",
    "include_deleted",
    "include_tickets",
    "has_messages",
    "has_action",
    "action_name",
    "has_feedback",
    "feedback_sentiment",
    "feedback_source",
    "message_contains",
    "search",
    "metadata",
    "metadata_key",
    "metadata_value",
    "started_at_after",
    "started_at_before",
    "page",
    "page_size",
    "ordering",
    "full",
    "paginate",
];

/// Query parameters by name; the last of several counts.
#[derive(Clone, Debug, Default)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// The value of a parameter, empty included.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// Parameters that are not among `known`, each once.
    #[must_use]
    pub fn unknown(&self, known: &[&str]) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.0.iter().map(|(key, _)| key.as_str()).filter(|key| !known.contains(key)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn flag(&self, name: &'static str, errors: &mut FieldErrors) -> Option<bool> {
        let value = self.get(name)?;
        let read = parse_bool(value);
        if read.is_none() {
            errors.add(name, "Enter true or false.");
        }
        read
    }

    /// A date-time; what is none is added to the errors.
    pub fn timestamp(&self, name: &'static str, errors: &mut FieldErrors) -> Option<Timestamp> {
        let value = self.get(name)?;
        let read = value.parse().ok();
        if read.is_none() {
            errors.add(name, "Enter a valid date/time.");
        }
        read
    }

    pub(crate) fn choice<T: std::str::FromStr>(&self, name: &'static str, errors: &mut FieldErrors) -> Option<T> {
        let value = self.get(name)?;
        let read = value.parse().ok();
        if read.is_none() {
            errors.add(name, not_available(value));
        }
        read
    }

    /// A word of a closed list, or several where the parameter is repeated.
    pub(crate) fn choices<T: std::str::FromStr + PartialEq>(
        &self,
        name: &'static str,
        errors: &mut FieldErrors,
    ) -> Vec<T> {
        let mut choices = Vec::new();
        for (_, value) in self.0.iter().filter(|(key, value)| key == name && !value.is_empty()) {
            match value.parse() {
                Ok(choice) if choices.contains(&choice) => {}
                Ok(choice) => choices.push(choice),
                Err(_) => errors.add(name, not_available(value)),
            }
        }
        choices
    }

    /// The integer of a row; anything else is refused.
    pub(crate) fn key(&self, name: &'static str, errors: &mut FieldErrors) -> Option<i64> {
        let value = self.get(name)?;
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            errors.add(name, "Enter a whole number.");
        }
        // More digits than any key has: a key that no row bears.
        digits.then(|| value.parse().unwrap_or(i64::MAX))
    }

    /// One of a fixed set of words.
    pub(crate) fn word(&self, name: &'static str, words: &[&str], errors: &mut FieldErrors) -> Option<String> {
        let value = self.get(name)?;
        if !words.contains(&value) {
            errors.add(name, not_available(value));
        }
        Some(value.to_owned())
    }

    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }
}

/// `Select a valid choice. meh is not one of the available choices.`, with a long value cut.
#[must_use]
pub fn not_available(given: &str) -> String {
    format!(
        "Select a valid choice. {} is not one of the available choices.",
        given.chars().take(100).collect::<String>()
    )
}

/// The words of `search`.
pub(crate) fn words_of(query: &Query, errors: &mut FieldErrors) -> Vec<String> {
    let words: Vec<String> =
        query.get("search").map(|text| text.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
    if words.len() > FILTER_TERMS {
        errors.add("search", format!("Use at most {FILTER_TERMS} words."));
    }
    words
}

/// `true` or `false` of a parameter that takes a fixed set of words, an empty value being none of them.
///
/// # Errors
/// 400 naming the parameter.
pub fn strict_flag(query: &Query, name: &'static str) -> Result<bool, Refusal> {
    match query.raw(name) {
        None => Ok(false),
        Some(value) => parse_bool(value)
            .ok_or_else(|| Refusal::field(name, "Must be one of: 1, true, yes, on, 0, false, no, off.")),
    }
}

impl ConversationFilter {
    /// Reads the parameters. Those of the page and of the row's shape are not this filter's.
    ///
    /// # Errors
    /// Every parameter whose value cannot be read. Slugs are checked against the agent's by the store.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        let address = query.get("customer_ip_address").and_then(|text| {
            let read = parse_address(text);
            if read.is_none() {
                errors.add("customer_ip_address", "Enter a valid IPv4 or IPv6 address.");
            }
            read
        });
        let metadata = match query.get("metadata").map_or(Ok(Vec::new()), MetadataTerm::parse_list) {
            Ok(terms) if terms.len() > FILTER_TERMS => {
                errors.add("metadata", format!("Use at most {FILTER_TERMS} pairs."));
                Vec::new()
            }
            Ok(mut terms) => {
                if let (Some(key), Some(value)) = (query.get("metadata_key"), query.raw("metadata_value")) {
                    terms.push(MetadataTerm::new(key, value));
                }
                terms
            }
            Err(message) => {
                errors.add("metadata", message);
                Vec::new()
            }
        };
        let search = words_of(query, &mut errors);
        let filter = Self {
            conversation_id: query.owned("conversation_id"),
            customer_id: query.owned("customer_id"),
            customer_id_contains: query.owned("customer_id__icontains"),
            customer_ip_address: address,
            name: query.owned("name"),
            device: query.owned("device"),
            language: query.owned("language"),
            environments: ["environment", "env"].iter().filter_map(|name| normalise_slug(query.get(name)?)).collect(),
            is_marked: query.flag("is_marked", &mut errors),
            include_deleted: query.flag("include_deleted", &mut errors).unwrap_or(false),
            include_tickets: false,
            has_messages: query.flag("has_messages", &mut errors),
            has_action: query.flag("has_action", &mut errors),
            action_name: query.owned("action_name"),
            has_feedback: query.flag("has_feedback", &mut errors),
            feedback_sentiment: query.choice("feedback_sentiment", &mut errors),
            feedback_source: query.choice("feedback_source", &mut errors),
            message_contains: query.owned("message_contains"),
            search,
            metadata,
            started_at_after: query.timestamp("started_at_after", &mut errors),
            started_at_before: query.timestamp("started_at_before", &mut errors),
            ordering: query.get("ordering").map(Order::parse_list).unwrap_or_default(),
        };
        errors.into_result()?;
        Ok(Self { include_tickets: strict_flag(query, "include_tickets")?, ..filter })
    }
}

impl Order {
    /// A comma-separated list; what is no sort key is ignored.
    fn parse_list(text: &str) -> Vec<Self> {
        let keys = text.split(',').map(str::trim).filter_map(|key| {
            let (name, descending) = key.strip_prefix('-').map_or((key, false), |name| (name, true));
            let by = match name {
                "started_at" => OrderBy::StartedAt,
                "ended_at" => OrderBy::EndedAt,
                "id" => OrderBy::Id,
                "customer_id" => OrderBy::CustomerId,
                "is_marked" => OrderBy::IsMarked,
                "language" => OrderBy::Language,
                _ => return None,
            };
            Some(Self { by, descending })
        });
        // More keys than there are columns say nothing new.
        keys.take(6).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn values_are_read_as_the_sdks_write_them() {
        let filter = ConversationFilter::read(&query(&[
            ("is_marked", "True"),
            ("env", "PROD"),
            ("started_at_after", "2026-03-02T09:15:00.123456"),
            ("name", ""),
        ]))
        .unwrap();
        assert_eq!(filter.is_marked, Some(true));
        assert_eq!(filter.environments, ["production"]);
        assert_eq!(filter.started_at_after.unwrap().to_string(), "2026-03-02T09:15:00.123456Z");
        assert_eq!(filter.name, None);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_refused_by_its_name() {
        let given = [
            ("is_marked", "perhaps"),
            ("started_at_after", "soon"),
            ("feedback_sentiment", "meh"),
            ("customer_ip_address", "x"),
            ("metadata", "plan"),
        ];
        let Err(Refusal::Fields(errors)) = ConversationFilter::read(&query(&given)) else { panic!("taken") };
        assert_eq!(
            serde_json::to_string(&errors).unwrap(),
            r#"{"customer_ip_address":["Enter a valid IPv4 or IPv6 address."],"metadata":["Use key:value pairs, separated by commas."],"is_marked":["Enter true or false."],"feedback_sentiment":["Select a valid choice. meh is not one of the available choices."],"started_at_after":["Enter a valid date/time."]}"#
        );
        assert!(ConversationFilter::read(&query(&[("include_tickets", "")])).is_err());
    }

    #[test]
    fn more_terms_than_an_engine_takes_are_refused() {
        let many = |one: &str, glue: &str| vec![one; FILTER_TERMS + 1].join(glue);
        assert!(ConversationFilter::read(&query(&[("search", &many("a", " "))])).is_err());
        assert!(ConversationFilter::read(&query(&[("metadata", &many("a:1", ","))])).is_err());
        let most = vec!["a"; FILTER_TERMS].join(" ");
        assert!(ConversationFilter::read(&query(&[("search", &most)])).is_ok());
    }

    #[test]
    fn unknown_sort_keys_are_ignored() {
        let filter = ConversationFilter::read(&query(&[("ordering", "-ended_at,colour, id")])).unwrap();
        assert_eq!(
            filter.ordering,
            [Order { by: OrderBy::EndedAt, descending: true }, Order { by: OrderBy::Id, descending: false }]
        );
    }
}
