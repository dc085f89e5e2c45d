//! Pages of lists: conditions with their parameters, the rows of a page, how many there are in all.

use std::collections::HashMap;

use agentsight_model::filter::SortKeys;
use agentsight_model::ids::AgentId;
use agentsight_model::limits::UNPAGED_ROWS;
use agentsight_model::page::{Page, PageNumber};
use agentsight_model::refusal::Refusal;
use agentsight_model::time::Timestamp;

use crate::conversation::count;
use crate::counters;
use crate::engine::{Param, Reader};
use crate::error::{Error, Missing, Result};

/// The rows of a page, and how many there are over all pages.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// Rows over all pages.
    pub count: u64,
    /// 1-based.
    pub page: u32,
    /// The rows.
    pub rows: Vec<T>,
}

/// How much of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One page.
    Page(Page),
    /// Every row (`paginate=false`), refused past [`UNPAGED_ROWS`].
    Everything,
}

/// The `where` of a list, with its parameters: everything that is added must hold.
#[derive(Default)]
pub(crate) struct Conditions {
    /// Begins with ` and ` where there is any; the agent's own stands before it, as `?1`.
    pub(crate) text: String,
    params: Vec<Owned>,
    /// Nothing can match.
    pub(crate) impossible: bool,
    /// Only the trash decides: the count is known.
    pub(crate) plain: bool,
}

/// A parameter that owns its value.
pub(crate) enum Owned {
    Int(i64),
    Text(String),
    Ints(Vec<i64>),
}

impl Conditions {
    pub(crate) fn none() -> Self {
        Self { plain: true, ..Self::default() }
    }

    /// Adds a condition, in which each `{}` stands for the next parameter.
    pub(crate) fn add(&mut self, condition: &str, params: impl IntoIterator<Item = Owned>) {
        let mut text = condition.to_owned();
        for param in params {
            self.params.push(param);
            // Parameters are numbered as they come; the agent is the first.
            text = text.replacen("{}", &format!("?{}", self.params.len() + 1), 1);
        }
        self.text.push_str(" and ");
        self.text.push_str(&text);
        self.plain = false;
    }

    /// Keeps the rows with these ids alone.
    pub(crate) fn only(&mut self, column: &str, ids: Vec<i64>) {
        self.impossible |= ids.is_empty();
        self.add(&format!("{column} in (select value from rarray({{}}))"), [Owned::Ints(ids)]);
    }

    /// Keeps what lies between two times, both included.
    pub(crate) fn between(&mut self, column: &str, after: Option<Timestamp>, before: Option<Timestamp>) {
        for (bound, at) in [(">=", after), ("<=", before)] {
            if let Some(at) = at {
                self.add(&format!("{column} {bound} {{}}"), [Owned::Int(at.0)]);
            }
        }
    }

    /// The number of the first parameter after these.
    pub(crate) fn next(&self) -> usize {
        self.params.len() + 2
    }

    /// The agent, these, and more.
    pub(crate) fn params<'a>(&'a self, agent: AgentId, more: &[i64]) -> Vec<Param<'a>> {
        let own = self.params.iter().map(|param| match param {
            Owned::Int(n) => Param::Int(*n),
            Owned::Text(text) => Param::Text(text),
            Owned::Ints(list) => Param::Ints(list),
        });
        std::iter::once(agent.into()).chain(own).chain(more.iter().map(|n| Param::Int(*n))).collect()
    }
}

/// A list whose rows have ids, and by what the ids of a page are found.
pub(crate) struct Listing {
    /// The table with its alias, and what it is joined to.
    pub(crate) from: &'static str,
    /// The alias.
    pub(crate) alias: &'static str,
    /// The agent's total of all rows, where one is kept.
    pub(crate) total: Option<&'static str>,
}

impl Listing {
    /// Rows that match: known from the total, or counted.
    pub(crate) fn count(&self, reader: &Reader<'_>, agent: AgentId, conditions: &Conditions) -> Result<u64> {
        match self.total {
            _ if conditions.impossible => Ok(0),
            Some(total) if conditions.plain => counters::get(reader, agent, total),
            _ => {
                let (from, alias) = (self.from, self.alias);
                let sql = format!("select count(*) from {from} where {alias}.agent_id = ?1{}", conditions.text);
                Ok(reader.one(&sql, &conditions.params(agent, &[]), |row| row.int(0))?.map_or(0, count))
            }
        }
    }

    /// Ids of the matching rows from `offset` on, in order, at most `limit`.
    pub(crate) fn ids(
        &self,
        reader: &Reader<'_>,
        agent: AgentId,
        conditions: &Conditions,
        order: &str,
        [limit, offset]: [i64; 2],
    ) -> Result<Vec<i64>> {
        if conditions.impossible {
            return Ok(Vec::new());
        }
        let (from, alias, next) = (self.from, self.alias, conditions.next());
        let sql = format!(
            "select {alias}.id from {from} where {alias}.agent_id = ?1{} order by {order} limit ?{next} offset ?{}",
            conditions.text,
            next + 1
        );
        reader.all(&sql, &conditions.params(agent, &[limit, offset]), |row| row.int(0))
    }

    /// The ids of a page.
    pub(crate) fn page(
        &self,
        reader: &Reader<'_>,
        agent: AgentId,
        conditions: &Conditions,
        order: &str,
        extent: Extent,
    ) -> Result<Found<i64>> {
        page(
            extent,
            || self.count(reader, agent, conditions),
            |offset, limit| self.ids(reader, agent, conditions, order, bounds(offset, limit)),
        )
    }
}

/// Rows in the order of their ids.
pub(crate) fn in_order<T>(ids: &[i64], rows: Vec<T>, id: impl Fn(&T) -> i64) -> Vec<T> {
    let mut rows: HashMap<i64, T> = rows.into_iter().map(|row| (id(&row), row)).collect();
    ids.iter().filter_map(|id| rows.remove(id)).collect()
}

/// The `order by` of a list, without the words.
///
/// `column` says what a sort key is ordered by.
pub(crate) fn order_by(keys: &SortKeys, newest: &'static str, column: impl Fn(&str) -> String) -> String {
    sorted(&keys.or_newest(newest), column)
}

/// The same for sort keys that are complete.
pub(crate) fn sorted(keys: &[(&'static str, bool)], column: impl Fn(&str) -> String) -> String {
    let parts: Vec<String> =
        keys.iter().map(|(key, falls)| format!("{} {}", column(key), if *falls { "desc" } else { "asc" })).collect();
    parts.join(", ")
}

/// `limit` and `offset` as parameters.
pub(crate) fn bounds(offset: u64, limit: u64) -> [i64; 2] {
    [i64::try_from(limit).unwrap_or(i64::MAX), i64::try_from(offset).unwrap_or(i64::MAX)]
}

/// The rows of a page, from `rows(offset, limit)`, which answers them in order; `total` counts all of them, where that
/// is not known from the page.
pub(crate) fn page<T>(
    extent: Extent,
    total: impl Fn() -> Result<u64>,
    rows: impl Fn(u64, u64) -> Result<Vec<T>>,
) -> Result<Found<T>> {
    let (count, page, rows) = match extent {
        Extent::Everything => {
            let count = total()?;
            if count > UNPAGED_ROWS {
                let text = format!("{count} rows match; at most {UNPAGED_ROWS} are answered without pages.");
                return Err(Refusal::field("paginate", text).into());
            }
            (count, 1, rows(0, UNPAGED_ROWS)?)
        }
        Extent::Page(page) if page.number == PageNumber::At(1) => {
            let rows = rows(0, page.size.into())?;
            // A first page that is not full is all there is.
            let seen = rows.len() as u64;
            (if seen < u64::from(page.size) { seen } else { total()? }, 1, rows)
        }
        Extent::Page(page) => {
            let count = total()?;
            let (number, offset) = page.resolve(count).map_err(|_| Error::NotFound(Missing::Page))?;
            (count, number, rows(offset, page.size.into())?)
        }
    };
    Ok(Found { count, page, rows })
}
