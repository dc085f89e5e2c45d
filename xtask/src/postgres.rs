//! A throw-away PostgreSQL for the tests: made under `target`, on a port of its own, gone at the end.

use crate::cluster::Cluster;
use crate::command::{Failure, Result, root};

/// Where its files are.
const FOLDER: &str = "target/test-postgres";
/// No sync: nothing of it is kept, and a test does not cut the power. Enough connections for every test's own store.
const SETTINGS: &str = "
fsync = off
full_page_writes = off
max_connections = 400
shared_buffers = 128MB
";

pub(crate) fn start() -> Result<Cluster> {
    let folder = root().join(FOLDER);
    println!("starting a PostgreSQL in {FOLDER}");
    Cluster::start(&folder, SETTINGS).map_err(Failure)
}
