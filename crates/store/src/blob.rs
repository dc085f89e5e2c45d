//! Bytes of attachments by their content: the same file is kept once, however often it is sent.
//!
//! They lie in the data folder ([`disk`]) or in a bucket ([`bucket`]), under a name made of the hash
//! alone: `blobs/ab/cdef…`. Bytes are durable before the row that names them; a crash between the two
//! leaves a file that nothing names, never a row without its file.
//!
//! What nothing names is found and removed by `orphans.rs`, which first sets a file aside
//! (`blobs/ab/cdef….aside`) and looks at the rows again much later. So nothing here ever has to ask
//! whether somebody is about to remove what it has just found.

mod address;
mod bucket;
mod disk;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use agentsight_model::attachment::ContentHash;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;

pub use address::{BucketConfig, BucketUrl, Secret};

use crate::error::{Error, Result};

/// The folder of a data folder, or of a bucket, that holds them.
pub(crate) const FOLDER: &str = "blobs";
/// What stands behind the name of a file that was set aside.
const ASIDE: &str = ".aside";
/// How long an answer to "does the storage work?" is believed.
const HEALTH_BELIEVED: Duration = Duration::from_secs(5);

/// How long after a file was kept, or found, its row may be written at the latest. A row that comes
/// later is refused, for its file may be gone: `orphans.rs` waits longer than this.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(60);

/// Where a data folder has the bytes of a hash: in their place, or set aside.
pub(crate) fn places(data_folder: &Path, hash: ContentHash) -> [PathBuf; 2] {
    [Name::Whole(hash), Name::Aside(hash)].map(|name| {
        let (shelf, name) = name.of_hash();
        data_folder.join(FOLDER).join(shelf).join(name)
    })
}

/// Where attachments' bytes are.
pub(crate) struct Blobs {
    place: Place,
    health: Mutex<Option<Seen>>,
}

#[derive(Clone)]
enum Place {
    Disk(disk::Disk),
    Bucket(bucket::Bucket),
}

/// What was last seen of the storage.
struct Seen {
    at: Instant,
    problem: Option<String>,
}

impl Blobs {
    /// Takes the place in hand, without touching it.
    pub(crate) fn open(data_folder: &Path, bucket: Option<&BucketConfig>) -> Result<Self> {
        let place = match bucket {
            Some(bucket) => Place::Bucket(bucket::Bucket::open(bucket)?),
            None => Place::Disk(disk::Disk::open(data_folder)),
        };
        Ok(Self { place, health: Mutex::new(None) })
    }

    /// Keeps bytes; durable when it returns.
    ///
    /// It goes on when nobody waits for it any more: a sender that hangs up leaves nothing half-written.
    pub(crate) async fn put(&self, hash: ContentHash, bytes: Bytes) -> Result<()> {
        let place = self.place.clone();
        let kept = tokio::spawn(async move {
            match place {
                Place::Disk(disk) => disk.put(hash, bytes).await,
                Place::Bucket(bucket) => bucket.put(hash, bytes).await,
            }
        });
        kept.await.map_err(|e| Error::Engine(e.into()))?
    }

    /// Opens the bytes kept under a hash, or a part of them.
    ///
    /// A file that is set aside is read where it is.
    pub(crate) async fn get(&self, hash: ContentHash, size: u64, range: Range<u64>) -> Result<FileBytes> {
        // The third look is for a file that was put back between the first two.
        for name in [Name::Whole(hash), Name::Aside(hash), Name::Whole(hash)] {
            let opened = match &self.place {
                Place::Disk(disk) => disk.get(&name, size, range.clone()).await?,
                Place::Bucket(bucket) => bucket.get(&name, size, range.clone()).await?,
            };
            if let Some(bytes) = opened {
                return Ok(FileBytes::exactly(bytes, range.end - range.start));
            }
        }
        Err(Error::Lost { hash })
    }

    /// Whether bytes of this size are kept under a hash, in place or aside.
    pub(crate) async fn holds(&self, hash: ContentHash, size: u64) -> Result<bool> {
        for name in [Name::Whole(hash), Name::Aside(hash), Name::Whole(hash)] {
            let found = match &self.place {
                Place::Disk(disk) => disk.size(&name).await?,
                Place::Bucket(bucket) => bucket.size(&name).await?,
            };
            if found == Some(size) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes, reads and removes a small file. Answers what time the storage says it is.
    pub(crate) async fn probe(&self) -> Result<SystemTime> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| Error::Engine(e.to_string().into()))?;
        let name = format!(".probe-{}", hex::encode(random));
        match &self.place {
            Place::Disk(disk) => disk.probe(name).await,
            Place::Bucket(bucket) => bucket.probe(&name).await,
        }
    }

    /// Whether the storage answers; asked again after a few seconds at the earliest.
    pub(crate) async fn check(&self) -> Result<()> {
        let mut seen = self.health.lock().await;
        if seen.as_ref().is_none_or(|seen| seen.at.elapsed() >= HEALTH_BELIEVED) {
            let answered = match &self.place {
                Place::Disk(disk) => disk.check().await,
                Place::Bucket(bucket) => bucket.check().await,
            };
            let problem = match answered {
                Ok(()) => None,
                Err(Error::Blob(why)) => Some(why),
                Err(other) => return Err(other),
            };
            *seen = Some(Seen { at: Instant::now(), problem });
        }
        match seen.as_ref().and_then(|seen| seen.problem.clone()) {
            Some(why) => Err(Error::Blob(why)),
            None => Ok(()),
        }
    }

    /// Everything on one of the 256 shelves: the files whose hash begins with this byte.
    pub(crate) async fn shelf(&self, shelf: u8) -> Result<Vec<Kept>> {
        match &self.place {
            Place::Disk(disk) => disk.shelf(shelf).await,
            Place::Bucket(bucket) => bucket.shelf(shelf).await,
        }
    }

    /// Gives a file the name that only [`Blobs::get`] and `orphans.rs` look at.
    pub(crate) async fn set_aside(&self, hash: ContentHash) -> Result<()> {
        self.rename(Name::Whole(hash), Name::Aside(hash)).await
    }

    /// Gives a file that was set aside its own name again.
    pub(crate) async fn put_back(&self, hash: ContentHash) -> Result<()> {
        self.rename(Name::Aside(hash), Name::Whole(hash)).await
    }

    async fn rename(&self, from: Name, to: Name) -> Result<()> {
        match &self.place {
            Place::Disk(disk) => disk.rename(from, to).await,
            Place::Bucket(bucket) => bucket.rename(&from, &to).await,
        }
    }

    /// Removes a file for good. One that is not there is no failure.
    pub(crate) async fn remove(&self, shelf: u8, name: &Name) -> Result<()> {
        match &self.place {
            Place::Disk(disk) => disk.remove(shelf, name.clone()).await,
            Place::Bucket(bucket) => bucket.remove(shelf, name).await,
        }
    }
}

/// A file on a shelf.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) name: Name,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
}

/// What the name of a file on a shelf says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// All bytes of this hash.
    Whole(ContentHash),
    /// The same, about to be removed unless a row names it.
    Aside(ContentHash),
    /// Bytes that are being written, or were when a process ended.
    Draft(String),
    /// Nothing that we have put there.
    Foreign(String),
}

impl Name {
    fn read(shelf: u8, text: &str) -> Self {
        let hash = |rest: &str| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(format!("{shelf:02x}{rest}"), &mut bytes).ok()?;
            // One spelling per hash, so that no two files are taken for the same.
            (!rest.bytes().any(|b| b.is_ascii_uppercase())).then_some(ContentHash(bytes))
        };
        let aside = text.strip_suffix(ASIDE).and_then(hash).map(Self::Aside);
        let draft =
            text.strip_prefix('.').filter(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
        match (hash(text), aside, draft) {
            (Some(hash), ..) => Self::Whole(hash),
            (_, Some(aside), _) => aside,
            (.., Some(_)) => Self::Draft(text.to_owned()),
            _ => Self::Foreign(text.to_owned()),
        }
    }

    /// The shelf and the name on it.
    fn on_shelf(&self, shelf: u8) -> (String, String) {
        let split = |hash: &ContentHash| {
            let name = hex::encode(hash.0);
            let (shelf, rest) = name.split_at(2);
            (shelf.to_owned(), rest.to_owned())
        };
        match self {
            Self::Whole(hash) => split(hash),
            Self::Aside(hash) => {
                let (shelf, rest) = split(hash);
                (shelf, rest + ASIDE)
            }
            Self::Draft(name) | Self::Foreign(name) => (format!("{shelf:02x}"), name.clone()),
        }
    }

    /// The same for a name that says its shelf by itself.
    fn of_hash(&self) -> (String, String) {
        self.on_shelf(0)
    }
}

/// Which bytes of a file are asked for, as in an HTTP range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Whole,
    /// From here to the end.
    From(u64),
    /// From the first to the last, both included.
    Between(u64, u64),
    /// So many at the end.
    Last(u64),
}

impl Part {
    /// The bytes that this is of a file of a size; nothing, where the file has none of them.
    #[must_use]
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Whole => return Some(0..size),
            Self::From(first) => first..size,
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// The bytes of a file on their way out, a piece at a time. Exactly as many as were promised, or an error.
pub struct FileBytes(BoxStream<'static, Result<Bytes>>);

impl FileBytes {
    /// Ends with an error where the storage gives fewer bytes, or more, than it said.
    fn exactly(bytes: BoxStream<'static, Result<Bytes>>, count: u64) -> Self {
        let counted = futures_util::stream::try_unfold((bytes, count), |(mut bytes, left)| async move {
            match bytes.try_next().await? {
                None if left == 0 => Ok(None),
                None => Err(Error::Blob(format!("a file ended {left} bytes early"))),
                Some(piece) => match left.checked_sub(piece.len() as u64) {
                    Some(left) => Ok(Some((piece, (bytes, left)))),
                    None => Err(Error::Blob("a file is longer than it was".to_owned())),
                },
            }
        });
        Self(counted.boxed())
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// Where the storage fails on the way.
    pub async fn collect(self) -> Result<Bytes> {
        let pieces: Vec<Bytes> = self.0.try_collect().await?;
        Ok(pieces.concat().into())
    }
}

impl Stream for FileBytes {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for FileBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileBytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_the_file_has_of_it() {
        for (part, of_ten) in [
            (Part::Whole, Some(0..10)),
            (Part::From(0), Some(0..10)),
            (Part::From(9), Some(9..10)),
            (Part::From(10), None),
            (Part::Between(2, 2), Some(2..3)),
            (Part::Between(2, u64::MAX), Some(2..10)),
            (Part::Between(10, 11), None),
            (Part::Last(3), Some(7..10)),
            (Part::Last(99), Some(0..10)),
            (Part::Last(0), None),
        ] {
            assert_eq!(part.of(10), of_ten, "{part:?}");
        }
        assert_eq!((Part::Whole.of(0), Part::From(0).of(0), Part::Last(1).of(0)), (Some(0..0), None, None));
    }

    #[test]
    fn a_name_on_a_shelf_says_what_it_is() {
        let hash = ContentHash::of(b"hello");
        let (shelf, rest) = Name::Whole(hash).of_hash();
        let byte = hash.0[0];
        assert_eq!(shelf, format!("{byte:02x}"));

        assert_eq!(Name::read(byte, &rest), Name::Whole(hash));
        assert_eq!(Name::read(byte, &format!("{rest}.aside")), Name::Aside(hash));
        assert_eq!(Name::read(byte, ".0123456789abcdef"), Name::Draft(".0123456789abcdef".to_owned()));
        for foreign in [rest.to_uppercase(), format!("{rest}0"), ".DS_Store".to_owned(), "notes.txt".to_owned()] {
            assert_eq!(Name::read(byte, &foreign), Name::Foreign(foreign.clone()));
        }
    }

    #[tokio::test]
    async fn bytes_that_end_early_or_late_are_an_error() {
        let pieces =
            || futures_util::stream::iter([Ok(Bytes::from_static(b"he")), Ok(Bytes::from_static(b"llo"))]).boxed();

        assert_eq!(FileBytes::exactly(pieces(), 5).collect().await.unwrap(), "hello");
        let early = FileBytes::exactly(pieces(), 6).collect().await.unwrap_err();
        let late = FileBytes::exactly(pieces(), 4).collect().await.unwrap_err();

        assert_eq!(early.to_string(), "attachment storage failed: a file ended 1 bytes early");
        assert_eq!(late.to_string(), "attachment storage failed: a file is longer than it was");
    }
}
