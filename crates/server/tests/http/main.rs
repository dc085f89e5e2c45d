//! The server as its callers see it: a real one on a port of its own, over a real store.
//!
//! Every answer that a test gets was held against `/openapi.json` first ([`document`]).
#![recursion_limit = "256"]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod app;
mod document;
#[path = "../../../store/tests/postgres/schema.rs"]
mod schema;

mod actions;
mod attachments;
mod errors;
mod feedbacks;
mod hostile;
mod keys;
mod lists;
mod managing;
mod mutations;
mod operation;
mod otlp;
mod prices;
mod reading;
mod redaction;
mod spans;
mod tickets;
mod tracking;
