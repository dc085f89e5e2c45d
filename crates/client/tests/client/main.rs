//! The client against a server that plays a script: what is asked, what is sent again, what comes out.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking, their helpers too")]

#[cfg(feature = "blocking")]
mod blocking;
mod managing;
mod reading;
mod repeating;
mod server;
mod writing;
