//! Changing what is there, and the few rows that are made here rather than by tracking (contract: managing).
//!
//! The role is checked before the row is looked for.

pub(crate) mod actions;
pub(crate) mod conversations;
pub(crate) mod feedbacks;
pub(crate) mod messages;
pub(crate) mod tickets;
