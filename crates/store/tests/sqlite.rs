//! What only the embedded engine knows: its folder, its file, and other programs at it.
#![expect(clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::time::Duration;

use agentsight_model::key::Role;
use agentsight_store::{Error, Store, StoreConfig};
use rusqlite::Connection;

/// Why a folder cannot be opened, with its path left out.
fn refused(folder: &Path) -> String {
    match Store::open(folder, &StoreConfig::default()) {
        Err(Error::Open(sentence)) => sentence.replace(&folder.display().to_string(), "DATA"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("opened {}", folder.display()),
    }
}

#[tokio::test]
async fn a_missing_folder_is_made_with_all_above_it() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("a/b ü/c?d#e%41");

    let store = Store::open(&folder, &StoreConfig::default()).unwrap();
    store.check().await.unwrap();
    store.close().await;

    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["agentsight.db", "search.db"]);
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    Store::open(temp.path(), &StoreConfig::default()).unwrap().close().await;
    let database = Connection::open(temp.path().join("agentsight.db")).unwrap();
    database.execute("insert into migrations values (99, 'from the future', 0)", []).unwrap();
    let known: i64 =
        database.query_row("select max(version) from migrations where version < 99", [], |row| row.get(0)).unwrap();
    drop(database);

    assert_eq!(
        refused(temp.path()),
        format!(
            "DATA/agentsight.db was written by a newer AgentSight (schema 99, this program knows {known}); install that version or newer"
        )
    );
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("agentsight.db");
    Connection::open(&file).unwrap().execute_batch("create table theirs (a); insert into theirs values (1)").unwrap();
    let before = std::fs::read(&file).unwrap();

    assert_eq!(refused(temp.path()), "DATA/agentsight.db belongs to another program; choose another data folder");

    assert!(std::fs::read(&file).unwrap() == before, "the file was changed");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("agentsight.db");
    let text = "dear diary, ".repeat(500);
    std::fs::write(&file, &text).unwrap();

    assert_eq!(
        refused(temp.path()),
        "DATA/agentsight.db is not an AgentSight database (it may be damaged); restore it from a backup or choose another data folder"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_folder_that_cannot_hold_files_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("data");
    std::fs::write(&file, "").unwrap();

    assert_eq!(refused(&file), "data folder DATA is a file; name a folder");
    let below = file.join("deeper");
    assert_eq!(refused(&below), "data folder DATA cannot be written: Not a directory (os error 20)");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_nobody_may_write_is_named() {
    // Even the superuser makes no files here.
    let sentence = refused(Path::new("/proc/self"));
    assert!(sentence.starts_with("data folder DATA cannot be written: "), "{sentence}");
}

#[tokio::test]
async fn a_full_queue_says_when_to_try_again() {
    let temp = tempfile::tempdir().unwrap();
    let patience = Duration::from_millis(50);
    let config = StoreConfig { queue_bytes: 1, queue_patience: patience, ..StoreConfig::default() };
    let store = Store::open(temp.path(), &config).unwrap();
    let other = Connection::open(temp.path().join("agentsight.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.mint_key("first", Role::Read, None).await.map(|_| ()) }
    });
    tokio::task::yield_now().await;

    let refused = store.mint_key("second", Role::Read, None).await;

    let Err(error @ Error::Busy { retry_after }) = refused else { panic!("{refused:?}") };
    assert_eq!(retry_after, patience);
    assert_eq!(error.to_string(), "the write queue is full, try again in 0 s");
    other.execute_batch("rollback").unwrap();
    waiting.await.unwrap().unwrap();
    store.mint_key("third", Role::Read, None).await.unwrap();
    let agents: Vec<_> = store.list_keys().await.unwrap().into_iter().map(|key| key.agent).collect();
    assert_eq!(agents, ["first", "third"]);
}

#[tokio::test]
async fn two_processes_may_write_one_folder() {
    let temp = tempfile::tempdir().unwrap();
    let one = Store::open(temp.path(), &StoreConfig::default()).unwrap();
    let two = Store::open(temp.path(), &StoreConfig::default()).unwrap();

    for n in 0..30 {
        one.mint_key(&format!("a{n}"), Role::Read, None).await.unwrap();
        two.mint_key(&format!("b{n}"), Role::Read, None).await.unwrap();
    }

    let keys = one.list_keys().await.unwrap();
    let mut ids: Vec<_> = keys.iter().map(|key| key.id).collect();
    ids.dedup();
    assert_eq!((keys.len(), ids.len()), (60, 60));
    assert_eq!(two.list_keys().await.unwrap(), keys);
}
