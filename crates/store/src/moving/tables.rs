//! Which tables are moved, by which columns and in which order; and how their rows are read, written
//! and summed up, whatever they hold.
//!
//! A test holds the list against the schema: a table or column that is added there and forgotten here
//! is found by it.

use sha2::{Digest as _, Sha256};

use crate::engine::{Param, Reader, Tx};
use crate::error::{Error, Result};

/// A table that is moved row by row.
pub(super) struct Moved {
    pub(super) name: &'static str,
    /// Columns of the primary key, in its order: rows are read by it, and both engines sort them alike.
    pub(super) key: &'static [&'static str],
    /// The other columns.
    pub(super) columns: &'static [&'static str],
    /// Columns that the target begins anew, with what they begin with.
    pub(super) fresh: &'static [(&'static str, &'static str)],
    /// Which rows are moved: a condition, or nothing for all.
    pub(super) only: &'static str,
    /// What a row does that is there already.
    on_conflict: &'static str,
    /// Every store has rows of it from its beginning: the source's take their place.
    pub(super) replaces: bool,
}

const ONCE: &str = "on conflict do nothing";

const fn table(name: &'static str, key: &'static [&'static str], columns: &'static [&'static str]) -> Moved {
    Moved { name, key, columns, fresh: &[], only: "", on_conflict: ONCE, replaces: false }
}

/// A table of the whole installation whose rows a server makes when it starts.
const fn replaced(name: &'static str, key: &'static [&'static str], columns: &'static [&'static str]) -> Moved {
    Moved { replaces: true, ..table(name, key, columns) }
}

/// Parents before their children.
pub(super) static TABLES: &[Moved] = &[
    // First, so that whoever writes to an unfinished target takes no id that is on its way.
    table("id_blocks", &["name"], &["next"]),
    Moved {
        // What belongs to one installation's own work stays there.
        only: "name not in ('checked_at', 'move', 'store_id') and not (name >= 'writer ' and name < 'writer!')",
        // A server that was started on the target once has made secrets of its own. The source's count: its
        // links to files stay valid.
        on_conflict: "on conflict (name) do update set value = excluded.value",
        ..table("settings", &["name"], &["value"])
    },
    table("agents", &["id"], &["name", "cumulative_token_counters", "created_at"]),
    table("environments", &["agent_id", "id"], &["slug", "name", "is_production", "created_at", "updated_at"]),
    table("api_keys", &["agent_id", "id"], &["name", "role", "hash", "hint", "created_at", "expires_at", "revoked_at"]),
    table("counters", &["agent_id", "name"], &["value"]),
    Moved {
        // The search index is not moved: of every conversation the target has nothing indexed.
        fresh: &[("unindexed_since", "0")],
        ..table(
            "conversations",
            &["agent_id", "id"],
            &[
                "conversation_id",
                "environment_id",
                "environment",
                "name",
                "customer_id",
                "customer_ip_address",
                "device",
                "source",
                "language",
                "metadata",
                "started_at",
                "ended_at",
                "is_marked",
                "is_used",
                "is_deleted",
                "deleted_at",
                "city",
                "country",
                "timezone_name",
                "message_count",
                "action_log_count",
                "button_count",
                "attachment_count",
                "conversation_feedback_count",
                "message_feedback_count",
                "ticket_count",
                "usage_count",
            ],
        )
    },
    table("conversation_metadata", &["agent_id", "path", "form", "conversation"], &[]),
    table(
        "messages",
        &["agent_id", "conversation", "timestamp", "id"],
        &["sender", "content", "action_name", "metadata", "receipt", "received_at"],
    ),
    table("actions", &["agent_id", "id"], &["name", "display_name", "description"]),
    table("former_action_names", &["agent_id", "action", "name"], &[]),
    table(
        "action_logs",
        &["agent_id", "conversation", "id"],
        &[
            "message",
            "action",
            "started_at",
            "ended_at",
            "duration_ms",
            "tools_used",
            "response",
            "error_message",
            "metadata",
        ],
    ),
    table(
        "buttons",
        &["agent_id", "conversation", "id"],
        &["message", "button_event", "label", "value", "metadata", "timestamp"],
    ),
    table(
        "attachments",
        &["agent_id", "conversation", "id"],
        &["message", "filename", "mime_type", "size_bytes", "hash", "receipt", "received_at"],
    ),
    table(
        "feedbacks",
        &["agent_id", "id"],
        &[
            "kind",
            "conversation",
            "message",
            "user_id",
            "environment_id",
            "sentiment",
            "category",
            "comment",
            "topic",
            "reason",
            "source",
            "metadata",
            "created_at",
        ],
    ),
    table(
        "tickets",
        &["agent_id", "id"],
        &[
            "title",
            "status",
            "priority",
            "tags",
            "environment_id",
            "conversation",
            "feedback",
            "author",
            "created_at",
            "updated_at",
        ],
    ),
    table("ticket_comments", &["agent_id", "ticket", "id"], &["author", "role", "body", "created_at"]),
    table(
        "token_usage",
        &["agent_id", "conversation", "id"],
        &[
            "turn_id",
            "model",
            "prompt_tokens",
            "completion_tokens",
            "embedding_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
            "audio_input_tokens",
            "audio_output_tokens",
            "total_tokens",
            "cost_usd",
            "cost_usd_reported",
            "cost_source",
            "calls",
            "unreported_calls",
            "incomplete",
            "incomplete_reason",
            "started_at",
            "ended_at",
        ],
    ),
    table(
        "spans",
        &["agent_id", "id"],
        &[
            "conversation",
            "span_id",
            "trace_id",
            "parent_span_id",
            "kind",
            "name",
            "status",
            "started_at",
            "ended_at",
            "duration_ms",
            "turn_id",
            "settled",
            "incomplete_reason",
            "payload",
        ],
    ),
    // After the usage that they price, so that an interrupted move is not restated with half a book.
    replaced(
        "prices",
        &["model", "valid_from"],
        &["prompt", "completion", "embedding", "cache_read", "cache_write", "source", "updated_at"],
    ),
    replaced("price_book", &["id"], &["mark", "defaults"]),
    replaced("repricing", &["id"], &["is_done", "after_agent", "after_conversation", "after_id", "rows_seen"]),
    table("token_counters", &["agent_id", "id"], &["prompt", "completion", "embedding", "total", "seen_at"]),
];

/// Tables of SQLite that each installation fills by itself: its schema's history, and what its search index, which is
/// elsewhere, does not hold yet.
#[cfg(test)]
const OWN_TABLES: &[&str] = &["migrations", "search_pending"];

/// Rows of a page at most; one page is one transaction of the target.
pub(super) const PAGE_ROWS: usize = 2_000;
/// Bytes of a page, or one row more.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Parameters of one statement at most. More rows in a statement than this gives gain nothing.
const PARAMETERS: usize = 1_000;

/// A value of a row, out of the database.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    fn of(param: &Param<'_>) -> Result<Self> {
        match param {
            Param::Null => Ok(Self::Null),
            Param::Int(n) => Ok(Self::Int(*n)),
            Param::Text(text) => Ok(Self::Text((*text).to_owned())),
            Param::Blob(bytes) => Ok(Self::Blob(bytes.to_vec())),
            Param::Ints(_) | Param::Column(_) => Err(Error::Engine("a row holds a list".into())),
        }
    }

    fn lent(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(n) => Param::Int(*n),
            Self::Text(text) => Param::Text(text),
            Self::Blob(bytes) => Param::Blob(bytes),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Null | Self::Int(_) => 8,
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
        }
    }

    /// A value of a key as it is kept with the progress; keys are integers and texts.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Int(n) => (*n).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Null | Self::Blob(_) => serde_json::Value::Null,
        }
    }

    pub(super) fn of_json(value: &serde_json::Value) -> Option<Self> {
        value.as_i64().map(Self::Int).or_else(|| value.as_str().map(|text| Self::Text(text.to_owned())))
    }
}

/// Rows with all moved columns, the key's first.
pub(super) type Rows = Vec<Vec<Value>>;

impl Moved {
    /// What of a row is its key.
    pub(super) fn key_of<'r>(&self, row: &'r [Value]) -> &'r [Value] {
        row.get(..self.key.len()).unwrap_or(row)
    }

    fn width(&self) -> usize {
        self.key.len() + self.columns.len()
    }

    fn where_moved(&self) -> &'static str {
        if self.only.is_empty() { "1 = 1" } else { self.only }
    }

    /// Makes room for the source's rows, where every store has some of its own.
    pub(super) fn clear(&self, tx: &Tx<'_>) -> Result<()> {
        tx.execute(&format!("delete from {}", self.name), &[])
    }

    /// How many rows there are to move.
    pub(super) fn count(&self, reader: &Reader<'_>) -> Result<u64> {
        let sql = format!("select count(*) from {} where {}", self.name, self.where_moved());
        let rows = reader.one(&sql, &[], |row| row.int(0)).map_err(|error| self.named(error))?;
        Ok(rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0))
    }

    /// The rows behind a key, as many as a page takes; `rows` bounds how many are asked for.
    pub(super) fn read(&self, reader: &Reader<'_>, after: &[Value], rows: usize) -> Result<Rows> {
        let key = self.key.join(", ");
        let columns = [self.key, self.columns].concat().join(", ");
        let behind = if after.is_empty() {
            String::new()
        } else {
            let marks: Vec<String> = (1..=after.len()).map(|n| format!("?{n}")).collect();
            format!("and ({key}) > ({})", marks.join(", "))
        };
        let (name, moved, limit) = (self.name, self.where_moved(), after.len() + 1);
        let sql = format!("select {columns} from {name} where {moved} {behind} order by {key} limit ?{limit}");
        let mut params: Vec<Param<'_>> = after.iter().map(Value::lent).collect();
        params.push(Param::Int(i64::try_from(rows).unwrap_or(i64::MAX)));
        let (mut page, mut bytes) = (Rows::new(), 0);
        let read = reader.each(&sql, &params, |row| {
            // What does not fit is read again with the next page, which asks for fewer rows.
            if bytes >= PAGE_BYTES {
                return Ok(());
            }
            let values: Result<Vec<Value>> =
                (0..self.width()).map(|column| row.value(column).and_then(|value| Value::of(&value))).collect();
            let values = values?;
            bytes += values.iter().map(Value::size).sum::<usize>();
            page.push(values);
            Ok(())
        });
        read.map_err(|error| self.named(error)).map(|()| page)
    }

    /// Writes a page. Several rows go with one statement: on a server that is several times faster.
    pub(super) fn write(&self, tx: &Tx<'_>, rows: &[Vec<Value>]) -> Result<()> {
        let together = (PARAMETERS / self.width()).max(1);
        let whole = rows.chunks_exact(together);
        // The rest goes one by one, so that there are two texts to prepare and not a thousand.
        let rest = whole.remainder();
        for chunk in whole {
            self.insert(tx, chunk)?;
        }
        rest.chunks(1).try_for_each(|row| self.insert(tx, row))
    }

    fn insert(&self, tx: &Tx<'_>, rows: &[Vec<Value>]) -> Result<()> {
        let fresh = self.fresh.iter();
        let columns: Vec<&str> =
            self.key.iter().chain(self.columns).copied().chain(fresh.clone().map(|(name, _)| *name)).collect();
        let tuple = |row: usize| {
            let marks = (1..=self.width()).map(|column| format!("?{}", row * self.width() + column));
            let values: Vec<String> = marks.chain(fresh.clone().map(|(_, value)| (*value).to_owned())).collect();
            format!("({})", values.join(", "))
        };
        let tuples: Vec<String> = (0..rows.len()).map(tuple).collect();
        let (name, columns, tuples) = (self.name, columns.join(", "), tuples.join(", "));
        let sql = format!("insert into {name} ({columns}) values {tuples} {}", self.on_conflict);
        let params: Vec<Param<'_>> = rows.iter().flatten().map(Value::lent).collect();
        tx.execute(&sql, &params)
    }

    fn named(&self, error: Error) -> Error {
        match error {
            Error::Damaged { column, .. } => Error::Damaged { table: self.name, column },
            other => other,
        }
    }
}

/// How many rows a table has, and the SHA-256 of all their values in the order of their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    /// The hash.
    pub sha256: [u8; 32],
}

/// A sum that grows row by row.
pub(super) struct Summing {
    rows: u64,
    hash: Sha256,
}

impl Summing {
    pub(super) fn new() -> Self {
        Self { rows: 0, hash: Sha256::new() }
    }

    /// Takes rows in: each value with its kind before it, and what has a length with that, so that no two
    /// rows are written alike.
    pub(super) fn add(&mut self, rows: &[Vec<Value>]) {
        for row in rows {
            self.rows += 1;
            for value in row {
                match value {
                    Value::Null => self.hash.update([0]),
                    Value::Int(n) => {
                        self.hash.update([1]);
                        self.hash.update(n.to_be_bytes());
                    }
                    Value::Text(text) => self.add_bytes(2, text.as_bytes()),
                    Value::Blob(bytes) => self.add_bytes(3, bytes),
                }
            }
        }
    }

    fn add_bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.hash.update([kind]);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    pub(super) fn done(self) -> Sum {
        Sum { rows: self.rows, sha256: self.hash.finalize().into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rusqlite::Connection;

    use super::*;

    /// Every table of the schema: its columns, and those of its primary key in their order.
    fn schema() -> BTreeMap<String, (BTreeSet<String>, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::engine::sqlite_for_tests(folder.path());
        let names = column(
            &connection,
            "select name from pragma_table_list where schema = 'main' and type in ('table', 'virtual') and name not like 'sqlite\\_%' escape '\\'",
        );
        let described = names.into_iter().map(|name| {
            let columns = column(&connection, &format!("select name from pragma_table_info('{name}')"));
            let key =
                column(&connection, &format!("select name from pragma_table_info('{name}') where pk > 0 order by pk"));
            (name, (columns.into_iter().collect(), key))
        });
        described.collect()
    }

    fn column(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn every_table_and_every_column_of_the_schema_is_moved_or_left_with_a_reason() {
        let declared: BTreeMap<String, (BTreeSet<String>, Vec<String>)> = TABLES
            .iter()
            .map(|table| {
                let fresh = table.fresh.iter().map(|(name, _)| *name);
                let columns = table.key.iter().chain(table.columns).copied().chain(fresh).map(str::to_owned);
                let key = table.key.iter().copied().map(str::to_owned).collect();
                (table.name.to_owned(), (columns.collect(), key))
            })
            .collect();
        let mut schema = schema();
        for own in OWN_TABLES {
            assert!(schema.remove(*own).is_some(), "{own} is not in the schema any more");
        }

        assert_eq!(declared, schema);
    }

    #[test]
    fn values_that_look_alike_are_summed_up_apart() {
        let sum = |row: &[Value]| {
            let mut summing = Summing::new();
            summing.add(&[row.to_vec()]);
            summing.done()
        };
        let text = |text: &str| Value::Text(text.to_owned());

        let rows = [
            vec![text("ab"), text("c")],
            vec![text("a"), text("bc")],
            vec![text("abc"), Value::Null],
            vec![Value::Null, text("abc")],
            vec![text("1"), text("")],
            vec![Value::Int(1), text("")],
            vec![Value::Blob(b"1".to_vec()), text("")],
        ];

        let sums: BTreeSet<[u8; 32]> = rows.iter().map(|row| sum(row).sha256).collect();
        assert_eq!(sums.len(), rows.len());
    }
}
