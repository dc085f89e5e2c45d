//! Bytes of attachments by their content: the same file is kept once, however often it is sent.
//!
//! Bytes are written and synced before the row that names them; a crash between the two leaves a file
//! that nothing names, never a row without its file. A path is made of the hash alone.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use agentsight_model::attachment::ContentHash;
use bytes::Bytes;

use crate::error::{Error, Result};

/// The folder of a data folder that holds them.
const FOLDER: &str = "blobs";

/// Where attachments' bytes are.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    pub(crate) fn open(data_folder: &Path) -> Self {
        Self { folder: data_folder.join(FOLDER) }
    }

    /// Keeps bytes; durable when it returns.
    pub(crate) async fn put(&self, hash: ContentHash, bytes: Bytes) -> Result<()> {
        let blobs = self.clone();
        tokio::task::spawn_blocking(move || blobs.write(hash, &bytes))
            .await
            .map_err(|e| Error::Engine(e.into()))?
            .map_err(blob_error)
    }

    /// The bytes kept under a hash.
    pub(crate) async fn get(&self, hash: ContentHash) -> Result<Bytes> {
        let path = self.path(hash);
        tokio::task::spawn_blocking(move || std::fs::read(path))
            .await
            .map_err(|e| Error::Engine(e.into()))?
            .map(Bytes::from)
            .map_err(blob_error)
    }

    fn path(&self, hash: ContentHash) -> PathBuf {
        let name = hex::encode(hash.0);
        let (shelf, rest) = name.split_at(2);
        self.folder.join(shelf).join(rest)
    }

    fn write(&self, hash: ContentHash, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(hash);
        // Already there, and whole: it was renamed into place after its sync.
        if path.metadata().is_ok_and(|file| file.len() == bytes.len() as u64) {
            return Ok(());
        }
        let shelf = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(shelf)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| io::Error::other(e.to_string()))?;
        let draft = shelf.join(format!(".{}", hex::encode(random)));
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

fn blob_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Blob(error),
    }
}
