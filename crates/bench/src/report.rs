//! The Markdown report: goals first, then what they were taken from.

use std::fmt::Write;

use crate::stats::Spread;

/// Grows while the parts run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    goals: Vec<Goal>,
    body: String,
    has_failures: bool,
}

/// A figure that was promised.
#[derive(Debug)]
struct Goal {
    what: String,
    value: String,
    bound: String,
    met: bool,
}

/// A bound that a figure is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

/// How a figure is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Percent,
    Times,
    Milliseconds,
    Mebibytes,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{:.0} %", value * 100.0),
            Self::Times => format!("{value:.1}×"),
            Self::Milliseconds => format!("{value:.0} ms"),
            Self::Mebibytes => format!("{value:.0} MiB"),
        }
    }
}

impl Bound {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::Below(bound) => value < bound,
        }
    }

    fn show(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", unit.show(bound)),
            Self::AtMost(bound) => format!("≤ {}", unit.show(bound)),
            Self::Below(bound) => format!("< {}", unit.show(bound)),
        }
    }
}

impl Report {
    /// Starts a part.
    pub(crate) fn section(&mut self, title: &str) {
        eprintln!("{title}");
        let _infallible = write!(self.body, "\n## {title}\n");
    }

    /// Adds a paragraph.
    pub(crate) fn say(&mut self, text: &str) {
        let _infallible = write!(self.body, "\n{text}\n");
    }

    /// Adds what must not be: a part that could not be measured, an answer that is wrong.
    pub(crate) fn fail(&mut self, text: &str) {
        eprintln!("{text}");
        self.has_failures = true;
        self.say(&format!("**{text}**"));
    }

    /// Whether [`Self::fail`] was called. A missed target is not a failure.
    pub(crate) fn has_failures(&self) -> bool {
        self.has_failures
    }

    /// Adds a table; the first column is text, the others are figures.
    pub(crate) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let ruler = header.iter().enumerate().map(|(column, _)| if column == 0 { "---" } else { "---:" });
        let _infallible =
            write!(self.body, "\n| {} |\n| {} |\n", header.join(" | "), ruler.collect::<Vec<_>>().join(" | "));
        for row in rows {
            let _infallible = writeln!(self.body, "| {} |", row.join(" | "));
        }
    }

    /// Holds a figure against its bound; gives both as text for a table's cell.
    pub(crate) fn goal(&mut self, what: &str, value: f64, bound: Bound, unit: Unit) -> String {
        let met = bound.is_met(value);
        let goal = Goal { what: what.to_owned(), value: unit.show(value), bound: bound.show(unit), met };
        let cell = format!("{} {}", goal.bound, verdict(met));
        self.goals.push(goal);
        cell
    }

    /// The whole report.
    pub(crate) fn render(&self, machine: &[String], method: &str) -> String {
        let mut out = String::from("# Benchmark\n\n");
        for line in machine {
            let _infallible = writeln!(out, "- {line}");
        }
        let _infallible = write!(out, "\n{method}\n");
        if !self.goals.is_empty() {
            out.push_str("\n## Targets\n\n| figure | measured | target | |\n| --- | ---: | ---: | --- |\n");
            for Goal { what, value, bound, met } in &self.goals {
                let _infallible = writeln!(out, "| {what} | {value} | {bound} | {} |", verdict(*met));
            }
        }
        out + &self.body
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// `median (min–max)` with as many decimals as the size of the figure deserves.
pub(crate) fn spread(spread: Spread) -> String {
    let digits = decimals(spread.median);
    show(spread, "", |value| format!("{value:.digits$}"))
}

/// The same as a share of something else.
pub(crate) fn percent(spread: Spread) -> String {
    show(spread, " %", |value| format!("{:.0}", value * 100.0))
}

/// The same as a multiple of something else.
pub(crate) fn times(spread: Spread) -> String {
    show(spread, "×", |value| format!("{value:.2}"))
}

/// The median with its unit, and the ends where there was more than one run.
fn show(Spread { median, min, max }: Spread, unit: &str, number: impl Fn(f64) -> String) -> String {
    let middle = format!("{}{unit}", number(median));
    if min == max { middle } else { format!("{middle} ({}–{})", number(min), number(max)) }
}

fn decimals(value: f64) -> usize {
    match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    }
}

/// Bytes as MiB.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_goals_before_tables() {
        let mut report = Report::default();
        report.section("Fetch");
        let cell = report.goal("by id", 0.41, Bound::AtLeast(0.35), Unit::Percent);
        assert_eq!(cell, "≥ 35 % met");
        report.goal("p99", 3.5, Bound::AtMost(3.0), Unit::Times);
        report.table(&["read", "rate"], &[vec!["by id".into(), spread(Spread { median: 1234.5, min: 9.0, max: 2e3 })]]);
        let text = report.render(&["2 cores".into()], "Medians.");
        assert_eq!(
            text,
            "# Benchmark\n\n- 2 cores\n\nMedians.\n\n## Targets\n\n\
             | figure | measured | target | |\n| --- | ---: | ---: | --- |\n\
             | by id | 41 % | ≥ 35 % | met |\n| p99 | 3.5× | ≤ 3.0× | **missed** |\n\
             \n## Fetch\n\n| read | rate |\n| --- | ---: |\n| by id | 1234 (9–2000) |\n"
        );
    }
}
