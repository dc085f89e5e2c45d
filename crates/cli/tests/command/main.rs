//! The `agentsight` command as people and service managers meet it: exit code, output, and what
//! remains after it was killed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod answers;
mod blobs;
#[path = "../../../../xtask/src/cluster.rs"]
mod cluster;
mod configuration;
mod environments;
mod faults;
mod keys;
mod moving;
mod nodes;
mod prices;
mod program;
#[expect(dead_code, reason = "other suites use more of it")]
#[path = "../../../store/tests/postgres/schema.rs"]
mod schema;
mod stopping;
mod tour;
#[expect(dead_code, reason = "other suites cut a wire in more ways")]
#[path = "../../../store/tests/postgres/wire.rs"]
mod wire;
