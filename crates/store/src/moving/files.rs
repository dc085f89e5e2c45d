//! The bytes of attachments: every hash that a row names, from one place to another.

use agentsight_model::attachment::ContentHash;
use bytes::Bytes;
use tokio::runtime::Runtime;

use super::{Trouble, Watch, carry_on};
use crate::blob::Blobs;
use crate::engine::{Reader, params};
use crate::error::{Error, Result};

/// Files that are looked up at a time.
const PAGE: i64 = 1_000;

/// What became of the files that rows name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Different files that rows name, and their bytes.
    pub named: FileSum,
    /// SHA-256 of files that the source has not, or not whole.
    pub missing: Vec<String>,
    /// SHA-256 of files that the target has not, or not whole.
    pub different: Vec<String>,
}

/// A number of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileSum {
    /// How many.
    pub count: u64,
    /// Bytes of them all.
    pub bytes: u64,
}

impl FileSum {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// A file that rows name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) hash: ContentHash,
    pub(super) size: u64,
}

impl Named {
    pub(super) fn text(&self) -> String {
        hex::encode(self.hash.0)
    }

    fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.size && ContentHash::of(bytes) == self.hash
    }
}

/// How many different files rows name.
pub(super) fn count(reader: &Reader<'_>) -> Result<u64> {
    let found = reader.one("select count(distinct hash) from attachments", &[], |row| row.int(0))?;
    Ok(found.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// The files behind a hash, by their hash.
pub(super) fn named(reader: &Reader<'_>, after: Option<ContentHash>) -> Result<Vec<Named>> {
    const NAMED: &str =
        "select hash, max(size_bytes) from attachments where hash > ?1 group by hash order by hash limit ?2";
    let after = after.map(|hash| hash.0.to_vec()).unwrap_or_default();
    reader.all(NAMED, params![after.as_slice(), PAGE], |row| {
        let damaged = |column| Error::Damaged { table: "attachments", column };
        let hash = <[u8; 32]>::try_from(row.blob(0)?).map_err(|_| damaged(0))?;
        let size = u64::try_from(row.int(1)?).map_err(|_| damaged(1))?;
        Ok(Named { hash: ContentHash(hash), size })
    })
}

/// Runs `each` on every file that rows name.
pub(super) fn each(
    reader: &Reader<'_>,
    watch: &mut dyn Watch,
    each: &mut dyn FnMut(Named) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut after = None;
    loop {
        let page = named(reader, after)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.hash);
        for file in page {
            carry_on(watch)?;
            each(file)?;
            watch.advance(1);
        }
    }
}

/// The bytes of a file, where they are there and the right ones.
pub(super) fn whole(runtime: &Runtime, blobs: &Blobs, file: Named) -> Result<Option<Bytes>> {
    if !runtime.block_on(blobs.holds(file.hash, file.size))? {
        return Ok(None);
    }
    let read = runtime.block_on(async { blobs.get(file.hash, file.size, 0..file.size).await?.collect().await });
    match read {
        Ok(bytes) => Ok(file.is(&bytes).then_some(bytes)),
        Err(Error::Lost { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
