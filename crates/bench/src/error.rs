//! One error type for the whole tool: a sentence for the person at the terminal.
//!
//! Nothing here is handled by kind; a benchmark that cannot measure says why and stops.

use std::error::Error;
use std::fmt::Display;

/// Any error, as a message.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The result of everything that can fail here.
pub(crate) type Result<T> = std::result::Result<T, BoxError>;

/// Puts what was being done before what went wrong.
pub(crate) trait Context<T> {
    /// `No such file or directory` becomes `cannot start target/release/agentsight: No such file …`.
    fn context(self, doing: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl Display) -> Result<T> {
        self.map_err(|error| format!("{doing}: {error}").into())
    }
}
