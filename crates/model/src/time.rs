//! Instants: UTC microseconds inside, ISO 8601 on the wire.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in microseconds since 1970-01-01T00:00:00Z.
///
/// Written as `2026-08-17T10:32:33.305953Z`, without the fraction when it is zero. Read leniently
/// (contract: README §6): any offset, none meaning UTC, a date alone meaning midnight, a space for
/// the `T` or for a `+` that a query string turned into one, digits beyond microseconds cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = DateTime))]
pub struct Timestamp(pub i64);

/// The text is no date-time that this product reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 date-time")]
pub struct BadTimestamp;

impl Timestamp {
    /// Microseconds in a second.
    pub const SECOND: i64 = 1_000_000;
    /// Microseconds in a minute.
    pub const MINUTE: i64 = 60 * Self::SECOND;
    /// Microseconds in a day.
    pub const DAY: i64 = 24 * 60 * Self::MINUTE;

    /// This instant moved by a number of microseconds; stays at the end of the range when it would leave it.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Its day in UTC: `2026-08-17`.
    #[must_use]
    pub fn date(self) -> String {
        let text = self.to_string();
        text.split('T').next().unwrap_or(&text).to_owned()
    }
}

impl From<SystemTime> for Timestamp {
    /// Cut to microseconds; stays at the end of the range when it would leave it.
    fn from(at: SystemTime) -> Self {
        let micros = |length: Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(micros(since)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Written::of(*self).as_str())
    }
}

/// A timestamp's text, without a piece of heap: a conversation has dozens of them.
struct Written {
    text: [u8; Self::LONGEST],
    length: usize,
}

impl Written {
    /// `-009999-01-02T01:59:59.999999Z`, the longest that there is.
    const LONGEST: usize = 30;
    /// What stands for an instant that no calendar of ours reaches.
    const LAST: &str = "9999-12-31T23:59:59Z";

    fn of(at: Timestamp) -> Self {
        const WHOLE: DateTimePrinter = DateTimePrinter::new();
        const FRACTION: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        let mut written = Self { text: [0; Self::LONGEST], length: 0 };
        let printer = if at.0 % Timestamp::SECOND == 0 { WHOLE } else { FRACTION };
        let printed =
            jiff::Timestamp::from_microsecond(at.0).is_ok_and(|at| printer.print_timestamp(&at, &mut written).is_ok());
        if !printed {
            written.length = 0;
            // It fits.
            let _ = jiff::fmt::Write::write_str(&mut written, Self::LAST);
        }
        written
    }

    fn as_str(&self) -> &str {
        self.text.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or(Self::LAST)
    }
}

impl jiff::fmt::Write for Written {
    fn write_str(&mut self, text: &str) -> Result<(), jiff::Error> {
        let room = self.text.get_mut(self.length..self.length + text.len());
        let room = room.ok_or_else(|| jiff::Error::from_args(format_args!("a timestamp of more characters")))?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let text = text.trim();
        // A real date-time has at most 9 fraction digits and an offset; anything longer is not one.
        const LONGEST: usize = 64;
        if text.len() > LONGEST {
            return Err(BadTimestamp);
        }
        // `2026-03-02T09:15:00 00:00`: the plus sign of an offset that was not percent-encoded.
        let restored = match text.rfind(' ') {
            Some(at) if at > 10 => {
                Some(format!("{}+{}", text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or("")))
            }
            _ => None,
        };
        let text = restored.as_deref().unwrap_or(text);
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(at.as_microsecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| BadTimestamp)?;
        let at = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| BadTimestamp)?.timestamp();
        Ok(Self(at.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The machinery of `Display` would cost as much as the digits.
        serializer.serialize_str(Written::of(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where the present comes from: the system's clock, or a hand that a test moves.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `at` until it is moved.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at.0))))
    }

    /// Moves a fixed clock forward; the system's clock cannot be moved and stays as it is.
    pub fn advance_micros(&self, micros: i64) {
        if let Some(hand) = &self.0 {
            hand.fetch_add(micros, Ordering::SeqCst);
        }
    }

    /// The present.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(hand) => Timestamp(hand.load(Ordering::SeqCst)),
            None => Timestamp(jiff::Timestamp::now().as_microsecond()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<Timestamp>().unwrap().to_string()
    }

    #[test]
    fn every_documented_spelling_is_read() {
        for (given, meant) in [
            ("2026-03-02T09:15:00.123456+00:00", "2026-03-02T09:15:00.123456Z"),
            ("2026-03-02T10:15:00+01:00", "2026-03-02T09:15:00Z"),
            ("2026-03-02T09:15:00", "2026-03-02T09:15:00Z"),
            ("2026-03-02T09:15:00z", "2026-03-02T09:15:00Z"),
            ("2026-03-02 09:15:00.5", "2026-03-02T09:15:00.500000Z"),
            ("2026-03-02 09:15", "2026-03-02T09:15:00Z"),
            ("2026-03-02", "2026-03-02T00:00:00Z"),
            ("2026-03-02T09:15:00.123456789Z", "2026-03-02T09:15:00.123456Z"),
            ("2026-03-02T09:15:00 00:00", "2026-03-02T09:15:00Z"),
            ("2026-03-02 10:15:00 01:00", "2026-03-02T09:15:00Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(read(given), meant, "{given}");
        }
    }

    #[test]
    fn the_ends_of_the_calendar_are_written() {
        for (given, written) in [
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "9999-12-31T23:59:59Z"),
            (jiff::Timestamp::MIN.as_microsecond() + 1, "-009999-01-02T01:59:59.000001Z"),
            (jiff::Timestamp::MAX.as_second() * Timestamp::SECOND, "9999-12-30T22:00:00Z"),
        ] {
            assert_eq!(Timestamp(given).to_string(), written);
            assert_eq!(serde_json::to_value(Timestamp(given)).unwrap(), written);
        }
    }

    #[test]
    fn the_systems_time_is_cut_to_microseconds() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(Timestamp::from(epoch + Duration::from_nanos(1_500)), Timestamp(1));
        assert_eq!(Timestamp::from(epoch - Duration::from_secs(1)), Timestamp(-Timestamp::SECOND));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "yesterday", "2026-13-01", "2026-03-02T25:00:00Z", "12", &"9".repeat(200)] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
