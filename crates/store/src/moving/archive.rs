//! A backup of the embedded store while the server writes to it, and the way back.
//!
//! First the database as it was at one moment, then every attachment that it names: files are written
//! before the rows that name them and never changed, so that none can be missing. Last the manifest: a
//! folder without it is no backup.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use agentsight_model::attachment::ContentHash;
use agentsight_model::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use super::files::{self, FileSum, Named};
use super::{Trouble, Watch, carry_on};
use crate::BucketConfig;
use crate::blob::{self, Blobs, places};
use crate::engine::online::{Copied, Snapshot};
use crate::engine::{SQLITE_FILE, make_private};
use crate::error::Error;
use crate::schema::MIGRATIONS;

/// The manifest's name in a backup.
const MANIFEST: &str = "backup.json";
/// The form of the manifest that this program writes and reads.
const FORM: u32 = 1;
/// Where a restored store grows until it is whole.
const DRAFT: &str = ".agentsight-restoring";
/// Bytes that are copied or hashed at a time.
const PIECE: usize = 256 * 1024;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this manifest.
    pub backup: u32,
    /// The program that made it.
    pub agentsight: String,
    /// The version of the schema.
    pub schema: i64,
    /// When the database was as it is here.
    pub made_at: Timestamp,
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// SHA-256 of the database file.
    pub database_sha256: String,
    /// Rows by table.
    pub rows: std::collections::BTreeMap<String, u64>,
    /// Different attachments that are here, or in the bucket.
    pub files: FileSum,
    /// The bucket that has the attachments, where they are not here.
    #[serde(default)]
    pub files_in: Option<String>,
    /// SHA-256 of attachments that rows name and the store itself had lost.
    pub missing_files: Vec<String>,
}

/// How a backup is made.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// Where the present comes from.
    pub clock: Clock,
    /// Whether the bytes of attachments are read and compared with their hash, and not only their sizes.
    pub verify_files: bool,
    /// Whether it is made although the store has lost some attachments.
    pub allow_missing_files: bool,
    /// The bucket that has the attachments, where they are not in the folder. They stay there: the backup is
    /// of the database, and says whether the bucket has what that names.
    pub bucket: Option<BucketConfig>,
}

/// What goes wrong with a file, by its name.
fn on(path: &Path) -> impl Fn(io::Error) -> Trouble + '_ {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Trouble::Said(format!("no space left to write {}", path.display()))
        }
        _ => Trouble::Said(format!("{}: {error}", path.display())),
    }
}

/// Makes a backup of the embedded store of a folder in an empty folder, which is made when it is missing.
/// A server may write meanwhile; the store is not changed.
///
/// # Errors
/// Where there is no backup: what was written of it is taken away again.
pub fn backup(data: &Path, into: &Path, options: &BackupOptions, watch: &mut dyn Watch) -> Result<Manifest, Trouble> {
    let was_there = into.exists();
    if was_there && !is_empty(into)? {
        return Trouble::said(format!("{} is not empty; name a new folder for the backup", into.display()));
    }
    let snapshot = Snapshot::of(data)?;
    make_private(into).map_err(on(into))?;
    // What happens to the folder would happen to its backup.
    if is_within(into, data) {
        if !was_there {
            let _ = fs::remove_dir(into);
        }
        return Trouble::said(format!("{} is in the data folder itself; name a folder elsewhere", into.display()));
    }
    let made = fill(data, into, snapshot, options, watch);
    if made.is_err() {
        // All that is in it was written here; nothing else is touched.
        for file in [SQLITE_FILE, MANIFEST].map(|name| into.join(name)) {
            for end in ["", "-journal", "-wal", "-shm", ".draft"] {
                let mut name = file.clone().into_os_string();
                name.push(end);
                let _ = fs::remove_file(name);
            }
        }
        let _ = fs::remove_dir_all(into.join(blob::FOLDER));
        if !was_there {
            let _ = fs::remove_dir(into);
        }
    }
    made
}

fn is_within(inner: &Path, outer: &Path) -> bool {
    match (inner.canonicalize(), outer.canonicalize()) {
        (Ok(inner), Ok(outer)) => inner.starts_with(outer),
        _ => false,
    }
}

fn fill(
    data: &Path,
    into: &Path,
    snapshot: Snapshot,
    options: &BackupOptions,
    watch: &mut dyn Watch,
) -> Result<Manifest, Trouble> {
    let made_at = options.clock.now();
    let file = into.join(SQLITE_FILE);
    let counts = snapshot.counts()?;
    let schema = snapshot.version()?;
    let full = |error| match error {
        Error::Full => Trouble::Said(format!("no space left for the backup in {}", into.display())),
        other => other.into(),
    };
    copy_database(&snapshot, &file, watch).map_err(|trouble| match trouble {
        Trouble::Store(error) => full(error),
        other => other,
    })?;
    // The server's log need not wait for us any longer.
    drop(snapshot);
    File::open(&file).and_then(|file| file.sync_all()).map_err(on(&file))?;

    watch.begin("checking the database", 0, 1);
    let copy = Copied::open(&file)?;
    copy.check()?;
    if copy.counts()? != counts {
        return Trouble::said(format!("{} has not the rows that were copied; is the disk healthy?", file.display()));
    }
    watch.advance(1);

    let (mut kept, mut missing) = (FileSum::default(), Vec::new());
    watch.begin("copying files", 0, files::count(&copy.reader())?);
    let bucket = Bucket::of(options.bucket.as_ref())?;
    files::each(&copy.reader(), watch, &mut |named| {
        let is_kept = match &bucket {
            Some(bucket) => bucket.holds(named, options.verify_files)?,
            None => bring_from(data, into, named, Way::LinkOrCopy)?,
        };
        if is_kept {
            kept.add(named.size);
        } else {
            missing.push(named.text());
        }
        Ok(())
    })?;
    if let Some(first) = missing.first()
        && !options.allow_missing_files
    {
        let place = match &options.bucket {
            Some(bucket) => bucket.url.to_string(),
            None => data.join(blob::FOLDER).display().to_string(),
        };
        return Trouble::said(format!(
            "{} of the attachments that rows name are not in {place}, the first {first}; to make the backup without them, add --allow-missing-files",
            missing.len()
        ));
    }
    sync_shelves(into)?;
    if options.bucket.is_none() {
        watch.begin("checking files", 0, kept.count);
        check_files(&copy, into, options.verify_files, &missing, watch)?;
    }
    copy.close()?;

    watch.begin("hashing the database", 0, 1);
    let (database_bytes, hash) = hash_file(&file, &mut io::sink()).map_err(on(&file))?;
    watch.advance(1);
    let manifest = Manifest {
        backup: FORM,
        agentsight: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        made_at,
        database_bytes,
        database_sha256: hex::encode(hash),
        rows: counts.into_iter().collect(),
        files: kept,
        files_in: options.bucket.as_ref().map(|bucket| bucket.url.to_string()),
        missing_files: missing,
    };
    write_manifest(into, &manifest)?;
    Ok(manifest)
}

fn copy_database(snapshot: &Snapshot, file: &Path, watch: &mut dyn Watch) -> Result<(), Trouble> {
    let mut begun = None;
    let copied = snapshot.copy_to(file, &mut |left, of_all| {
        let last = *begun.get_or_insert_with(|| {
            watch.begin("copying the database (pages)", 0, of_all);
            of_all
        });
        watch.advance(last.saturating_sub(left));
        begun = Some(left);
        !watch.is_stopped()
    });
    match copied {
        Err(Error::Closed) => Err(Trouble::Stopped),
        other => Ok(other?),
    }
}

fn check_files(
    copy: &Copied,
    folder: &Path,
    read_them: bool,
    missing: &[String],
    watch: &mut dyn Watch,
) -> Result<(), Trouble> {
    files::each(&copy.reader(), watch, &mut |named| {
        let [path, _] = places(folder, named.hash);
        let is_whole = match path.metadata() {
            Ok(file) => file.len() == named.size && (!read_them || has_hash(&path, named.hash).map_err(on(&path))?),
            Err(_) => false,
        };
        if !is_whole && !missing.contains(&named.text()) {
            return Trouble::said(format!(
                "{} is not the file that it should be; is the disk healthy?",
                path.display()
            ));
        }
        Ok(())
    })
}

fn has_hash(path: &Path, hash: ContentHash) -> io::Result<bool> {
    hash_file(path, &mut io::sink()).map(|(_, found)| found == hash.0)
}

/// A bucket, and what its storage runs on.
struct Bucket {
    runtime: Runtime,
    blobs: Blobs,
}

impl Bucket {
    fn of(bucket: Option<&BucketConfig>) -> Result<Option<Self>, Trouble> {
        let open = |bucket| Ok(Self { runtime: super::runtime()?, blobs: Blobs::open(Path::new(""), Some(bucket))? });
        bucket.map(open).transpose()
    }

    fn holds(&self, named: Named, read_it: bool) -> Result<bool, Trouble> {
        Ok(if read_it {
            files::whole(&self.runtime, &self.blobs, named)?.is_some()
        } else {
            self.runtime.block_on(self.blobs.holds(named.hash, named.size))?
        })
    }
}

/// How a file is brought to another place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a second name where the file system can: the bytes under a hash never change.
    LinkOrCopy,
    /// By its bytes, which are compared with the hash on their way.
    CopyAndCompare,
}

/// Brings an attachment from one data folder to another; false where the first has not got it whole.
fn bring_from(data: &Path, into: &Path, named: Named, way: Way) -> Result<bool, Trouble> {
    let [place, aside] = places(data, named.hash);
    let [to, _] = places(into, named.hash);
    // The third look is for a file that was put back between the first two.
    for from in [&place, &aside, &place] {
        if bring(from, &to, named, way)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Brings an attachment from one place to another; false where it is not there whole.
fn bring(from: &Path, to: &Path, named: Named, way: Way) -> Result<bool, Trouble> {
    match from.metadata() {
        Ok(file) if file.len() == named.size => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(on(from)(error)),
    }
    let shelf = to.parent().unwrap_or(to);
    fs::create_dir_all(shelf).map_err(on(shelf))?;
    if way == Way::LinkOrCopy && fs::hard_link(from, to).is_ok() {
        return Ok(true);
    }
    let copy = || {
        let mut file = File::create(to)?;
        let (_, hash) = hash_file(from, &mut file)?;
        file.sync_all()?;
        Ok(hash)
    };
    let hash = copy().map_err(on(to))?;
    Ok(hash == named.hash.0)
}

/// Reads a file to its end, handing its bytes on; answers how many they are, and their SHA-256.
fn hash_file(path: &Path, out: &mut dyn io::Write) -> io::Result<(u64, [u8; 32])> {
    let (mut file, mut hash, mut piece, mut bytes) = (File::open(path)?, Sha256::new(), vec![0; PIECE], 0);
    loop {
        let count = file.read(&mut piece)?;
        let read = piece.get(..count).unwrap_or_default();
        if read.is_empty() {
            return Ok((bytes, hash.finalize().into()));
        }
        bytes += count as u64;
        hash.update(read);
        out.write_all(read)?;
    }
}

/// Has the names of all files be on the disk too.
fn sync_shelves(folder: &Path) -> Result<(), Trouble> {
    let blobs = folder.join(blob::FOLDER);
    if blobs.exists() {
        for shelf in fs::read_dir(&blobs).map_err(on(&blobs))? {
            let shelf = shelf.map_err(on(&blobs))?.path();
            sync_folder(&shelf)?;
        }
        sync_folder(&blobs)?;
    }
    sync_folder(folder)?;
    let above = folder.canonicalize().map_err(on(folder))?;
    above.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<(), Trouble> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(on(folder))
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), Trouble> {
    let (path, draft) = (folder.join(MANIFEST), folder.join(format!("{MANIFEST}.draft")));
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| Trouble::Said(error.to_string()))?;
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(&text)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(on(&path))?;
    sync_folder(folder)
}

fn read_manifest(folder: &Path) -> Result<Manifest, Trouble> {
    let path = folder.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Trouble::said(format!(
                "{} is no backup: it has no {MANIFEST}, which is written when a backup is whole",
                folder.display()
            ));
        }
        Err(error) => return Err(on(&path)(error)),
    };
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Trouble::Said(format!("{} cannot be read: {error}", path.display())))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if manifest.backup != FORM || manifest.schema > known {
        return Trouble::said(format!(
            "{} was made by a newer AgentSight ({}, schema {}; this program knows {known}); install that version or newer",
            folder.display(),
            manifest.agentsight,
            manifest.schema
        ));
    }
    Ok(manifest)
}

/// Whether a folder holds nothing, or nothing but what an earlier attempt to restore has left.
fn is_empty(folder: &Path) -> Result<bool, Trouble> {
    if !folder.is_dir() {
        return Trouble::said(format!("{} is a file; name a folder", folder.display()));
    }
    for entry in fs::read_dir(folder).map_err(on(folder))? {
        if entry.map_err(on(folder))?.file_name() != DRAFT {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes a data folder of a backup. Every byte is compared with its hash before the folder is there.
///
/// # Errors
/// Where there is no restored store: the data folder is as it was.
pub fn restore(backup: &Path, data: &Path, watch: &mut dyn Watch) -> Result<Manifest, Trouble> {
    let manifest = read_manifest(backup)?;
    let was_there = data.exists();
    if was_there && !is_empty(data)? {
        return Trouble::said(format!(
            "the data folder {} is not empty; move it away, or name another one with --data-dir",
            data.display()
        ));
    }
    // Beside the folder, and renamed as a whole; within it where it is there, for it may be a disk of its own.
    let draft = if was_there { data.join(DRAFT) } else { sibling(data)? };
    let done = grow(backup, &draft, &manifest, watch).and_then(|()| put_in_place(&draft, data, was_there));
    let _ = fs::remove_dir_all(&draft);
    done.map(|()| manifest)
}

fn sibling(data: &Path) -> Result<PathBuf, Trouble> {
    let Some(name) = data.file_name() else {
        return Trouble::said(format!("{} names no folder", data.display()));
    };
    let above = data.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(above).map_err(on(above))?;
    Ok(above.join(format!("{DRAFT}-{}", name.to_string_lossy())))
}

fn grow(backup: &Path, draft: &Path, manifest: &Manifest, watch: &mut dyn Watch) -> Result<(), Trouble> {
    if draft.exists() {
        fs::remove_dir_all(draft).map_err(on(draft))?;
    }
    make_private(draft).map_err(on(draft))?;
    let (from, file) = (backup.join(SQLITE_FILE), draft.join(SQLITE_FILE));
    if !from.is_file() {
        return Trouble::said(format!("{} is missing; the backup is damaged", from.display()));
    }
    watch.begin("copying the database", 0, 1);
    let copy = || {
        let mut out = File::create(&file)?;
        let found = hash_file(&from, &mut out)?;
        out.sync_all()?;
        Ok(found)
    };
    let (bytes, hash) = copy().map_err(on(&file))?;
    if (bytes, hex::encode(hash)) != (manifest.database_bytes, manifest.database_sha256.clone()) {
        return Trouble::said(format!(
            "{} is not the file that {MANIFEST} describes; the backup is damaged, or its server was started on it",
            from.display()
        ));
    }
    watch.advance(1);
    let database = Copied::open(&file)?;
    if manifest.files_in.is_none() {
        watch.begin("copying files", 0, files::count(&database.reader())?);
        files::each(&database.reader(), watch, &mut |named| {
            let is_whole = bring_from(backup, draft, named, Way::CopyAndCompare)?;
            if !is_whole && !manifest.missing_files.contains(&named.text()) {
                let [from, _] = places(backup, named.hash);
                return Trouble::said(format!(
                    "{} is missing or not the file that it should be; the backup is damaged",
                    from.display()
                ));
            }
            Ok(())
        })?;
    }
    database.close()?;
    carry_on(watch)?;
    sync_shelves(draft)
}

/// The last step: from here on it is a data folder.
fn put_in_place(draft: &Path, data: &Path, was_there: bool) -> Result<(), Trouble> {
    if was_there {
        // The database last: without it there is no store in the folder.
        for name in [blob::FOLDER, SQLITE_FILE] {
            let from = draft.join(name);
            if from.exists() {
                fs::rename(&from, data.join(name)).map_err(on(data))?;
            }
        }
        sync_folder(data)
    } else {
        fs::rename(draft, data).map_err(on(data))?;
        let data = data.canonicalize().map_err(on(data))?;
        data.parent().map_or(Ok(()), sync_folder)
    }
}
