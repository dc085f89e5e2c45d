//! Price lists in the form that LiteLLM made usual: an object by model, US dollars per token.
//!
//! `{"gpt-4o": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "mode": "chat", …}, …}`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{NewPrice, PerToken, Price, Rate, model_key};
use crate::body::Body;
use crate::limits::PRICE_LIST_ENTRIES;
use crate::refusal::{FieldErrors, Refusal};
use crate::time::Timestamp;

/// What a price list holds for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList {
    /// Sorted by model, each once.
    pub prices: Vec<NewPrice>,
    /// Entries that say nothing of what a token costs.
    pub without_price: usize,
    /// Entries of kinds of models whose calls are not counted in tokens alone: images, speech, rankings.
    pub other_kinds: usize,
}

/// The entry that explains the others.
const SAMPLE: &str = "sample_spec";
/// Names that stand for each other and are followed at most.
const MOST_ALIASES: usize = 8;
/// Which of two prices counts is not for us to say.
const TWICE: &str = "Given twice, with different prices.";
/// Kinds of models whose calls are counted in tokens.
const MODES: [&str; 4] = ["chat", "completion", "responses", "embedding"];

#[derive(Deserialize)]
struct Entry<'t> {
    #[serde(borrow)]
    input_cost_per_token: Option<&'t RawValue>,
    #[serde(borrow)]
    output_cost_per_token: Option<&'t RawValue>,
    #[serde(borrow)]
    cache_read_input_token_cost: Option<&'t RawValue>,
    #[serde(borrow)]
    cache_creation_input_token_cost: Option<&'t RawValue>,
    #[serde(borrow)]
    mode: Option<&'t RawValue>,
    /// The entry that this one is another name of.
    #[serde(borrow)]
    alias_of: Option<&'t RawValue>,
}

/// What becomes of an entry.
enum Priced {
    At(Rate),
    Nothing,
    OtherKind,
}

impl PriceList {
    /// Reads a list; its prices hold from `valid_from` on. What it says beside prices is left alone. Prices are read
    /// digit by digit, as numbers or texts, and rounded to 1e-13 dollars.
    ///
    /// # Errors
    /// `file` for what is no such list, has nothing in it or too many entries; a model that is priced twice; an entry's field
    /// by `model.field`. Nothing is taken then.
    pub fn read(text: &str, valid_from: Timestamp) -> Result<Self, Refusal> {
        let body = Body::parse(text.trim_start_matches('\u{feff}').as_bytes())
            .map_err(|error| Refusal::field("file", format!("Not a JSON object by model: {error}.")))?;
        let mut errors = FieldErrors::default();
        let mut entries: BTreeMap<&str, &RawValue> = BTreeMap::new();
        for (model, raw) in body.members() {
            if entries.insert(model, raw).is_some_and(|other| other.get() != raw.get()) {
                errors.add(model.to_owned(), TWICE);
            }
        }
        if entries.is_empty() {
            return Err(Refusal::field("file", "There are no entries in it."));
        }
        if entries.len() > PRICE_LIST_ENTRIES {
            return Err(Refusal::field("file", format!("More than {PRICE_LIST_ENTRIES} entries.")));
        }
        let mut prices: BTreeMap<String, Rate> = BTreeMap::new();
        let (mut without_price, mut other_kinds) = (0, 0);
        for (model, raw) in entries.iter().filter(|(model, _)| **model != SAMPLE) {
            let Ok(entry) = serde_json::from_str::<Entry<'_>>(raw.get()) else {
                errors.add((*model).to_owned(), "Not an object.");
                continue;
            };
            let priced = rate(model, &meant(&entries, entry), &mut errors);
            match (model_key(model), priced) {
                // The book knows no case.
                (Ok(key), Priced::At(rate)) => {
                    if prices.insert(key, rate).is_some_and(|other| other != rate) {
                        errors.add((*model).to_owned(), TWICE);
                    }
                }
                (Err(why), Priced::At(_)) => errors.add((*model).to_owned(), why),
                (_, Priced::Nothing) => without_price += 1,
                (_, Priced::OtherKind) => other_kinds += 1,
            }
        }
        errors.into_result()?;
        let prices = prices.into_iter().map(|(model, rate)| NewPrice { model, valid_from, rate });
        Ok(Self { prices: prices.collect(), without_price, other_kinds })
    }

    /// Writes prices as such a list.
    #[must_use]
    pub fn write<'p>(prices: impl IntoIterator<Item = &'p Price>) -> String {
        let entry = |price: &Price| {
            let rate = &price.usd_per_million;
            let is_embedding = rate.embedding.is_some() && rate.completion.is_none();
            let mut fields = Vec::new();
            let mut add = |name: &str, price: Option<PerToken>| {
                if let Some(price) = price {
                    fields.push(format!("\"{name}\": {}", price.to_list()));
                }
            };
            add("input_cost_per_token", if is_embedding { rate.embedding } else { rate.prompt.or(rate.embedding) });
            add("output_cost_per_token", rate.completion);
            add("cache_read_input_token_cost", rate.cache_read);
            add("cache_creation_input_token_cost", rate.cache_write);
            fields.push(format!("\"mode\": \"{}\"", if is_embedding { "embedding" } else { "chat" }));
            format!("  {}: {{{}}}", serde_json::Value::from(price.model.as_str()), fields.join(", "))
        };
        let entries: Vec<String> = prices.into_iter().map(entry).collect();
        format!("{{\n{}\n}}\n", entries.join(",\n"))
    }
}

/// The entry that one is another name of; itself where it is none, or where there is none of that name.
fn meant<'t>(entries: &BTreeMap<&str, &'t RawValue>, mut entry: Entry<'t>) -> Entry<'t> {
    let other = |entry: &Entry<'t>| {
        let name: String = serde_json::from_str(entry.alias_of?.get()).ok()?;
        serde_json::from_str(entries.get(name.as_str())?.get()).ok()
    };
    for _ in 0..MOST_ALIASES {
        match other(&entry) {
            Some(next) => entry = next,
            None => break,
        }
    }
    entry
}

/// What the tokens of an entry's model cost.
fn rate(model: &str, entry: &Entry<'_>, errors: &mut FieldErrors) -> Priced {
    let mode = entry.mode.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    if mode.as_deref().is_some_and(|mode| !MODES.contains(&mode)) {
        return Priced::OtherKind;
    }
    let mut price = |field: &str, raw: Option<&RawValue>| {
        let text = raw.map(RawValue::get).filter(|text| *text != "null")?;
        match PerToken::from_list(text.trim_matches('"')) {
            Ok(price) => Some(price),
            Err(why) => {
                errors.add(format!("{model}.{field}"), why.to_string());
                None
            }
        }
    };
    let input = price("input_cost_per_token", entry.input_cost_per_token);
    let output = price("output_cost_per_token", entry.output_cost_per_token);
    let cache_read = price("cache_read_input_token_cost", entry.cache_read_input_token_cost);
    let cache_write = price("cache_creation_input_token_cost", entry.cache_creation_input_token_cost);
    let rate = match mode.as_deref() {
        Some("embedding") => Rate { embedding: input, cache_read, cache_write, ..Rate::default() },
        _ => Rate { prompt: input, completion: output, embedding: None, cache_read, cache_write },
    };
    if rate.is_empty() { Priced::Nothing } else { Priced::At(rate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{ALWAYS, PriceSource};

    #[test]
    fn a_list_is_read_and_what_has_no_price_is_counted() {
        let list = PriceList::read(
            r#"{
                "sample_spec": {"input_cost_per_token": 0.0, "mode": "one of: chat, embedding"},
                "GPT-4o": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06,
                    "cache_creation_input_token_cost": null, "litellm_provider": "openai", "mode": "chat", "max_tokens": 16384},
                "text-embedding-3-small": {"input_cost_per_token": "2e-08", "output_cost_per_token": 0.0, "mode": "embedding"},
                "dall-e-3": {"input_cost_per_image": 0.04, "mode": "image_generation"},
                "rerank": {"input_cost_per_token": 0.0, "mode": "rerank"},
                "nothing": {"max_tokens": 1}
            }"#,
            ALWAYS,
        )
        .unwrap();

        let shown: Vec<String> = list
            .prices
            .iter()
            .map(|price| format!("{} {}", price.model, serde_json::to_string(&price.rate).unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                r#"gpt-4o {"prompt":"2.5","completion":"10","embedding":null,"cache_read":"1.25","cache_write":null}"#,
                r#"text-embedding-3-small {"prompt":null,"completion":null,"embedding":"0.02","cache_read":null,"cache_write":null}"#,
            ]
        );
        assert_eq!((list.without_price, list.other_kinds), (1, 2));
    }

    #[test]
    fn another_name_of_an_entry_costs_the_same() {
        let list = PriceList::read(
            r#"{"sonnet-latest": {"alias_of": "sonnet"}, "sonnet": {"alias_of": "sonnet-4"}, "lost": {"alias_of": "nothing"},
                "sonnet-4": {"input_cost_per_token": 3e-06, "mode": "chat"}, "round": {"alias_of": "round"}}"#,
            ALWAYS,
        )
        .unwrap();

        let shown: Vec<_> =
            list.prices.iter().map(|price| (price.model.as_str(), price.rate.prompt.unwrap().to_string())).collect();
        assert_eq!(shown, ["sonnet", "sonnet-4", "sonnet-latest"].map(|model| (model, "3".to_owned())));
        assert_eq!(list.without_price, 2);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_nothing_is_taken() {
        let refused = |text: &str| match PriceList::read(text, ALWAYS) {
            Err(Refusal::Fields(errors)) => serde_json::to_string(&errors).unwrap(),
            other => panic!("{other:?}"),
        };

        assert!(refused("[]").starts_with(r#"{"file":["Not a JSON object by model: "#));
        for empty in ["", "{}", "\u{feff}"] {
            assert_eq!(refused(empty), r#"{"file":["There are no entries in it."]}"#);
        }
        for twice in ["m", "M"] {
            let price = |model: &str, price: u8| format!(r#""{model}": {{"input_cost_per_token": {price}e-6}}"#);
            let list = |second: u8| format!("{{{}, {}}}", price("m", 1), price(twice, second));
            assert_eq!(refused(&list(2)), r#"{"m":["Given twice, with different prices."]}"#);
            assert_eq!(PriceList::read(&list(1), ALWAYS).unwrap().prices.len(), 1);
        }
        assert_eq!(
            refused(
                r#"{"ok": {"input_cost_per_token": 1e-6}, "m": 1, "n": {"input_cost_per_token": -1}, "a*b": {"input_cost_per_token": 1}}"#
            ),
            r#"{"a*b":["An asterisk may only stand at the end."],"m":["Not an object."],"n.input_cost_per_token":["Not a number of US dollars, such as 2.5 or 2.5e-06."]}"#
        );
    }

    #[test]
    fn a_list_that_was_written_is_read_as_it_was() {
        let text = r#"{"b": {"input_cost_per_token": 1.5e-07, "mode": "embedding"}, "c*": {"output_cost_per_token": 3e-6, "cache_read_input_token_cost": 1e-13}}"#;
        let list = PriceList::read(text, ALWAYS).unwrap();
        let prices: Vec<Price> = list
            .prices
            .iter()
            .map(|new| Price {
                model: new.model.clone(),
                valid_from: new.valid_from,
                usd_per_million: new.rate,
                source: PriceSource::Operator,
                updated_at: ALWAYS,
            })
            .collect();

        assert_eq!(PriceList::read(&PriceList::write(&prices), ALWAYS).unwrap(), list);
    }
}
