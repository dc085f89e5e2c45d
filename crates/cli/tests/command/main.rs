//! The `agentsight` command as people and service managers meet it: exit code, output, and what
//! remains after it was killed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, their helpers too")]

mod blobs;
mod configuration;
mod faults;
mod keys;
mod moving;
mod program;
mod stopping;
mod tour;

#[expect(dead_code, reason = "other suites use more of it")]
#[path = "../../../store/tests/postgres/schema.rs"]
mod schema;
