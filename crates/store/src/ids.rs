//! Ids: positive, per kind of row, never used again.
//!
//! They are taken from the database in blocks, so that neither a batch nor another node pays a
//! round trip per row. A restart wastes what is left of a block. Where a server keeps them, a block
//! is taken in a transaction of its own, and each is twice as large as the one before it. What people
//! make by hand, a command each, is numbered one by one.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::engine::{Tx, params};
use crate::error::{Error, Result};

/// Ids taken at a time.
const BLOCK: i64 = 64;
/// Ids taken at a time by a busy node that has to ask a server for them.
const BLOCK_APART: i64 = 1_024;

/// A table whose rows have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Agent,
    Environment,
    Key,
    Conversation,
    Message,
    Action,
    ActionLog,
    Button,
    Attachment,
    Feedback,
    Ticket,
    TicketComment,
    TokenUsage,
    TokenCounter,
    SearchDoc,
    Span,
}

impl Kind {
    /// How many are taken at first, and at most.
    fn at_a_time(self) -> (i64, i64) {
        match self {
            Self::Agent | Self::Environment | Self::Key => (1, 1),
            _ => (BLOCK, BLOCK_APART),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Agent => "agents",
            Self::Environment => "environments",
            Self::Key => "api_keys",
            Self::Conversation => "conversations",
            Self::Message => "messages",
            Self::Action => "actions",
            Self::ActionLog => "action_logs",
            Self::Button => "buttons",
            Self::Attachment => "attachments",
            Self::Feedback => "feedbacks",
            Self::Ticket => "tickets",
            Self::TicketComment => "ticket_comments",
            Self::TokenUsage => "token_usage",
            Self::TokenCounter => "token_counters",
            Self::SearchDoc => "search_docs",
            Self::Span => "spans",
        }
    }
}

/// What is left of each block. Belongs to one writer.
#[derive(Debug, Default)]
pub(crate) struct IdBlocks(RefCell<HashMap<Kind, Block>>);

#[derive(Debug)]
struct Block {
    left: std::ops::Range<i64>,
    /// How many are taken next, where they are taken apart.
    next: i64,
}

impl IdBlocks {
    pub(crate) fn next(&self, tx: &Tx<'_>, kind: Kind) -> Result<i64> {
        const TAKE: &str = "insert into id_blocks (name, next) values (?1, 1 + ?2)
            on conflict (name) do update set next = id_blocks.next + ?2 returning next";
        let mut blocks = self.0.borrow_mut();
        let (first, most) = kind.at_a_time();
        let block = blocks.entry(kind).or_insert(Block { left: 0..0, next: first });
        if let Some(id) = block.left.next() {
            return Ok(id);
        }
        block.left = match tx.take_ids_apart(TAKE, params![kind.name(), block.next]) {
            Some(end) => {
                let end = end?;
                let taken = end - block.next..end;
                block.next = (block.next * 2).min(most);
                taken
            }
            None => {
                let end = tx
                    .one(TAKE, params![kind.name(), first], |row| row.int(0))?
                    .ok_or_else(|| Error::Engine("no block of ids was answered".into()))?;
                end - first..end
            }
        };
        block.left.next().ok_or_else(|| Error::Engine("an empty block of ids was answered".into()))
    }

    /// After a rollback: the blocks that it took are not ours.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}
