//! A copy of the embedded database while others write to it.
//!
//! SQLite's backup interface, within a read transaction. Without one every write of the server makes it
//! begin anew, and under load it never ends: of 837 MB it had nothing after a minute. `vacuum into` is
//! as consistent, but builds every page anew: 15 s and 3.9 s of CPU where this takes 11 s and 3.0 s, and
//! the longer the snapshot is held, the longer the server's log grows.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::Reader;
use super::sqlite::{FILE, connect_reader, engine_error, explain_open};
use crate::error::{Error, Result};
use crate::schema::{Absent, Step};

/// Pages that are copied between looks at whether to stop (16 MiB).
const PAGES_PER_STEP: i32 = 4_096;

/// A database at one moment.
pub(crate) struct Snapshot {
    connection: Connection,
}

/// Rows of a table.
pub(crate) type Counts = Vec<(String, u64)>;

impl Snapshot {
    /// Takes hold of how the database of a folder is now, and changes nothing in it.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Err(crate::schema::none_in(&path));
        }
        let explain = |error| explain_open(&path, &error);
        let connection = connect_reader(&path).map_err(explain)?;
        crate::schema::check(&path, &connection, Absent::Refuse).map_err(|step| match step {
            Step::Refused(error) => error,
            Step::Engine(error) => explain(error),
        })?;
        let snapshot = Self { connection };
        snapshot.connection.execute_batch("begin").map_err(explain)?;
        // The snapshot is taken with the first look.
        if snapshot.version()? == 0 {
            return Err(Error::Open(format!("{} holds no AgentSight store yet", path.display())));
        }
        Ok(snapshot)
    }

    /// The version of its schema.
    pub(crate) fn version(&self) -> Result<i64> {
        let tables = "select count(*) from sqlite_master where name = 'migrations'";
        if Reader::Sqlite(&self.connection).one(tables, &[], |row| row.int(0))? == Some(0) {
            return Ok(0);
        }
        let version = "select coalesce(max(version), 0) from migrations";
        Ok(Reader::Sqlite(&self.connection).one(version, &[], |row| row.int(0))?.unwrap_or(0))
    }

    /// How many rows each of its tables has, the search index's own left out.
    pub(crate) fn counts(&self) -> Result<Counts> {
        counts(&self.connection)
    }

    /// Copies it to a file that is not there yet. `step` hears how many pages are left of all, and says
    /// whether to go on.
    pub(crate) fn copy_to(&self, file: &Path, step: &mut dyn FnMut(u64, u64) -> bool) -> Result<()> {
        let mut copy = Connection::open(file).map_err(|error| explain_open(file, &error))?;
        // Synced as a whole when it is there; until then it is no copy.
        copy.execute_batch("pragma synchronous = off; pragma journal_mode = off").map_err(engine_error)?;
        {
            let backup = Backup::new(&self.connection, &mut copy).map_err(engine_error)?;
            loop {
                let done = backup.step(PAGES_PER_STEP).map_err(engine_error)?;
                let pages = |n: i32| u64::try_from(n).unwrap_or(0);
                let progress = backup.progress();
                if !step(pages(progress.remaining), pages(progress.pagecount)) {
                    return Err(Error::Closed);
                }
                match done {
                    StepResult::Done => break,
                    StepResult::More => {}
                    _ => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            }
        }
        copy.close().map_err(|(_, error)| engine_error(error))
    }
}

/// A copy that nobody else has open.
pub(crate) struct Copied {
    connection: Connection,
}

impl Copied {
    pub(crate) fn open(file: &Path) -> Result<Self> {
        connect_reader(file).map(|connection| Self { connection }).map_err(|error| explain_open(file, &error))
    }

    /// SQLite's own opinion of every page and every index.
    pub(crate) fn check(&self) -> Result<()> {
        let said = self.reader().one("pragma integrity_check(1)", &[], |row| row.string(0))?.unwrap_or_default();
        if said == "ok" { Ok(()) } else { Err(Error::Engine(format!("the copy is damaged: {said}").into())) }
    }

    pub(crate) fn counts(&self) -> Result<Counts> {
        counts(&self.connection)
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::Sqlite(&self.connection)
    }

    /// Closes it, so that nothing but the one file remains.
    pub(crate) fn close(self) -> Result<()> {
        self.connection.close().map_err(|(_, error)| engine_error(error))
    }
}

fn counts(connection: &Connection) -> Result<Counts> {
    const TABLES: &str = "select name from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\' order by name";
    let reader = Reader::Sqlite(connection);
    let names = reader.all(TABLES, &[], |row| row.string(0))?;
    let count = |name: String| {
        let rows = reader.one(&format!("select count(*) from \"{name}\""), &[], |row| row.int(0))?;
        Ok((name, rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0)))
    };
    names.into_iter().map(count).collect()
}
