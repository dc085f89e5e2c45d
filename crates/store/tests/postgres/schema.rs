//! A schema of a test's own on the PostgreSQL that `AGENTSIGHT_TEST_POSTGRES` names.

use agentsight_store::{DatabaseConfig, DatabaseUrl};

/// Names the server that the tests may use; `cargo xtask test` starts one.
const VARIABLE: &str = "AGENTSIGHT_TEST_POSTGRES";

/// Gone, with all that is in it, when it is dropped.
pub(crate) struct TempSchema {
    /// As the variable names it.
    pub(crate) server: String,
    pub(crate) name: String,
    /// What reads everything: the tables stay what they are.
    reads_all: std::sync::OnceLock<String>,
}

impl TempSchema {
    /// None where the tests were given no server.
    pub(crate) fn new() -> Option<Self> {
        let Ok(server) = std::env::var(VARIABLE) else {
            eprintln!("{VARIABLE} is not set: nothing was tested on PostgreSQL; `cargo xtask test` sets it");
            return None;
        };
        Some(Self::on(server))
    }

    /// The same on a server of the test's own.
    pub(crate) fn on(server: String) -> Self {
        let random = tempfile::Builder::new().prefix("test").rand_bytes(12).tempdir().unwrap();
        let name = random.path().file_name().unwrap().to_string_lossy().into_owned();
        Self::of(server, name)
    }

    /// One that is there.
    pub(crate) fn of(server: String, name: String) -> Self {
        Self { server, name, reads_all: std::sync::OnceLock::new() }
    }

    /// Its address as an operator writes it.
    pub(crate) fn address(&self) -> String {
        let mark = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{mark}schema={}", self.server, self.name)
    }

    pub(crate) fn url(&self) -> DatabaseUrl {
        self.address().parse().unwrap()
    }

    pub(crate) fn database(&self) -> DatabaseConfig {
        // Few, because every test has its own store.
        DatabaseConfig { connections: 4, ..DatabaseConfig::new(self.url()) }
    }

    /// As [`TempSchema::new`], but only where the whole suite is to run on PostgreSQL: `AGENTSIGHT_TEST_ENGINE=postgres`.
    pub(crate) fn wanted() -> Option<Self> {
        let wanted = std::env::var("AGENTSIGHT_TEST_ENGINE").is_ok_and(|engine| engine == "postgres");
        wanted.then(|| Self::new().unwrap_or_else(|| panic!("{VARIABLE} names no server")))
    }

    /// Every row that the store holds, as text, without what is kept for the store's own work.
    pub(crate) fn contents(&self) -> String {
        let reads_all = self.reads_all.get_or_init(|| {
            let tables = self.run(
                "select table_name from information_schema.tables where table_schema = current_schema()
                    and table_name not like 'search_%' and table_name not in ('id_blocks', 'settings', 'repricing') order by 1",
            );
            // One connection for all of them.
            let rows: Vec<String> = tables
                .iter()
                .map(|table| format!("select '{table} ' || (to_jsonb(t) - 'unindexed_since')::text from {table} t"))
                .collect();
            format!("{} order by 1", rows.join(" union all "))
        });
        self.run(reads_all).join("\n")
    }

    /// Runs statements in the schema, past the store; answers the first column of their rows.
    pub(crate) fn run(&self, statements: &str) -> Vec<String> {
        self.try_run(statements).unwrap()
    }

    pub(crate) fn try_run(&self, statements: &str) -> Result<Vec<String>, tokio_postgres::Error> {
        let text = format!("set search_path = \"{}\"; {statements}", self.name);
        let server = self.server.clone();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls).await?;
                let driven = tokio::spawn(connection);
                let messages = client.simple_query(&text).await?;
                drop(client);
                driven.await.unwrap()?;
                let rows = messages.into_iter().filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
                    _ => None,
                });
                Ok(rows.collect())
            })
        };
        // A runtime cannot be entered from within a test's own.
        std::thread::spawn(work).join().unwrap()
    }
}

impl Drop for TempSchema {
    fn drop(&mut self) {
        // A store that is still open may be at work in it, and be in the way now and then.
        let statement = format!("drop schema if exists \"{}\" cascade", self.name);
        for _ in 0..10 {
            match self.try_run(&statement) {
                Ok(_) => return,
                Err(error) => eprintln!("the schema {} is still there: {error}", self.name),
            }
        }
    }
}
