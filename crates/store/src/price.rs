//! The book of prices: one for the whole installation, which its operator edits (contract: ingest-v1 §5.5).
//!
//! Whoever prices usage reads the book's mark in the same transaction and keeps it from changing until the commit
//! ([`book`]); whoever edits prices changes the mark last. So an edit waits for the writes that price with the book as
//! it was, every write after it prices with the new one, on whichever node, and all that has to be restated
//! (`restating.rs`) is there when the edit is committed. Locks are taken in one order: `repricing`, `price_book`, usage.
//!
//! The defaults that come with the program are rows too, so that all nodes price alike while some of them are older.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use agentsight_model::price::list::PriceList;
use agentsight_model::price::{ALWAYS, Book, NewPrice, PerToken, Price, PriceSource, Rate};
use agentsight_model::time::Timestamp;

use crate::Store;
use crate::engine::{Reader, Row, Table, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::paging::{self, Extent, Found};

static PRICES: Table = Table {
    name: "prices",
    columns: &[
        "model",
        "valid_from",
        "prompt",
        "completion",
        "embedding",
        "cache_read",
        "cache_write",
        "source",
        "updated_at",
    ],
    on_conflict:
        "on conflict (model, valid_from) do update set prompt = excluded.prompt, completion = excluded.completion,
        embedding = excluded.embedding, cache_read = excluded.cache_read, cache_write = excluded.cache_write,
        source = excluded.source, updated_at = excluded.updated_at",
};

/// The prices that come with the program (contract: dashboard §3.5), in the form of a price list.
const DEFAULTS: &str = include_str!("price/defaults.json");
/// Raised whenever the file changes, so that a store renews what it has of an earlier one.
const DEFAULTS_VERSION: i64 = 1;

/// The shipped prices as read. A test reads them, so that no start meets a file that it cannot read.
static SHIPPED: LazyLock<Vec<NewPrice>> =
    LazyLock::new(|| PriceList::read(DEFAULTS, ALWAYS).map(|list| list.prices).unwrap_or_default());

/// A default that nobody wants: no upgrade brings it back.
const REMOVED: &str = "removed";

/// Where a row of the book comes from, [`REMOVED`] included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Of(PriceSource),
    Removed,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Of(source) => source.as_str(),
            Self::Removed => REMOVED,
        }
    }
}

/// What a change of the book came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookChange {
    /// Prices that were not there.
    pub added: u64,
    /// Prices that were there otherwise.
    pub changed: u64,
    /// Prices that are gone.
    pub removed: u64,
    /// Prices that were there just so.
    pub unchanged: u64,
}

impl BookChange {
    fn is_empty(self) -> bool {
        self.added + self.changed + self.removed == 0
    }
}

impl Store {
    /// Prices of the book, by model and then by time.
    ///
    /// # Errors
    /// [`Missing::Page`], a store that cannot be read.
    pub async fn list_prices(&self, extent: Extent) -> Result<Found<Price>> {
        const COUNT: &str = "select count(*) from prices where source <> 'removed'";
        let read = move |reader: &Reader<'_>| {
            let total = || {
                let rows = reader.one(COUNT, &[], |row| row.int(0))?;
                Ok(rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0))
            };
            paging::page(extent, total, |offset, limit| prices(reader, paging::bounds(offset, limit)))
        };
        self.engine.read(read).await
    }

    /// The whole book, in the same order.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn all_prices(&self) -> Result<Vec<Price>> {
        self.engine.read(|reader| prices(reader, [i64::MAX, 0])).await
    }

    /// The price that a call of a model at a moment is priced with: under which name the book has it, and the rate.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn find_price(&self, model: String, at: Timestamp) -> Result<Option<(String, Rate)>> {
        let read = move |reader: &Reader<'_>| {
            let mark = reader.one("select mark from price_book where id = 1", &[], |row| row.int(0))?.unwrap_or(0);
            Ok(book_of(reader, mark)?.find(&model, at).map(|(name, rate)| (name, *rate)))
        };
        self.engine.read(read).await
    }

    /// Sets prices as the operator's, all or none; what was there for the same models and moments is replaced. Stored
    /// usage is restated afterwards.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn set_prices(&self, prices: Vec<NewPrice>) -> Result<BookChange> {
        let now = self.clock().now();
        self.edit(prices.len(), move |tx, known| {
            let mut change = BookChange::default();
            for new in &prices {
                let is = (new.rate, Origin::Of(PriceSource::Operator));
                match known.get(&(new.model.clone(), new.valid_from)) {
                    Some(was) if *was == is => {
                        change.unchanged += 1;
                        continue;
                    }
                    Some((_, Origin::Of(_))) => change.changed += 1,
                    Some((_, Origin::Removed)) | None => change.added += 1,
                }
                write(tx, new, is.1, now)?;
            }
            Ok(change)
        })
        .await
    }

    /// Takes a model's price off the book: the one that holds from a moment, or all. A default that was removed stays
    /// away, through upgrades too.
    ///
    /// # Errors
    /// [`Missing::Row`] where there is none.
    pub async fn remove_prices(&self, model: String, valid_from: Option<Timestamp>) -> Result<BookChange> {
        const REMOVE: &str = "delete from prices where model = ?1 and valid_from = ?2";
        let now = self.clock().now();
        self.edit(1, move |tx, known| {
            let mut change = BookChange::default();
            for ((name, from), (rate, origin)) in known {
                let is_meant = *name == model && valid_from.is_none_or(|at| at == *from);
                if !is_meant || *origin == Origin::Removed {
                    continue;
                }
                change.removed += 1;
                if SHIPPED.iter().any(|shipped| shipped.model == *name && shipped.valid_from == *from) {
                    let gone = NewPrice { model: name.clone(), valid_from: *from, rate: *rate };
                    write(tx, &gone, Origin::Removed, now)?;
                } else {
                    tx.execute(REMOVE, params![name, *from])?;
                }
            }
            if change.is_empty() { Err(Error::NotFound(Missing::Row)) } else { Ok(change) }
        })
        .await
    }

    /// Brings the defaults of an earlier version of the program up to date, and leaves alone what an operator set or
    /// removed. A store that has defaults of a later version keeps them.
    ///
    /// # Errors
    /// When the store can be neither read nor written.
    pub async fn renew_default_prices(&self) -> Result<BookChange> {
        const STORED: &str = "select defaults from price_book where id = 1";
        const REMOVE: &str = "delete from prices where model = ?1 and valid_from = ?2 and source = 'default'";
        let is_old = |reader: &Reader<'_>| {
            Ok(reader.one(STORED, &[], |row| row.int(0))?.is_none_or(|version| version < DEFAULTS_VERSION))
        };
        if !self.engine.read_now(is_old).await? {
            return Ok(BookChange::default());
        }
        let now = self.clock().now();
        self.edit(SHIPPED.len(), move |tx, known| {
            let mut change = BookChange::default();
            // Another node may have been quicker.
            if !is_old(tx)? {
                return Ok(change);
            }
            let default = Origin::Of(PriceSource::Default);
            for new in SHIPPED.iter() {
                match known.get(&(new.model.clone(), new.valid_from)) {
                    Some((rate, origin)) if *origin != default || *rate == new.rate => {
                        change.unchanged += 1;
                        continue;
                    }
                    Some(_) => change.changed += 1,
                    None => change.added += 1,
                }
                write(tx, new, default, now)?;
            }
            for ((model, from), (_, origin)) in known {
                let is_shipped = SHIPPED.iter().any(|new| new.model == *model && new.valid_from == *from);
                if *origin == default && !is_shipped {
                    tx.execute(REMOVE, params![model, *from])?;
                    change.removed += 1;
                }
            }
            tx.execute("update price_book set defaults = ?1 where id = 1", params![DEFAULTS_VERSION])?;
            Ok(change)
        })
        .await
    }

    /// Changes the book in one transaction. Where anything changed, it has another mark then, and stored usage is to be
    /// gone through from its beginning.
    async fn edit(
        &self,
        prices: usize,
        edit: impl Fn(&Tx<'_>, &Known) -> Result<BookChange> + Send + 'static,
    ) -> Result<BookChange> {
        /// What a price weighs in the queue.
        const PRICE_BYTES: usize = 256;
        let mut fresh = [0; 8];
        getrandom::fill(&mut fresh).map_err(|e| Error::Engine(e.to_string().into()))?;
        // Never one that a book had before: not even one that was undone.
        let mark = i64::from_le_bytes(fresh);
        let write = move |tx: &Tx<'_>| {
            tx.lock("select id from repricing where id = 1", &[])?;
            let known = known(tx)?;
            let change = edit(tx, &known)?;
            if !change.is_empty() {
                crate::restating::begin_anew(tx)?;
                tx.execute("update price_book set mark = ?1 where id = 1", params![mark])?;
                tx.ahead().forget_book();
            }
            Ok(change)
        };
        self.engine.write(PRICE_BYTES * (1 + prices), write).await
    }
}

fn prices(reader: &Reader<'_>, [limit, offset]: [i64; 2]) -> Result<Vec<Price>> {
    const ALL: &str =
        "select model, valid_from, prompt, completion, embedding, cache_read, cache_write, source, updated_at
        from prices where source <> 'removed' order by model, valid_from limit ?1 offset ?2";
    reader.all(ALL, params![limit, offset], |row| {
        Ok(Price {
            model: row.string(0)?,
            valid_from: row.timestamp(1)?,
            usd_per_million: rate(row, 2)?,
            source: row.parsed(7)?,
            updated_at: row.timestamp(8)?,
        })
    })
}

/// Every row of the book by its key, what was removed included.
type Known = HashMap<(String, Timestamp), (Rate, Origin)>;

fn known(reader: &Reader<'_>) -> Result<Known> {
    const ALL: &str =
        "select model, valid_from, prompt, completion, embedding, cache_read, cache_write, source from prices";
    let mut known = Known::new();
    reader.each(ALL, &[], |row| {
        let origin = if row.text(7)? == REMOVED { Origin::Removed } else { Origin::Of(row.parsed(7)?) };
        known.insert((row.string(0)?, row.timestamp(1)?), (rate(row, 2)?, origin));
        Ok(())
    })?;
    Ok(known)
}

fn write(tx: &Tx<'_>, price: &NewPrice, origin: Origin, now: Timestamp) -> Result<()> {
    let NewPrice { model, valid_from, rate } = price;
    let units = |price: Option<PerToken>| price.map(|price| price.0);
    tx.insert(
        &PRICES,
        params![
            model,
            *valid_from,
            units(rate.prompt),
            units(rate.completion),
            units(rate.embedding),
            units(rate.cache_read),
            units(rate.cache_write),
            origin.as_str(),
            now,
        ],
    )
}

fn rate(row: &Row<'_>, first: usize) -> Result<Rate> {
    let price = |column| row.opt_int(column).map(|units| units.map(PerToken));
    Ok(Rate {
        prompt: price(first)?,
        completion: price(first + 1)?,
        embedding: price(first + 2)?,
        cache_read: price(first + 3)?,
        cache_write: price(first + 4)?,
    })
}

/// The mark of the book, which nobody changes until the commit.
pub(crate) fn mark(tx: &Tx<'_>) -> Result<i64> {
    let mark = tx.one(&tx.kept_as_it_is("select mark from price_book where id = 1"), &[], |row| row.int(0))?;
    Ok(mark.unwrap_or(0))
}

/// The book to price with in this transaction: asked for once in it, and read where it is another than the last.
pub(crate) fn book(tx: &Tx<'_>) -> Result<Arc<Book>> {
    if let Some(book) = tx.ahead().book() {
        return Ok(book);
    }
    let book = book_of(tx, mark(tx)?)?;
    tx.ahead().keep_book(Arc::clone(&book));
    Ok(book)
}

/// The book that has this mark, which the reader sees now. A mark belongs to one book for ever.
pub(crate) fn book_of(reader: &Reader<'_>, mark: i64) -> Result<Arc<Book>> {
    const ALL: &str = "select model, valid_from, prompt, completion, embedding, cache_read, cache_write from prices
        where source <> 'removed'";
    thread_local! {
        static LAST: RefCell<Option<(i64, Arc<Book>)>> = const { RefCell::new(None) };
    }
    let last = LAST.with_borrow(|last| last.as_ref().filter(|(of, _)| *of == mark).map(|(_, book)| Arc::clone(book)));
    if let Some(book) = last {
        return Ok(book);
    }
    let prices = reader.all(ALL, &[], |row| Ok((row.string(0)?, row.timestamp(1)?, rate(row, 2)?)))?;
    let book: Arc<Book> = Arc::new(prices.into_iter().collect());
    LAST.set(Some((mark, Arc::clone(&book))));
    Ok(book)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_shipped_prices_can_be_read_and_have_the_version_that_they_say() {
        let list = PriceList::read(DEFAULTS, ALWAYS).unwrap();
        let book: Book = list.prices.iter().map(|new| (new.model.clone(), new.valid_from, new.rate)).collect();
        let shown = |model: &str| {
            let (name, rate) = book.find(model, ALWAYS).unwrap();
            [name, rate.prompt.unwrap().to_string(), rate.completion.unwrap().to_string()]
        };

        assert_eq!((list.without_price + list.other_kinds, list.prices.len()), (0, 22));
        assert_eq!(shown("gpt-4.1-mini-2025-04-14"), ["gpt-4.1-mini*", "0.4", "1.6"]);
        assert_eq!(shown("us.anthropic.claude-sonnet-4-5-20250929-v1:0"), ["claude-sonnet-4-5*", "3", "15"]);
        // Whoever changes the file raises `DEFAULTS_VERSION`, and then this.
        assert_eq!(
            (DEFAULTS_VERSION, hex::encode(Sha256::digest(DEFAULTS)).as_str()),
            (1, "bd34b769ffc483ae7f3cec99feb0a00894803333a8b355f0242644704eda85ff")
        );
    }
}
