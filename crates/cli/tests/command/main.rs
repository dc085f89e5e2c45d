//! The `agentsight` command as people and service managers meet it: exit code, output, and what
//! remains after it was killed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

#[path = "../../../../xtask/src/cluster.rs"]
mod cluster;
mod configuration;
mod faults;
mod keys;
mod nodes;
mod program;
#[expect(dead_code, reason = "other suites read more of a schema")]
#[path = "../../../store/tests/postgres/schema.rs"]
mod schema;
mod stopping;
mod tour;
#[expect(dead_code, reason = "other suites cut a wire in more ways")]
#[path = "../../../store/tests/postgres/wire.rs"]
mod wire;
