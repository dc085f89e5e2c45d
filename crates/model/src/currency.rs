//! What a US dollar is in other currencies, day by day (contract: reading §10.2).

use std::collections::BTreeMap;

use crate::price::decimal;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Units of a currency per US dollar, times 10¹².
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerDollar(i64);

/// Decimals of a rate.
const PLACES: i32 = 12;

impl PerDollar {
    /// An amount of dollars in the currency: both in units of 0.00000001, the amount to be summed up and then rounded
    /// by [`rounded`].
    #[must_use]
    pub fn convert(self, units: i64) -> i128 {
        i128::from(units) * i128::from(self.0)
    }
}

/// A sum of converted amounts, in units of 0.00000001; halves go up.
#[must_use]
pub fn rounded(sum: i128) -> i64 {
    let power = 10_i128.pow(PLACES.unsigned_abs());
    i64::try_from((sum + power / 2).div_euclid(power)).unwrap_or(i64::MAX)
}

/// Rates of the euro by day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EuroRates(BTreeMap<i64, PerDollar>);

impl EuroRates {
    /// Reads a file of one of two forms, in any order of the days:
    ///
    /// - `date,currency,rate`, where the rate is units of the currency per US dollar (`2026-03-02,EUR,0.8523`). Other
    ///   currencies than the euro are checked and left alone.
    /// - The history of the European Central Bank, unpacked: `Date,USD,JPY,…`, units of each currency per euro.
    ///
    /// # Errors
    /// `line N` with what is wrong there, for the first that is: a second rate of a day too.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let mut lines = (1_usize..).zip(text.trim_start_matches('\u{feff}').lines());
        let head: Vec<String> =
            lines.next().map_or("", |(_, line)| line).split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        let column = |name: &str| head.iter().position(|column| column == name);
        let (Some(date), usd) = (column("date"), column("usd")) else {
            return Err(Refusal::field(
                "line 1",
                "Expected date,currency,rate, or the header of the European Central Bank.",
            ));
        };
        let own = column("currency").zip(column("rate"));
        if own.is_none() && usd.is_none() {
            return Err(Refusal::field("line 1", "There is no column currency with a rate, and no column USD."));
        }
        let mut days = BTreeMap::new();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why: &'static str| Refusal::field(format!("line {number}"), why);
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let field = |column: usize| fields.get(column).copied().unwrap_or_default();
            let day = day(field(date)).ok_or_else(|| wrong("Not a date such as 2026-03-02."))?;
            let (text, is_euro, is_inverse) = match (own, usd) {
                (Some((currency, rate)), _) => (field(rate), field(currency).eq_ignore_ascii_case("EUR"), false),
                (None, Some(usd)) => (field(usd), true, true),
                (None, None) => continue,
            };
            // As the bank writes a day without a rate.
            if is_inverse && matches!(text, "" | "N/A") {
                continue;
            }
            let rate = if is_inverse { inverse(text) } else { plain(text) };
            let rate = rate.ok_or_else(|| wrong("Not a rate of more than 0 and less than 1000000."))?;
            if is_euro && days.insert(day, rate).is_some_and(|other| other != rate) {
                return Err(wrong("Another rate of this day stands before."));
            }
        }
        Ok(Self(days))
    }

    /// The rate of a day, counted from 1970: that of the last day before it that has one, for markets rest.
    #[must_use]
    pub fn on(&self, day: i64) -> Option<PerDollar> {
        self.0.range(..=day).next_back().map(|(_, rate)| *rate)
    }

    /// How many days have a rate, and the last of them.
    #[must_use]
    pub fn extent(&self) -> (usize, Option<String>) {
        let last = self.0.last_key_value().map(|(day, _)| Timestamp(day.saturating_mul(Timestamp::DAY)).date());
        (self.0.len(), last)
    }
}

/// The day of a date, counted from 1970.
fn day(text: &str) -> Option<i64> {
    let at: Timestamp = text.parse().ok().filter(|_| text.len() == "2026-03-02".len())?;
    Some(at.0.div_euclid(Timestamp::DAY))
}

/// What no rate reaches, so that products stay small.
const TOO_MUCH: i128 = 1_000_000;

fn plain(text: &str) -> Option<PerDollar> {
    let (rate, _) = decimal(text, PLACES)?;
    let bound = TOO_MUCH * 10_i128.pow(PLACES.unsigned_abs());
    i64::try_from(rate).ok().filter(|_| rate > 0 && rate < bound).map(PerDollar)
}

/// Units per dollar from dollars per unit.
fn inverse(text: &str) -> Option<PerDollar> {
    let PerDollar(dollars) = plain(text)?;
    let dollars = i128::from(dollars);
    let one = 10_i128.pow(2 * PLACES.unsigned_abs());
    i64::try_from((one + dollars / 2) / dollars).ok().filter(|rate| *rate > 0).map(PerDollar)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(rates: &EuroRates, date: &str) -> Option<i64> {
        rates.on(day(date).unwrap()).map(|rate| rounded(rate.convert(100_000_000)))
    }

    #[test]
    fn both_forms_are_read_and_a_day_without_a_rate_has_the_last() {
        let own =
            EuroRates::read("date,currency,rate\n2026-03-02,EUR,0.85\n2026-03-02,HUF,330\r\n2026-02-27,eur,0.8\n\n")
                .unwrap();
        let bank =
            EuroRates::read("\u{feff}Date,USD,JPY,\n2026-03-02,1.25,171.1,\n2026-03-01,N/A,170,\n2026-02-27,1.1,,\n")
                .unwrap();

        assert_eq!(
            [on(&own, "2026-02-26"), on(&own, "2026-03-01"), on(&own, "2030-01-01")],
            [None, Some(80_000_000), Some(85_000_000)]
        );
        assert_eq!([on(&bank, "2026-03-01"), on(&bank, "2026-03-02")], [Some(90_909_091), Some(80_000_000)]);
        assert_eq!(own.extent(), (2, Some("2026-03-02".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (text, line, why) in [
            ("", "line 1", "Expected date"),
            ("date,rate\n", "line 1", "There is no column"),
            ("date,currency,rate\n2026-03-02,EUR,0.8\n02.03.2026,EUR,0.8", "line 3", "Not a date"),
            ("date,currency,rate\n2026-03-02,EUR,0", "line 2", "Not a rate"),
            ("date,currency,rate\n2026-03-02,EUR,-1", "line 2", "Not a rate"),
            ("date,currency,rate\n2026-03-02,EUR", "line 2", "Not a rate"),
            (
                "date,currency,rate\n2026-03-02,EUR,0.8\n2026-03-02,HUF,300\n2026-03-02,EUR,0.9",
                "line 4",
                "Another rate",
            ),
            ("Date,USD\n2026-03-02,1.1\n2026-03-02,1.1\n2026-03-02,1.2", "line 4", "Another rate"),
            ("Date,USD\n2026-03-02,1e300", "line 2", "Not a rate"),
            ("Date,USD\n2026-03-02,1e-12", "line 2", "Not a rate"),
        ] {
            let Err(Refusal::Fields(errors)) = EuroRates::read(text) else { panic!("{text}") };
            let said = serde_json::to_string(&errors).unwrap();
            assert!(said.starts_with(&format!("{{\"{line}\":[\"{why}")), "{text}: {said}");
        }
    }
}
