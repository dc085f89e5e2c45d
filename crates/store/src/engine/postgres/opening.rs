//! What happens before a database is used: is it there, is it ours, is its schema up to date.
//!
//! Every answer is one sentence that says what is wrong and what would help.

use agentsight_model::time::Timestamp;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::address::Address;
use super::session::{Missed, Session, failure, quoted};
use crate::engine::dialect;
use crate::error::{Error, Result};
use crate::schema::{Absent, MIGRATIONS};

/// The oldest server that is taken; what is older is not looked after by its makers either.
const OLDEST_SERVER: i64 = 13;
/// Names our advisory lock among those of other programs.
const LOCK: i64 = 0x6167_656e_7473_6967;

/// Checks the server and brings its schema up to date. Answers whether the store was made now.
pub(super) fn open(session: &mut Session, absent: Absent<'_>, now: Timestamp) -> Result<bool> {
    let target = session.target();
    let client = reach(session)?;
    session.block_on(prepare(&client, &target.address, absent, now))
}

fn reach(session: &mut Session) -> Result<Client> {
    let target = session.target();
    match session.block_on(super::session::connect(&target, "")) {
        Ok(client) => Ok(client),
        Err(Missed::Refused(error)) => Err(Error::Open(explain(&target.address, &error))),
        Err(Missed::Silent) => {
            let (place, time) = (target.address.place(), target.connect_time.as_secs());
            Err(Error::Open(format!("the database at {place} did not answer within {time} s; is the address right?")))
        }
    }
}

fn explain(address: &Address, error: &tokio_postgres::Error) -> String {
    let (place, user, database) = (address.place(), address.user(), address.database());
    if let Some(seen) = error.as_db_error() {
        return match *seen.code() {
            SqlState::INVALID_PASSWORD => format!("the database at {place} does not take this password of user {user}"),
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                format!("the database at {place} does not let user {user} in: {}", seen.message())
            }
            SqlState::INVALID_CATALOG_NAME => {
                format!("there is no database {database} at {place}; make it with: createdb {database}")
            }
            SqlState::TOO_MANY_CONNECTIONS => {
                format!("the database at {place} has no connection left; raise its max_connections, or close some")
            }
            SqlState::CANNOT_CONNECT_NOW => {
                format!("the database at {place} is starting or stopping ({}); try again in a moment", seen.message())
            }
            SqlState::INSUFFICIENT_PRIVILEGE => {
                format!("user {user} may not connect to the database {database} at {place}: {}", seen.message())
            }
            _ => format!("the database at {place} refuses the connection: {}", seen.message()),
        };
    }
    let source = std::error::Error::source(error);
    let refused = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    if refused.is_some_and(|refused| refused.kind() == std::io::ErrorKind::PermissionDenied) {
        return format!("the database at {place} is a standby that only reads, or set to; name the primary");
    }
    let why = source.map_or_else(|| error.to_string(), ToString::to_string);
    format!("the database at {place} cannot be reached: {why}")
}

async fn prepare(client: &Client, address: &Address, absent: Absent<'_>, now: Timestamp) -> Result<bool> {
    check_server(client, address).await?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    match (version(client, address).await?, absent) {
        (0, Absent::Refuse) => {
            let (place, database) = (address.place(), address.database());
            return Err(Error::Open(format!(
                "there is no AgentSight store in the database {database} at {place}; is it another database, or another ?schema=?"
            )));
        }
        (found, _) if found == known => return Ok(false),
        _ => {}
    }
    let engine = |error: tokio_postgres::Error| explain_step(address, &error);
    // Nodes that start together wait here for the first of them, however long it takes; the lock is gone with
    // the connection. One that was ended half-way has left whole steps behind.
    client.batch_execute("set statement_timeout = 0").await.map_err(engine)?;
    client.execute_typed("select pg_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await.map_err(engine)?;
    if let Some(schema) = &address.schema {
        make_schema(client, schema).await.map_err(engine)?;
    }
    let from = version(client, address).await?;
    // Hexadecimal, so that nothing in it ends the text.
    let setting = match absent {
        Absent::MakeWith(name, value) => {
            format!("insert into settings (name, value) values ('{name}', '\\x{}'::bytea);", hex::encode(value))
        }
        Absent::Make | Absent::Refuse => String::new(),
    };
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip_while(|(number, _)| *number <= from) {
        let name = migration.name.replace('\'', "''");
        let text = format!(
            "begin;
             create table if not exists migrations (version bigint primary key, name text not null, applied_at bigint not null);
             {}
             {}
             {}
             insert into migrations (version, name, applied_at) values ({number}, '{name}', {});
             commit",
            dialect::schema(migration.shared),
            migration.postgres,
            if number == 1 { setting.as_str() } else { "" },
            now.0
        );
        if let Err(error) = client.batch_execute(&text).await {
            return Err(engine(error));
        }
        tracing::debug!(number, name = migration.name, "schema migrated");
    }
    Ok(from == 0)
}

/// Takes the schema that the address names, making it when it is missing.
async fn make_schema(client: &Client, schema: &str) -> Result<(), tokio_postgres::Error> {
    const IS_THERE: &str = "select 1 from pg_namespace where nspname = $1";
    // Even where it is there already, `create … if not exists` wants the right to make one.
    if client.query_typed(IS_THERE, &[(&schema, Type::TEXT)]).await?.is_empty() {
        client.batch_execute(&format!("create schema {}", quoted(schema))).await?;
    }
    Ok(())
}

async fn check_server(client: &Client, address: &Address) -> Result<()> {
    const SERVER: &str =
        "select current_setting('server_version_num')::bigint / 10000, current_setting('server_encoding')";
    let place = address.place();
    let rows = client.query_typed(SERVER, &[]).await.map_err(|error| explain_step(address, &error))?;
    let row = rows.first().ok_or_else(|| Error::Open(format!("the database at {place} answers nothing")))?;
    let server: i64 = row.try_get(0).unwrap_or(0);
    if server < OLDEST_SERVER {
        return Err(Error::Open(format!(
            "the database at {place} is PostgreSQL {server}; AgentSight needs {OLDEST_SERVER} or newer"
        )));
    }
    let encoding: &str = row.try_get(1).unwrap_or_default();
    if encoding != "UTF8" {
        let database = address.database();
        return Err(Error::Open(format!(
            "the database {database} at {place} keeps texts as {encoding}; make one with: createdb --encoding=UTF8 --template=template0 {database}"
        )));
    }
    Ok(())
}

/// The version of the schema, 0 for none. Refuses a schema of another program, or of a newer version of this one.
async fn version(client: &Client, address: &Address) -> Result<i64> {
    const TABLES: &str = "select current_schema(),
        (select count(*) from pg_tables where schemaname = current_schema()),
        (select count(*) from information_schema.columns where table_schema = current_schema() and table_name = 'migrations'
            and column_name in ('version', 'name', 'applied_at'))";
    let engine = |error: tokio_postgres::Error| explain_step(address, &error);
    let (place, database) = (address.place(), address.database());
    let rows = client.query_typed(TABLES, &[]).await.map_err(engine)?;
    let schema: Option<&str> = rows.first().and_then(|row| row.try_get(0).ok().flatten());
    let number = |column: usize| rows.first().and_then(|row| row.try_get::<_, i64>(column).ok()).unwrap_or(0);
    let (tables, ours) = (number(1), number(2));
    let Some(schema) = schema else {
        return if address.schema.is_some() {
            Ok(0)
        } else {
            Err(Error::Open(format!(
                "no schema of the user's search_path exists in the database {database} at {place}; name one with ?schema="
            )))
        };
    };
    if tables == 0 {
        return Ok(0);
    }
    if ours != 3 {
        return Err(Error::Open(format!(
            "the schema {schema} of the database {database} at {place} belongs to another program; name an empty one with ?schema="
        )));
    }
    let rows = client.query_typed("select coalesce(max(version), 0) from migrations", &[]).await.map_err(engine)?;
    let version: i64 = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(0);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(Error::Open(format!(
            "the database {database} at {place} was written by a newer AgentSight (schema {version}, this program knows {known}); install that version or newer"
        )));
    }
    Ok(version)
}

fn explain_step(address: &Address, error: &tokio_postgres::Error) -> Error {
    let (place, user, database) = (address.place(), address.user(), address.database());
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        let message = error.as_db_error().map_or("", |seen| seen.message());
        return Error::Open(format!(
            "user {user} may not make tables in the database {database} at {place} ({message}); grant it create on a schema"
        ));
    }
    match failure(error).error {
        Error::Full => Error::Full,
        other => Error::Open(format!("the database {database} at {place} cannot be brought up to date: {other}")),
    }
}
