//! The schema as a history of migrations, run at every start.
//!
//! Written once for both engines; what only one of them has stands in a file of its own beside it.
//! `agent_id` leads every key, so that the tables can be spread over machines by agent. Times are microseconds, flags are 0 and 1, what a sender gave as JSON is text.
//! `messages` and the tables that hang on a conversation are clustered by it: reading a conversation
//! is reading a few neighbouring pages, however large the store is.

use std::path::Path;

use agentsight_model::time::Timestamp;
use rusqlite::Connection;

use crate::error::{Error, Result};

/// One step of the history. A step that was released is never changed.
pub(crate) struct Migration {
    pub(crate) name: &'static str,
    /// What both engines run.
    pub(crate) shared: &'static str,
    /// What one engine runs after it.
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "conversations of generation 0.0.x",
        shared: include_str!("schema/0001_conversations.sql"),
        sqlite: include_str!("schema/0001_conversations.sqlite.sql"),
        postgres: include_str!("schema/0001_conversations.postgres.sql"),
    },
    Migration {
        name: "spans",
        shared: include_str!("schema/0002_spans.sql"),
        sqlite: include_str!("schema/0002_spans.sqlite.sql"),
        postgres: "",
    },
    Migration {
        name: "lists of feedback, tickets and clicks",
        shared: include_str!("schema/0003_managing.sql"),
        sqlite: include_str!("schema/0003_managing.sqlite.sql"),
        postgres: "",
    },
    Migration {
        name: "short lists in PostgreSQL's search index",
        shared: "",
        sqlite: "",
        postgres: include_str!("schema/0004_search.postgres.sql"),
    },
    Migration { name: "prices", shared: include_str!("schema/0005_prices.sql"), sqlite: "", postgres: "" },
    Migration {
        name: "former names of actions",
        shared: include_str!("schema/0006_former_action_names.sql"),
        sqlite: "",
        postgres: "",
    },
    Migration {
        name: "a search index apart",
        shared: include_str!("schema/0007_search_apart.sql"),
        sqlite: include_str!("schema/0007_search_apart.sqlite.sql"),
        postgres: "",
    },
];

/// Brings a database of SQLite up to date, in one transaction.
pub(crate) fn migrate(path: &Path, connection: &Connection, now: Timestamp) -> Result<()> {
    let engine = |e: rusqlite::Error| match crate::engine::engine_error(e) {
        Error::Full => Error::Full,
        other => Error::Open(format!("{} cannot be brought up to date: {other}", path.display())),
    };
    // Waits for another process that migrates the same file.
    connection.execute_batch("begin immediate").map_err(engine)?;
    let result = run(path, connection, now);
    match result {
        Ok(()) => connection.execute_batch("commit").map_err(engine),
        Err(Step::Refused(error)) => {
            let _ = connection.execute_batch("rollback");
            Err(error)
        }
        Err(Step::Engine(error)) => {
            let _ = connection.execute_batch("rollback");
            Err(engine(error))
        }
    }
}

/// Why a database was not brought up to date.
pub(crate) enum Step {
    /// It is not ours to change.
    Refused(Error),
    /// It could not be read or written.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Step {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

/// Refuses a database of another program, or of a newer version of this one, before anything in it
/// is changed.
pub(crate) fn check(path: &Path, connection: &Connection) -> Result<(), Step> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if count("select count(*) from sqlite_master")? == 0 {
        return Ok(());
    }
    if count("select count(*) from sqlite_master where name = 'migrations'")? == 0 {
        return Err(Step::Refused(Error::Open(format!(
            "{} belongs to another program; choose another data folder",
            path.display()
        ))));
    }
    let version = count("select coalesce(max(version), 0) from migrations")?;
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(Step::Refused(Error::Open(format!(
            "{} was written by a newer AgentSight (schema {version}, this program knows {known}); install that version or newer",
            path.display()
        ))));
    }
    Ok(())
}

fn run(path: &Path, connection: &Connection, now: Timestamp) -> Result<(), Step> {
    check(path, connection)?;
    connection.execute_batch("create table if not exists migrations (version integer primary key, name text not null, applied_at integer not null)")?;
    let version: i64 =
        connection.query_row("select coalesce(max(version), 0) from migrations", [], |row| row.get(0))?;
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip_while(|(number, _)| *number <= version) {
        connection.execute_batch(migration.shared)?;
        connection.execute_batch(migration.sqlite)?;
        connection.execute(
            "insert into migrations (version, name, applied_at) values (?1, ?2, ?3)",
            (number, migration.name, now.0),
        )?;
        tracing::debug!(number, name = migration.name, "schema migrated");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planner_is_told_nothing_of_the_search_index() {
        let connection = Connection::open_in_memory().unwrap();

        migrate(Path::new("test"), &connection, Timestamp(0)).unwrap();

        // It would take the index's tables for as empty as they are now, and read them whole later on.
        let told =
            connection.query_row("select count(*) from sqlite_stat1 where tbl like 'search%'", [], |row| row.get(0));
        assert_eq!(told, Ok(0_i64));
    }

    #[test]
    fn totals_of_feedback_and_tickets_begin_with_what_is_there() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("create table migrations (version integer primary key, name text not null, applied_at integer not null)")
            .unwrap();
        let before = MIGRATIONS.iter().take_while(|step| step.name != "lists of feedback, tickets and clicks");
        for (number, step) in (1_i64..).zip(before) {
            connection.execute_batch(step.shared).unwrap();
            connection.execute_batch(step.sqlite).unwrap();
            connection.execute("insert into migrations values (?1, ?2, 0)", (number, step.name)).unwrap();
        }
        for (agent, id) in [(1, 1), (1, 2), (2, 3)] {
            let sql = "insert into feedbacks (agent_id, id, kind, sentiment, source, created_at) values (?1, ?2, 'agent', 'neutral', 'customer', 0)";
            connection.execute(sql, (agent, id)).unwrap();
        }

        migrate(Path::new("test"), &connection, Timestamp(0)).unwrap();

        let mut totals = connection.prepare("select agent_id, name, value from counters order by agent_id").unwrap();
        let totals: Vec<(i64, String, i64)> = totals
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(totals, [(1, "feedbacks".to_owned(), 2), (2, "feedbacks".to_owned(), 1)]);
    }
}
