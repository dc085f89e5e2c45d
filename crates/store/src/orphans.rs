//! Attachments against their rows: files that are missing, and files that nothing names.
//!
//! Bytes are written before the row that names them, so a crash leaves files without a row. They are
//! removed in two steps, because an upload of the same bytes may come at any moment and find the file
//! there: an orphan is first set aside, where reads still find it and an upload does not. Then everybody
//! who may have found it in its place has written their row, or has been refused it
//! ([`KEPT_FOR`](blob::KEPT_FOR)). Only then are the rows asked again: a file that is named meanwhile is
//! put back, and the others are removed. A process that ends in between leaves files aside, which the
//! next run deals with.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use agentsight_model::attachment::ContentHash;

use crate::Store;
use crate::blob::{self, Kept, Name};
use crate::conversation::count;
use crate::engine::{Reader, damaged, params};
use crate::error::Result;

/// How long files stay aside before the rows are asked again: a row may follow its file for half of
/// this, and a commit may take the other half.
const ASIDE_FOR: Duration = blob::KEPT_FOR.saturating_mul(2);
/// Hashes that are looked up in one read.
const LOOK_UP: usize = 256;

/// What is removed.
#[derive(Clone, Copy, Debug)]
pub struct Prune {
    /// Only what was written at least so long ago, by the clock of the storage.
    pub older_than: Duration,
    /// Only say what would be removed.
    pub dry_run: bool,
    /// How long files stay aside before they are removed. Less than the default loses files that are
    /// uploaded again meanwhile; only for tests.
    pub aside_for: Duration,
}

impl Default for Prune {
    fn default() -> Self {
        Self { older_than: Duration::from_secs(24 * 60 * 60), dry_run: false, aside_for: ASIDE_FOR }
    }
}

/// What the work has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobEvent {
    /// So many of the 256 shelves have been looked at.
    Looked {
        /// How many.
        shelves: u16,
    },
    /// A row names a file that is not there in its size.
    Missing {
        /// SHA-256 of its bytes.
        hash: ContentHash,
        /// How large it should be.
        size: u64,
    },
    /// A file that no row names.
    Orphan {
        /// SHA-256 of its bytes.
        hash: ContentHash,
        /// How large it is.
        size: u64,
        /// How long ago it was written.
        age: Duration,
    },
    /// A file that was not finished.
    Draft {
        /// Its name on its shelf.
        name: String,
        /// How large it is.
        size: u64,
        /// How long ago it was written.
        age: Duration,
    },
    /// A file that is not ours, which is left alone.
    Foreign {
        /// Its name on its shelf.
        name: String,
    },
    /// Files were set aside; the rows are asked again after this time.
    Waiting {
        /// How many.
        files: u64,
        /// How long.
        wait: Duration,
    },
    /// A file that was set aside is named by a row now, and is in its place again.
    PutBack {
        /// SHA-256 of its bytes.
        hash: ContentHash,
    },
    /// A file is gone for good.
    Removed {
        /// SHA-256 of its bytes.
        hash: ContentHash,
    },
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobTotals {
    /// Files that are there and named.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that rows name and that are not there.
    pub missing: u64,
    /// Files that no row names.
    pub orphans: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Files that were not finished.
    pub drafts: u64,
    /// Files that are not ours.
    pub foreign: u64,
    /// Files removed for good, drafts included.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

/// Hears of events as they happen.
type Tell<'a> = &'a mut (dyn FnMut(BlobEvent) + Send);

impl Store {
    /// Compares the storage of attachments with the rows, one shelf of 256 in memory at a time.
    ///
    /// # Errors
    /// Where either cannot be read.
    pub async fn check_blobs(&self, tell: Tell<'_>) -> Result<BlobTotals> {
        let now = self.shared.blobs.probe().await?;
        let mut totals = BlobTotals::default();
        for shelf in 0..=u8::MAX {
            // The files first: a file that comes with its row meanwhile is not taken for an orphan.
            let kept = self.shared.blobs.shelf(shelf).await?;
            let mut named = self.named_on(shelf).await?;
            for file in kept {
                let age = age(&file, now);
                match file.name {
                    Name::Whole(hash) | Name::Aside(hash) => match named.get(&hash.0) {
                        Some(size) if *size == file.size => {
                            named.remove(&hash.0);
                            totals.files += 1;
                            totals.bytes += file.size;
                        }
                        // Told as missing below.
                        Some(_) => {}
                        None => {
                            totals.orphans += 1;
                            totals.orphan_bytes += file.size;
                            tell(BlobEvent::Orphan { hash, size: file.size, age });
                        }
                    },
                    Name::Draft(name) => {
                        totals.drafts += 1;
                        tell(BlobEvent::Draft { name, size: file.size, age });
                    }
                    Name::Foreign(name) => {
                        totals.foreign += 1;
                        tell(BlobEvent::Foreign { name });
                    }
                }
            }
            for (hash, size) in named {
                let hash = ContentHash(hash);
                // It may have come with its row since the files were listed.
                if self.shared.blobs.holds(hash, size).await? {
                    totals.files += 1;
                    totals.bytes += size;
                } else {
                    totals.missing += 1;
                    tell(BlobEvent::Missing { hash, size });
                }
            }
            tell(BlobEvent::Looked { shelves: u16::from(shelf) + 1 });
        }
        Ok(totals)
    }

    /// Removes files that no row names, and drafts that nobody will finish. Safe while servers run.
    ///
    /// # Errors
    /// Where the rows or the storage cannot be read, or a file cannot be removed. What was set aside then
    /// stays aside, and the next run deals with it.
    pub async fn prune_blobs(&self, prune: Prune, tell: Tell<'_>) -> Result<BlobTotals> {
        let now = self.shared.blobs.probe().await?;
        let mut totals = BlobTotals::default();
        let mut aside = Vec::new();
        for shelf in 0..=u8::MAX {
            self.prune_shelf(shelf, prune, now, &mut totals, &mut aside, tell).await?;
            tell(BlobEvent::Looked { shelves: u16::from(shelf) + 1 });
        }
        if aside.is_empty() {
            return Ok(totals);
        }
        tell(BlobEvent::Waiting { files: aside.len() as u64, wait: prune.aside_for });
        tokio::time::sleep(prune.aside_for).await;
        for some in aside.chunks(LOOK_UP) {
            let hashes = some.iter().map(|(hash, _)| *hash).collect();
            let named = self.named(hashes).await?;
            for ((hash, size), named) in some.iter().zip(named) {
                self.decide(*hash, *size, named, &mut totals, tell).await?;
            }
        }
        Ok(totals)
    }

    async fn prune_shelf(
        &self,
        shelf: u8,
        prune: Prune,
        now: SystemTime,
        totals: &mut BlobTotals,
        aside: &mut Vec<(ContentHash, u64)>,
        tell: Tell<'_>,
    ) -> Result<()> {
        let kept = self.shared.blobs.shelf(shelf).await?;
        for some in kept.chunks(LOOK_UP) {
            let named = self.named(some.iter().filter_map(|file| hash_of(&file.name)).collect()).await?;
            let mut named = named.into_iter();
            for file in some {
                let (age, size) = (age(file, now), file.size);
                match &file.name {
                    Name::Whole(hash) => {
                        if named.next() == Some(true) {
                            totals.files += 1;
                            totals.bytes += size;
                        } else if age >= prune.older_than {
                            totals.orphans += 1;
                            totals.orphan_bytes += size;
                            tell(BlobEvent::Orphan { hash: *hash, size, age });
                            if !prune.dry_run {
                                self.shared.blobs.set_aside(*hash).await?;
                                aside.push((*hash, size));
                            }
                        }
                    }
                    // A run that ended early left it.
                    Name::Aside(hash) => {
                        let named = named.next() == Some(true);
                        match (prune.dry_run, named || age >= prune.aside_for) {
                            (true, _) => {}
                            (false, true) => self.decide(*hash, size, named, totals, tell).await?,
                            (false, false) => aside.push((*hash, size)),
                        }
                    }
                    Name::Draft(name) => {
                        totals.drafts += 1;
                        tell(BlobEvent::Draft { name: name.clone(), size, age });
                        if age >= prune.older_than && !prune.dry_run {
                            self.shared.blobs.remove(shelf, &file.name).await?;
                            totals.removed += 1;
                            totals.removed_bytes += size;
                        }
                    }
                    Name::Foreign(name) => {
                        totals.foreign += 1;
                        tell(BlobEvent::Foreign { name: name.clone() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the time aside of a file.
    async fn decide(
        &self,
        hash: ContentHash,
        size: u64,
        named: bool,
        totals: &mut BlobTotals,
        tell: Tell<'_>,
    ) -> Result<()> {
        if named {
            self.shared.blobs.put_back(hash).await?;
            totals.files += 1;
            totals.bytes += size;
            tell(BlobEvent::PutBack { hash });
        } else {
            self.shared.blobs.remove(0, &Name::Aside(hash)).await?;
            totals.removed += 1;
            totals.removed_bytes += size;
            tell(BlobEvent::Removed { hash });
        }
        Ok(())
    }

    /// Sizes of the files of a shelf that rows name.
    async fn named_on(&self, shelf: u8) -> Result<HashMap<[u8; 32], u64>> {
        // Of all agents: a file is shared by whoever has sent it.
        const NAMED: &str =
            "select hash, max(size_bytes) from attachments where hash >= ?1 and hash <= ?2 group by hash";
        let (mut first, mut last) = ([0; 32], [u8::MAX; 32]);
        first[0] = shelf;
        last[0] = shelf;
        let read = move |reader: &Reader<'_>| {
            let mut named = HashMap::new();
            reader.each(NAMED, params![first.as_slice(), last.as_slice()], |row| {
                let hash: [u8; 32] = row.blob(0)?.try_into().map_err(|_| damaged(0))?;
                named.insert(hash, count(row.int(1)?));
                Ok(())
            })?;
            Ok(named)
        };
        self.engine.read(read).await
    }

    /// Whether rows name these files, in this order.
    async fn named(&self, hashes: Vec<ContentHash>) -> Result<Vec<bool>> {
        const NAMED: &str = "select count(*) from (select 1 from attachments where hash = ?1 limit 1) found";
        let read = move |reader: &Reader<'_>| {
            let named = hashes.iter().map(|hash| {
                let found = reader.one(NAMED, params![hash.0.as_slice()], |row| row.flag(0))?;
                Ok(found == Some(true))
            });
            named.collect()
        };
        self.engine.read(read).await
    }
}

fn hash_of(name: &Name) -> Option<ContentHash> {
    match name {
        Name::Whole(hash) | Name::Aside(hash) => Some(*hash),
        Name::Draft(_) | Name::Foreign(_) => None,
    }
}

/// How long ago a file was written; nothing, where it is newer than the storage's present.
fn age(file: &Kept, now: SystemTime) -> Duration {
    now.duration_since(file.modified).unwrap_or_default()
}
