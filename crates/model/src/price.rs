//! What models cost: rates, the book that holds them, and which of them prices a call (contract: ingest-v1 §5.5,
//! dashboard §3.5).
//!
//! Everything is counted in whole units, so that a cost is the same wherever and whenever it is worked out again.

pub mod list;
pub mod name;

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::limits::TEXT_CHARS;
use crate::refusal::{FieldErrors, Refusal, texts};
use crate::time::Timestamp;
use crate::usage::TokenCounts;
use crate::words::words;

/// What a token costs, in units of 0.0000000000001 (1e-13) US dollars: the cheapest price lists name 1e-9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PerToken(pub i64);

/// No price that a token may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrice {
    /// Not a decimal of zero or more.
    #[error("Not a number of US dollars, such as 2.5 or 2.5e-06.")]
    NotANumber,
    /// More than [`PerToken::MOST`].
    #[error("More than 1000 US dollars a token.")]
    TooMuch,
    /// Digits that no unit holds.
    #[error("More than 7 decimals; prices are kept to 0.0000001 US dollars per million tokens.")]
    TooFine,
}

impl PerToken {
    /// Decimals of a dollar that a unit is.
    const PLACES: i32 = 13;
    /// Decimals of a dollar per million tokens that a unit is.
    const PLACES_PER_MILLION: i32 = Self::PLACES - 6;
    /// The dearest token: a thousand dollars. A number past it is a mistake, and products of it stay within 128 bits.
    pub const MOST: Self = Self(10_000_000_000_000_000);

    /// Reads dollars per token, as price lists have them (`2.5e-06`); halves of a unit are rounded up.
    ///
    /// # Errors
    /// What is no price.
    pub fn from_list(text: &str) -> Result<Self, BadPrice> {
        read(text, Self::PLACES).map(|(price, _)| price)
    }

    /// Reads dollars per million tokens, as people have them (`2.5`).
    ///
    /// # Errors
    /// What is no price, and what would have to be rounded.
    pub fn per_million(text: &str) -> Result<Self, BadPrice> {
        let (price, is_exact) = read(text, Self::PLACES_PER_MILLION)?;
        if is_exact { Ok(price) } else { Err(BadPrice::TooFine) }
    }

    /// Dollars per token as a decimal with an exponent, as price lists have them.
    #[must_use]
    pub fn to_list(self) -> String {
        format!("{}e-{}", self.0, Self::PLACES)
    }
}

/// Units in a decimal text, and whether that was exact.
fn read(text: &str, places: i32) -> Result<(PerToken, bool), BadPrice> {
    let (units, is_exact) = decimal(text, places).ok_or(BadPrice::NotANumber)?;
    let units = i64::try_from(units).ok().map(PerToken).filter(|price| *price <= PerToken::MOST);
    Ok((units.ok_or(BadPrice::TooMuch)?, is_exact))
}

/// A decimal text, with or without an exponent, times ten to the power of `places`: rounded to a whole number, halves
/// up, and whether it was one. `None` for what is no decimal of zero or more.
pub(crate) fn decimal(text: &str, places: i32) -> Option<(i128, bool)> {
    /// Digits past these are past every unit.
    const DIGITS: usize = 36;
    let text = text.trim();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok().filter(|e| e.abs() < 1_000)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let cut = digits.get(..DIGITS).unwrap_or(digits);
    let dropped = digits.len() - cut.len();
    let number: i128 = if cut.is_empty() { 0 } else { cut.parse().ok()? };
    let shift = exponent + places - i32::try_from(fraction.len()).ok()? + i32::try_from(dropped).ok()?;
    let is_whole = digits.bytes().skip(DIGITS).all(|b| b == b'0');
    if number == 0 {
        return Some((0, true));
    }
    let Some(power) = 10_i128.checked_pow(shift.unsigned_abs()) else {
        // Larger than any number, or smaller than any unit.
        return Some(if shift > 0 { (i128::MAX, false) } else { (0, false) });
    };
    if shift >= 0 {
        return Some((number.checked_mul(power).unwrap_or(i128::MAX), is_whole));
    }
    let (quotient, rest) = (number / power, number % power);
    Some((quotient + i128::from(rest >= power - rest), is_whole && rest == 0))
}

/// Dollars per million tokens, as people have them.
impl fmt::Display for PerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNIT: i64 = 10_i64.pow(PerToken::PLACES_PER_MILLION.unsigned_abs());
        let fraction = format!("{:07}", self.0 % UNIT);
        match fraction.trim_end_matches('0') {
            "" => f.pad(&(self.0 / UNIT).to_string()),
            fraction => f.pad(&format!("{}.{fraction}", self.0 / UNIT)),
        }
    }
}

impl Serialize for PerToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PerToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::per_million(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What the five billable classes of tokens cost, in US dollars per million tokens on the wire. A class without a price
/// of its own: cache reads, cache writes and embedded text cost what the prompt costs, the prompt what embedded text
/// costs; output without a price cannot be priced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rate {
    /// Input without cache reads and writes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub prompt: Option<PerToken>,
    /// Output, reasoning included.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub completion: Option<PerToken>,
    /// Embedded text.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub embedding: Option<PerToken>,
    /// Input read from a cache.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub cache_read: Option<PerToken>,
    /// Input written to a cache.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub cache_write: Option<PerToken>,
}

impl Rate {
    /// Whether it names no price at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What these tokens cost, in units of 0.00000001 US dollars, halves rounded up. Reasoning and audio are parts of
    /// the other classes and are not priced again.
    ///
    /// `None` where tokens were used that have no price, or of which only the total is known.
    #[must_use]
    pub fn cost(&self, counts: &TokenCounts) -> Option<i64> {
        /// Units of a price in one of a cost.
        const UNITS: i128 = 100_000;
        let prompt = self.prompt.or(self.embedding);
        let classes = [
            (counts.prompt_tokens, prompt),
            (counts.completion_tokens, self.completion),
            (counts.embedding_tokens, self.embedding.or(self.prompt)),
            (counts.cache_read_tokens, self.cache_read.or(prompt)),
            (counts.cache_write_tokens, self.cache_write.or(prompt)),
        ];
        if counts.total_tokens > 0 && classes.iter().all(|(tokens, _)| *tokens == 0) {
            return None;
        }
        let mut sum = 0_i128;
        for (tokens, price) in classes {
            if tokens > 0 {
                sum = sum.checked_add(i128::from(tokens) * i128::from(price?.0))?;
            }
        }
        Some(i64::try_from((sum + UNITS / 2) / UNITS).unwrap_or(i64::MAX))
    }
}

words! {
    /// Where a price comes from.
    PriceSource {
        /// It came with the program, and an upgrade may renew it.
        Default = "default",
        /// An operator set or imported it.
        Operator = "operator",
    }
}

/// A price as the book holds it: what a model costs from some moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Price {
    /// The model's id in lower case; with `*` at its end, everything that begins with it.
    pub model: String,
    /// From when on it holds, until the next price of the same model.
    pub valid_from: Timestamp,
    /// US dollars per million tokens, as decimal texts; null where there is none.
    pub usd_per_million: Rate,
    /// `default` came with the program; `operator` was set or imported.
    pub source: PriceSource,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// A price to be written into the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPrice {
    /// In lower case; `*` at its end makes it a beginning.
    pub model: String,
    /// From when on.
    pub valid_from: Timestamp,
    /// At least one class has a price.
    pub rate: Rate,
}

/// The moment from which prices hold that name none: no usage is older.
pub const ALWAYS: Timestamp = Timestamp(0);

impl NewPrice {
    /// Checks a price.
    ///
    /// # Errors
    /// By field: `model` that is blank, too long or has `*` within; `price` where there is none at all.
    pub fn check(model: &str, valid_from: Timestamp, rate: Rate) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        let model = model_key(model);
        if let Err(why) = &model {
            errors.add("model", *why);
        }
        if rate.is_empty() {
            errors.add("price", "Give at least one of prompt, completion, embedding, cache_read and cache_write.");
        }
        errors.into_result()?;
        Ok(Self { model: model.unwrap_or_default(), valid_from, rate })
    }
}

/// A model as the book writes it.
///
/// # Errors
/// Why the book cannot hold it.
pub fn model_key(model: &str) -> Result<String, &'static str> {
    let model = model.trim().to_lowercase();
    let name = model.strip_suffix('*').unwrap_or(&model);
    if name.is_empty() {
        return Err(texts::NOT_BLANK);
    }
    if model.chars().count() > TEXT_CHARS {
        return Err("Ensure this field has no more than 255 characters.");
    }
    if name.contains('*') {
        return Err("An asterisk may only stand at the end.");
    }
    if name.chars().any(char::is_control) {
        return Err(texts::CONTROL);
    }
    Ok(model)
}

/// All prices, ready to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// By whole id; the latest price first.
    exact: HashMap<String, Vec<(Timestamp, Rate)>>,
    /// By beginning, without its asterisk.
    beginnings: HashMap<String, Vec<(Timestamp, Rate)>>,
}

impl FromIterator<(String, Timestamp, Rate)> for Book {
    fn from_iter<I: IntoIterator<Item = (String, Timestamp, Rate)>>(prices: I) -> Self {
        let mut book = Self::default();
        for (model, from, rate) in prices {
            let rates = match model.strip_suffix('*') {
                Some(beginning) => book.beginnings.entry(beginning.to_owned()).or_default(),
                None => book.exact.entry(model).or_default(),
            };
            rates.push((from, rate));
        }
        for rates in book.exact.values_mut().chain(book.beginnings.values_mut()) {
            rates.sort_by_key(|(from, _)| std::cmp::Reverse(*from));
        }
        book
    }
}

impl Book {
    /// The rate of a model at a moment, and under which name the book has it: its exact id in any of its spellings,
    /// else the longest beginning that is known. A fine-tuned model has that of its base where nothing else is known.
    #[must_use]
    pub fn find(&self, model: &str, at: Timestamp) -> Option<(String, &Rate)> {
        if self.exact.is_empty() && self.beginnings.is_empty() {
            return None;
        }
        let valid = |rates: &'_ Vec<(Timestamp, Rate)>| rates.iter().position(|(from, _)| *from <= at);
        let of = |map: &'_ HashMap<String, Vec<(Timestamp, Rate)>>, name: &str| map.get(name).and_then(valid);
        for spellings in name::spellings(model) {
            if let Some((name, at)) = spellings.iter().find_map(|name| Some((name, of(&self.exact, name)?))) {
                return self.exact.get(name)?.get(at).map(|(_, rate)| (name.clone(), rate));
            }
            let known = |name: &'_ String| {
                let beginning = name::beginnings(name).find_map(|part| Some((part.len(), of(&self.beginnings, part)?)));
                beginning.map(|(length, at)| (length, at, name.clone()))
            };
            // The first of those that are as long: the fullest spelling.
            let longest =
                spellings.iter().filter_map(known).reduce(|best, next| if next.0 > best.0 { next } else { best });
            if let Some((length, at, name)) = longest {
                let beginning = name.get(..length)?;
                return self.beginnings.get(beginning)?.get(at).map(|(_, rate)| (format!("{beginning}*"), rate));
            }
        }
        None
    }

    /// What tokens of a model cost at a moment, in units of 0.00000001 US dollars; `None` where that is not known.
    #[must_use]
    pub fn cost(&self, model: &str, counts: &TokenCounts, at: Timestamp) -> Option<i64> {
        self.find(model, at)?.1.cost(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(prompt: &str, completion: &str) -> Rate {
        let price = |text: &str| Some(PerToken::per_million(text).unwrap());
        Rate { prompt: price(prompt), completion: price(completion), ..Rate::default() }
    }

    fn book(prices: &[(&str, i64, Rate)]) -> Book {
        prices.iter().map(|(model, from, rate)| ((*model).to_owned(), Timestamp(*from), *rate)).collect()
    }

    #[test]
    fn prices_are_read_to_the_digit() {
        for (text, units) in [
            ("2.5e-06", 25_000_000),
            ("1E-7", 1_000_000),
            ("0.00000015", 1_500_000),
            ("1.0000000000000001e-07", 1_000_000),
            ("0", 0),
            ("0.0", 0),
            ("1e-13", 1),
            ("5e-14", 1),
            ("4.9e-14", 0),
            ("1e-400", 0),
            ("1000", 10_000_000_000_000_000),
            (".5e-6", 5_000_000),
        ] {
            assert_eq!(PerToken::from_list(text), Ok(PerToken(units)), "{text}");
        }
        for text in ["", "-1", "1e", "e5", ".", "1.2.3", "+1", "NaN", "inf", "1 2", "0x1", "1e99999999999", "٣"] {
            assert_eq!(PerToken::from_list(text), Err(BadPrice::NotANumber), "{text}");
        }
        for text in ["1000.1", "1e30", "1e300", &"9".repeat(400)] {
            assert_eq!(PerToken::from_list(text), Err(BadPrice::TooMuch), "{text}");
        }
    }

    #[test]
    fn a_price_per_million_is_said_as_it_was_given() {
        for text in ["2.5", "10", "0", "0.075", "0.0000001", "123456.7"] {
            assert_eq!(PerToken::per_million(text).unwrap().to_string(), text);
        }
        assert_eq!(PerToken::per_million("0.00000001"), Err(BadPrice::TooFine));
        assert_eq!(PerToken::from_list(&PerToken(2_187_500).to_list()), Ok(PerToken(2_187_500)));
    }

    #[test]
    fn a_cost_has_eight_places_and_halves_go_up() {
        let counts = |prompt, completion| TokenCounts {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt + completion,
            ..TokenCounts::default()
        };

        assert_eq!(rate("0.15", "0.6").cost(&counts(142, 58)), Some(5_610));
        assert_eq!(rate("3", "15").cost(&counts(360, 120)), Some(288_000));
        // 0.000000005 dollars, and less.
        assert_eq!(rate("0.005", "0").cost(&counts(1, 0)), Some(1));
        assert_eq!(rate("0.0049999", "0").cost(&counts(1, 0)), Some(0));
        assert_eq!(rate("1000000000", "0").cost(&counts(9_000_000_000_000_000, 1)), Some(i64::MAX));
    }

    #[test]
    fn every_class_has_its_price_and_parts_are_not_priced_again() {
        let price = |units: i64| Some(PerToken(units * 100_000));
        let whole = Rate {
            prompt: price(1),
            completion: price(10),
            embedding: price(100),
            cache_read: price(1_000),
            cache_write: price(10_000),
        };
        let counts = TokenCounts {
            prompt_tokens: 1,
            completion_tokens: 2,
            embedding_tokens: 3,
            cache_read_tokens: 4,
            cache_write_tokens: 5,
            reasoning_tokens: 1_000,
            audio_input_tokens: 1_000,
            audio_output_tokens: 1_000,
            total_tokens: 15,
        };

        assert_eq!(whole.cost(&counts), Some(54_321));
        let cached = Rate { cache_read: None, cache_write: None, ..whole };
        assert_eq!(cached.cost(&counts), Some(1 + 20 + 300 + 4 + 5));
    }

    #[test]
    fn what_has_no_price_makes_the_whole_unknown() {
        let embedding = Rate { embedding: Some(PerToken(100_000)), ..Rate::default() };
        let prompt = TokenCounts { prompt_tokens: 7, total_tokens: 7, ..TokenCounts::default() };
        let output = TokenCounts { completion_tokens: 7, total_tokens: 7, ..TokenCounts::default() };
        let total = TokenCounts { total_tokens: 7, ..TokenCounts::default() };

        // Instrumentations report what was embedded as input.
        assert_eq!(embedding.cost(&prompt), Some(7));
        assert_eq!(embedding.cost(&output), None);
        assert_eq!(embedding.cost(&total), None);
        assert_eq!(embedding.cost(&TokenCounts::default()), Some(0));
    }

    #[test]
    fn the_price_is_the_one_of_the_time() {
        let book = book(&[("m", 10, rate("2", "2")), ("m", 0, rate("1", "1")), ("m*", 5, rate("9", "9"))]);
        let prompt = |at| book.find("m", Timestamp(at)).map(|(name, rate)| (name, rate.prompt.unwrap().to_string()));

        assert_eq!(prompt(-1), None);
        assert_eq!(prompt(0), Some(("m".to_owned(), "1".to_owned())));
        assert_eq!(prompt(9), Some(("m".to_owned(), "1".to_owned())));
        assert_eq!(prompt(10), Some(("m".to_owned(), "2".to_owned())));
    }

    #[test]
    fn the_exact_id_wins_then_the_longest_beginning() {
        let one = rate("1", "1");
        let book = book(&[
            ("gpt-4o", 0, one),
            ("gpt-4o-2024-05-13", 0, one),
            ("gpt-4o*", 0, one),
            ("gpt-4o-audio*", 0, one),
            ("gpt-4*", 0, one),
            ("azure/gpt-4o", 0, one),
            ("ft:gpt-4o-mini", 0, one),
            ("o1*", 0, one),
        ]);
        for (model, found) in [
            ("gpt-4o", Some("gpt-4o")),
            ("GPT-4o-2024-05-13", Some("gpt-4o-2024-05-13")),
            ("openai/gpt-4o-2024-11-20", Some("gpt-4o")),
            ("azure/gpt-4o", Some("azure/gpt-4o")),
            ("gpt-4o-audio-preview", Some("gpt-4o-audio*")),
            ("gpt-4o-realtime", Some("gpt-4o*")),
            ("gpt-4omni", None),
            ("gpt-4.1", None),
            ("gpt-4-turbo", Some("gpt-4*")),
            ("ft:gpt-4o-mini-2024-07-18:org::id", Some("ft:gpt-4o-mini")),
            ("ft:gpt-4o-2024-11-20:org::id", Some("gpt-4o")),
            ("o1", Some("o1*")),
            ("o11", None),
            ("", None),
        ] {
            let name = book.find(model, Timestamp(1)).map(|(name, _)| name);
            assert_eq!(name.as_deref(), found, "{model}");
        }
    }

    #[test]
    fn a_price_without_a_model_or_a_price_is_refused_by_field() {
        let refused = |model: &str, rate| match NewPrice::check(model, ALWAYS, rate) {
            Err(Refusal::Fields(errors)) => serde_json::to_string(&errors).unwrap(),
            other => panic!("{other:?}"),
        };

        assert_eq!(
            refused(" * ", Rate::default()),
            r#"{"model":["This field may not be blank."],"price":["Give at least one of prompt, completion, embedding, cache_read and cache_write."]}"#
        );
        assert_eq!(refused("a*b", rate("1", "1")), r#"{"model":["An asterisk may only stand at the end."]}"#);
        assert_eq!(NewPrice::check(" GPT-4o* ", ALWAYS, rate("1", "1")).unwrap().model, "gpt-4o*");
    }
}
