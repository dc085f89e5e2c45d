//! How far a move has come, kept in the target beside the rows that it has brought.

use agentsight_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::tables::Value;
use crate::engine::{Reader, Tx, params};
use crate::error::{Error, Result};

/// Under which name it is kept.
pub(super) const NAME: &str = "move";
/// Under which name a store keeps what tells it from every other.
const STORE_ID: &str = "store_id";

/// What a target says of the move that fills it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The id of the source.
    pub(super) source: String,
    /// The table that is being copied.
    pub(super) table: String,
    /// The key of its last row that is here.
    pub(super) after: Vec<serde_json::Value>,
    /// Rows that are here, of all tables.
    pub(super) rows: u64,
    /// When it was found that both hold the same.
    pub(super) finished_at: Option<i64>,
}

impl State {
    /// A move that begins.
    pub(super) fn of(source_id: &str) -> Self {
        Self { source: source_id.to_owned(), ..Self::default() }
    }

    pub(super) fn read(reader: &Reader<'_>) -> Result<Option<Self>> {
        let kept = setting(reader, NAME)?;
        kept.map(|bytes| serde_json::from_slice(&bytes).map_err(|_| Error::Damaged { table: "settings", column: 1 }))
            .transpose()
    }

    /// As it is kept.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::Engine(error.into()))
    }

    pub(super) fn write(&self, tx: &Tx<'_>) -> Result<()> {
        let text = self.to_bytes()?;
        tx.execute(
            "insert into settings (name, value) values (?1, ?2) on conflict (name) do update set value = excluded.value",
            params![NAME, text.as_slice()],
        )
    }

    pub(super) fn key(&self) -> Result<Vec<Value>> {
        let key: Option<Vec<Value>> = self.after.iter().map(Value::of_json).collect();
        key.ok_or(Error::Damaged { table: "settings", column: 1 })
    }

    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at.map(Timestamp)
    }
}

/// Refuses to work on a store that is the target of a move which has not ended well: whatever was written to
/// it now would meet the rows that are still to come.
pub(crate) fn refuse_unfinished(reader: &Reader<'_>) -> Result<()> {
    match State::read(reader)? {
        Some(State { finished_at: None, .. }) => Err(Error::Open(
            "this store is being filled by `agentsight migrate`, which has not finished; run that command again, or choose another store".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn setting(reader: &Reader<'_>, name: &'static str) -> Result<Option<Vec<u8>>> {
    reader.one("select value from settings where name = ?1", params![name], |row| row.blob(0).map(<[u8]>::to_vec))
}

/// What tells a store from every other, where it was asked for before.
pub(super) fn store_id(reader: &Reader<'_>) -> Result<Option<String>> {
    setting(reader, STORE_ID).map(|kept| kept.map(hex::encode))
}

/// The same, made when it is missing.
pub(super) fn make_store_id(tx: &Tx<'_>) -> Result<String> {
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|e| Error::Engine(e.to_string().into()))?;
    tx.execute(
        "insert into settings (name, value) values (?1, ?2) on conflict (name) do nothing",
        params![STORE_ID, fresh.as_slice()],
    )?;
    store_id(tx)?.ok_or_else(|| Error::Engine("a setting vanished".into()))
}
