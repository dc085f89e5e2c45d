//! History restated: after a change of the book, the cost of every stored row of usage is worked out again (contract:
//! ingest-v1 §5.5).
//!
//! Rows are gone through in the order of their key, so many at a time: read in one snapshot, and then those whose cost
//! changes are written in one transaction together with how far that came. So whoever goes on, after a restart or on
//! another node, goes on there.
//!
//! A row is changed only where it still says what was read. Whoever changed it meanwhile did so after the edit, and has
//! priced it with the new book; see `price.rs`.

use std::time::Duration;

use agentsight_model::ids::{AgentId, ConversationId};

use crate::Store;
use crate::engine::{Param, Reader, Tx, params};
use crate::error::{Error, Result};
use crate::moving::Watch;
use crate::price;
use crate::usage::{PRICED, PricedRow};

/// Rows of one read.
const PAGE_ROWS: i64 = 1_000;
/// Rows that one step goes through at most.
const STEP_ROWS: usize = 10_000;
/// Changes past which a step reads no further: they hold the writer up.
const STEP_CHANGES: usize = 500;
/// How long a server waits before it asks again whether there is anything to do: as long as a key is believed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it leaves the writer to others between two steps.
const PAUSE: Duration = Duration::from_millis(5);
/// How long it waits after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restated {
    /// All usage shows the book as it is.
    Everything,
    /// Some rows were gone through; those gone through in all.
    Some(u64),
    /// Another process is at it, or the book changed meanwhile.
    Elsewhere,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reached {
    is_done: bool,
    agent: i64,
    conversation: i64,
    id: i64,
    rows_seen: i64,
}

const REACHED: &str =
    "select is_done, after_agent, after_conversation, after_id, rows_seen from repricing where id = 1";

impl Reached {
    fn read(reader: &Reader<'_>, sql: &str) -> Result<Option<Self>> {
        reader.one(sql, &[], |row| {
            Ok(Self {
                is_done: row.flag(0)?,
                agent: row.int(1)?,
                conversation: row.int(2)?,
                id: row.int(3)?,
                rows_seen: row.int(4)?,
            })
        })
    }

    fn write(&self, tx: &Tx<'_>) -> Result<()> {
        tx.execute(
            "update repricing set is_done = ?1, after_agent = ?2, after_conversation = ?3, after_id = ?4, rows_seen = ?5 where id = 1",
            params![self.is_done, self.agent, self.conversation, self.id, self.rows_seen],
        )
    }
}

/// Says that no row shows the book any more.
pub(crate) fn begin_anew(tx: &Tx<'_>) -> Result<()> {
    Reached { is_done: false, agent: 0, conversation: 0, id: 0, rows_seen: 0 }.write(tx)
}

/// A row whose cost is another now.
type Change = (AgentId, ConversationId, PricedRow, &'static str, i64);

/// What a step read.
struct Step {
    from: Reached,
    to: Reached,
    mark: i64,
    changes: Vec<Change>,
}

/// Reads on from where it has come; `None` where nothing is left to do.
fn look(reader: &Reader<'_>) -> Result<Option<Step>> {
    let Some(from) = Reached::read(reader, REACHED)?.filter(|reached| !reached.is_done) else { return Ok(None) };
    let mark = reader.one("select mark from price_book where id = 1", &[], |row| row.int(0))?.unwrap_or(0);
    let book = price::book_of(reader, mark)?;
    let sql = format!(
        "select {PRICED}, agent_id, conversation from token_usage where (agent_id, conversation, id) > (?1, ?2, ?3)
            order by agent_id, conversation, id limit ?4"
    );
    let (mut to, mut changes, mut rows) = (from, Vec::new(), 0);
    while rows < STEP_ROWS && changes.len() < STEP_CHANGES {
        let after: [Param<'_>; 4] = [to.agent.into(), to.conversation.into(), to.id.into(), PAGE_ROWS.into()];
        let mut read = 0;
        reader.each(&sql, &after, |row| {
            let priced = PricedRow::read(row)?;
            let (agent, conversation) = (row.int(PricedRow::WIDTH)?, row.int(PricedRow::WIDTH + 1)?);
            (to.agent, to.conversation, to.id) = (agent, conversation, priced.id);
            read += 1;
            let (source, cost) = priced.cost(&book);
            if (source, cost) != (priced.cost_source.as_str(), priced.cost_usd) {
                changes.push((AgentId(agent), ConversationId(conversation), priced, source, cost));
            }
            Ok(())
        })?;
        rows += read;
        to.rows_seen = to.rows_seen.saturating_add(i64::try_from(read).unwrap_or(i64::MAX));
        if i64::try_from(read).unwrap_or(i64::MAX) < PAGE_ROWS {
            to.is_done = true;
            break;
        }
    }
    Ok(Some(Step { from, to, mark, changes }))
}

/// Writes what a step read, where that still holds.
fn write(tx: &Tx<'_>, step: &Step) -> Result<Restated> {
    let reached = Reached::read(tx, &tx.of_nobody_else(REACHED))?;
    if reached != Some(step.from) || price::mark(tx)? != step.mark {
        return Ok(Restated::Elsewhere);
    }
    for (agent, conversation, row, source, cost) in &step.changes {
        row.restate(tx, *agent, *conversation, source, *cost)?;
    }
    step.to.write(tx)?;
    Ok(Restated::Some(u64::try_from(step.to.rows_seen).unwrap_or(0)))
}

impl Store {
    /// Goes on restating stored usage, a step of some thousand rows.
    ///
    /// # Errors
    /// When the store can be neither read nor written.
    pub async fn restate_step(&self) -> Result<Restated> {
        /// What a change weighs in the queue.
        const CHANGE_BYTES: usize = 256;
        let pending = |reader: &Reader<'_>| Ok(Reached::read(reader, REACHED)?.is_some_and(|reached| !reached.is_done));
        if !self.engine.read_now(pending).await? {
            return Ok(Restated::Everything);
        }
        let Some(step) = self.engine.read(look).await? else { return Ok(Restated::Everything) };
        self.engine.write(CHANGE_BYTES * (1 + step.changes.len()), move |tx| write(tx, &step)).await
    }

    /// Keeps stored usage as the book has it, for as long as the store is open: a change, by whichever process, is seen
    /// within a second.
    pub async fn keep_restated(&self) {
        let mut began = None;
        loop {
            let pause = match self.restate_step().await {
                Ok(Restated::Some(rows)) => {
                    // A new store has prices, and nothing to restate.
                    if began.is_none() && rows > 0 {
                        tracing::info!("prices have changed: restating the cost of stored usage");
                    }
                    began = Some(rows).filter(|rows| *rows > 0);
                    PAUSE
                }
                Ok(Restated::Everything) => {
                    if let Some(rows) = began.take() {
                        tracing::info!(rows, "stored usage shows the prices as they are");
                    }
                    LOOK_EVERY
                }
                Ok(Restated::Elsewhere) => LOOK_EVERY,
                Err(Error::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "stored usage could not be restated; trying again");
                    AFTER_FAILURE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Restates all usage now; where that was begun, from where it has come. Answers how many rows were gone through in
    /// all; fewer than there are where it was stopped.
    ///
    /// # Errors
    /// When the store can be neither read nor written.
    pub async fn restate(&self, watch: &mut dyn Watch) -> Result<u64> {
        const COUNT: &str = "select count(*) from token_usage";
        let start = |tx: &Tx<'_>| {
            tx.lock("select id from repricing where id = 1", &[])?;
            let reached = Reached::read(tx, REACHED)?;
            match reached {
                Some(reached) if !reached.is_done => Ok(reached.rows_seen),
                _ => begin_anew(tx).map(|()| 0),
            }
        };
        let whole = |rows: i64| u64::try_from(rows).unwrap_or(0);
        let mut seen = whole(self.engine.write(64, start).await?);
        let total = self.engine.read(|reader| reader.one(COUNT, &[], |row| row.int(0))).await?.map_or(0, whole);
        watch.begin("pricing usage", seen, total.max(seen));
        while !watch.is_stopped() {
            match self.restate_step().await? {
                Restated::Everything => break,
                Restated::Some(rows) => {
                    watch.advance(rows.saturating_sub(seen));
                    seen = rows;
                }
                // A server goes on with it as well.
                Restated::Elsewhere => tokio::time::sleep(PAUSE).await,
            }
        }
        let reached = self.engine.read_now(|reader| Reached::read(reader, REACHED)).await?;
        Ok(reached.map_or(seen, |reached| whole(reached.rows_seen)))
    }
}
