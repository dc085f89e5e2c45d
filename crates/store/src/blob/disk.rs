//! Attachments in the data folder: written to a draft, synced, renamed into place, the folders synced.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use agentsight_model::attachment::ContentHash;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, try_unfold};

use super::{FOLDER, Kept, Name};
use crate::error::{Error, Result};

/// Bytes read at a time: few hops between threads, and little held for a slow reader.
const PIECE: u64 = 256 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub(super) fn open(data_folder: &Path) -> Self {
        Self { folder: data_folder.join(FOLDER) }
    }

    pub(super) async fn put(self, hash: ContentHash, bytes: Bytes) -> Result<()> {
        blocking(move || self.write(hash, &bytes)).await
    }

    /// The bytes in this range, where the file is there in its whole size.
    pub(super) async fn get(
        &self,
        name: &Name,
        size: u64,
        range: Range<u64>,
    ) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
        let path = self.path(0, name);
        let start = range.start;
        let opened = blocking(move || {
            let Some(mut file) = present(File::open(path))? else { return Ok(None) };
            if file.metadata()?.len() != size {
                return Ok(None);
            }
            file.seek(SeekFrom::Start(start))?;
            Ok(Some(file))
        });
        let Some(file) = opened.await? else { return Ok(None) };
        let pieces = try_unfold((file, range.end - range.start), |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            blocking(move || {
                let mut piece = Vec::new();
                let read = (&mut file).take(left.min(PIECE)).read_to_end(&mut piece)? as u64;
                Ok((read > 0).then(|| (Bytes::from(piece), (file, left - read))))
            })
            .await
        });
        Ok(Some(pieces.boxed()))
    }

    pub(super) async fn size(&self, name: &Name) -> Result<Option<u64>> {
        let path = self.path(0, name);
        blocking(move || Ok(present(path.metadata())?.map(|file| file.len()))).await
    }

    pub(super) async fn probe(&self, name: String) -> Result<SystemTime> {
        let folder = self.folder.clone();
        blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let path = folder.join(name);
            let tried = probe(&path);
            let _ = std::fs::remove_file(&path);
            tried
        })
        .await
    }

    /// The folder is made with the first file; until then the data folder stands in for it.
    pub(super) async fn check(&self) -> Result<()> {
        let folder = self.folder.clone();
        blocking(move || {
            let place = if folder.exists() { folder.as_path() } else { folder.parent().unwrap_or(&folder) };
            let found = place.metadata()?;
            if !found.is_dir() || found.permissions().readonly() {
                return Err(io::Error::other(format!("{} is no folder that can be written", place.display())));
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn shelf(&self, shelf: u8) -> Result<Vec<Kept>> {
        let folder = self.folder.join(format!("{shelf:02x}"));
        blocking(move || {
            let mut kept = Vec::new();
            let Some(entries) = present(std::fs::read_dir(&folder))? else { return Ok(kept) };
            for entry in entries {
                let entry = entry?;
                // Gone between the list and the look: a draft that was renamed.
                let Some(about) = present(entry.metadata())? else { continue };
                let name = Name::read(shelf, &entry.file_name().to_string_lossy());
                let name =
                    if about.is_file() { name } else { Name::Foreign(entry.file_name().to_string_lossy().into()) };
                kept.push(Kept { name, size: about.len(), modified: about.modified()? });
            }
            Ok(kept)
        })
        .await
    }

    pub(super) async fn rename(&self, from: Name, to: Name) -> Result<()> {
        let (from, to) = (self.path(0, &from), self.path(0, &to));
        let folder = self.folder.clone();
        blocking(move || {
            // The age of what was set aside counts from now. A file that is not there has been dealt with.
            let Some(file) = present(File::open(&from))? else { return Ok(()) };
            file.set_modified(written_now(&folder)?)?;
            if present(std::fs::rename(&from, &to))?.is_some() {
                File::open(to.parent().unwrap_or(&folder))?.sync_all()?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn remove(&self, shelf: u8, name: Name) -> Result<()> {
        let path = self.path(shelf, &name);
        blocking(move || present(std::fs::remove_file(path)).map(drop)).await
    }

    fn path(&self, shelf: u8, name: &Name) -> PathBuf {
        let (shelf, name) = name.on_shelf(shelf);
        self.folder.join(shelf).join(name)
    }

    fn write(&self, hash: ContentHash, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(0, &Name::Whole(hash));
        // Already there, and whole: it was renamed into place after its sync.
        if path.metadata().is_ok_and(|file| file.len() == bytes.len() as u64) {
            return Ok(());
        }
        let shelf = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(shelf)?;
        let draft = shelf.join(format!(".{}", random_name()?));
        let written = File::create(&draft).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| std::fs::rename(&draft, &path)) {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
        // The names must be on disk too: the file's in its shelf, the shelf's in the folder, and its own.
        File::open(shelf)?.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        match self.folder.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn random_name() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(hex::encode(random))
}

fn probe(path: &Path) -> io::Result<SystemTime> {
    const WORDS: &[u8] = b"agentsight was here";
    let mut file = File::create(path)?;
    file.write_all(WORDS)?;
    file.sync_all()?;
    if std::fs::read(path)? != WORDS {
        return Err(io::Error::other("what was written did not come back"));
    }
    file.metadata()?.modified()
}

/// What time the file system says it is.
fn written_now(folder: &Path) -> io::Result<SystemTime> {
    let path = folder.join(format!(".probe-{}", random_name()?));
    let now = File::create(&path).and_then(|file| file.metadata()?.modified());
    let _ = std::fs::remove_file(&path);
    now
}

/// Nothing, where there is no such file.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Does work that waits for the disk on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Error::Engine(e.into()))?;
    done.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Blob(error.to_string()),
    })
}
