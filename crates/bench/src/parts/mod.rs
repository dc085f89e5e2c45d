//! The parts of the benchmark, one file each, and what they share.

pub(crate) mod fetch;
pub(crate) mod ingest;
pub(crate) mod list;
pub(crate) mod postgres;
pub(crate) mod spans;
pub(crate) mod start;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Context, Result};
use crate::http::Connection;
use crate::options::Options;
use crate::process::Process;
use crate::report::Report;
use crate::store::Store;

/// What every part gets.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    /// Where stores of this run are put; removed afterwards.
    pub(crate) scratch: PathBuf,
    pub(crate) report: Report,
    stores: Vec<(bool, Arc<Store>)>,
}

impl Bench {
    pub(crate) fn new(options: Options, scratch: PathBuf) -> Self {
        Self { options, scratch, report: Report::default(), stores: Vec::new() }
    }

    /// The store of `conversations`, loaded now unless an earlier part or run did it.
    pub(crate) async fn store(&mut self, conversations: u64) -> Result<Arc<Store>> {
        self.prepared(None, conversations).await
    }

    /// The same in a PostgreSQL.
    pub(crate) async fn postgres_store(&mut self, url: &str, conversations: u64) -> Result<Arc<Store>> {
        self.prepared(Some(url), conversations).await
    }

    async fn prepared(&mut self, postgres: Option<&str>, conversations: u64) -> Result<Arc<Store>> {
        let same = |(elsewhere, store): &&(bool, Arc<Store>)| {
            *elsewhere == postgres.is_some() && store.dataset.conversations == conversations
        };
        if let Some((_, store)) = self.stores.iter().find(same) {
            return Ok(Arc::clone(store));
        }
        let parent = self.options.keep.as_ref().unwrap_or(&self.scratch);
        let store = Arc::new(Store::prepare(&self.options, parent, postgres, conversations).await?);
        self.stores.push((postgres.is_some(), Arc::clone(&store)));
        Ok(store)
    }
}

#[derive(Deserialize)]
struct Page {
    results: Vec<Whole>,
}

#[derive(Deserialize)]
struct Whole {
    messages: Vec<serde::de::IgnoredAny>,
}

/// Reads a conversation back by its name: there must be one, of so many messages.
async fn read_back(process: &Process, id: &str, expected: RangeInclusive<usize>) -> Result<()> {
    let mut connection = Connection::open(process.address()).await?;
    let answer = connection.get(&format!("/api/conversations/?conversation_id={id}")).await?;
    let page: Page = answer.json().context(format_args!("read back {id}"))?;
    match page.results.as_slice() {
        [one] if expected.contains(&one.messages.len()) => Ok(()),
        found => {
            let counts: Vec<usize> = found.iter().map(|conversation| conversation.messages.len()).collect();
            Err(format!("{id} has {counts:?} messages after it was answered, and not {expected:?}").into())
        }
    }
}
