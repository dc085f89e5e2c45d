//! Standard output, which is for answers.
//!
//! `println!` panics where nobody reads on: whoever ran `agentsight prices list | head` has seen enough, and that is no
//! failure. An answer that cannot be written for another reason, such as a full disk, is one.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write as _, stdout};
use std::sync::OnceLock;

use crate::Failure;

/// The first thing that went wrong; nothing is written after it.
static FAILED: OnceLock<Error> = OnceLock::new();

/// Writes a part of the answer. What goes wrong is said by [`finish`].
pub(crate) fn write(text: Arguments<'_>) {
    if FAILED.get().is_none()
        && let Err(error) = stdout().write_fmt(text)
    {
        let _ = FAILED.set(error);
    }
}

/// Says whether the answer was written, after the last of it.
pub(crate) fn finish() -> Result<(), Failure> {
    let flushed = stdout().flush();
    match FAILED.get().or(flushed.as_ref().err()) {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("the answer cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line of the answer.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::write(format_args!("{}\n", format_args!($($text)*)))
    };
}
pub(crate) use say;
