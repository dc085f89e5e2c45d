//! A disk that is really full.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::Folder;
use crate::stopping::check_integrity;

/// A file system of a few MiB; gone with the test.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Result<Self, String> {
        std::fs::create_dir(at).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(at)
            .output()
            .map_err(|e| e.to_string())?;
        if done.status.success() { Ok(Self(at)) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_keeps_what_was_acknowledged() {
    let folder = Folder::new();
    let data = folder.data();
    let _disk = match SmallDisk::mount(&data) {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("skipped: no small disk can be mounted here: {reason}");
            return;
        }
    };
    let key = folder.key();
    let server = folder.serve();
    let mut client = server.client(&key);
    let mut acknowledged = Vec::new();
    let message = |number: usize, size: usize| json!({ "conversation_id": "c-1", "sender": "agent", "content": format!("{number} {}", "x".repeat(size)) });

    let refusal = (0..2_000).find_map(|number| match client.post("/api/track/", &message(number, 60_000)).unwrap() {
        (201, stored) => {
            acknowledged.push((stored["id"].as_i64().unwrap(), stored["content"].as_str().unwrap().to_owned()));
            None
        }
        other => Some(other),
    });

    assert_eq!(refusal.unwrap(), (507, json!({ "detail": "The server has no space left; nothing was stored." })));
    assert!(!acknowledged.is_empty());
    let file =
        json!({ "conversation_id": "c-1", "attachments": [{ "filename": "a", "data": "eHh4".repeat(200_000) }] });
    let (status, _) = client.post("/api/attachments/", &file).unwrap();
    assert!(status == 507 || status == 201, "a file finds no space, or the last of it: {status}");
    let all_there = |client: &mut crate::program::Client| {
        for (id, content) in &acknowledged {
            let (status, found) = client.get(&format!("/api/track/{id}/")).unwrap();
            assert_eq!((status, found["content"].as_str()), (200, Some(content.as_str())), "message {id}");
        }
        let (status, listed) = client.get("/api/conversations/?full=false").unwrap();
        assert_eq!((status, &listed["count"]), (200, &Value::from(1)));
    };
    all_there(&mut client);
    drop(server);
    // Killed on a full disk, started on a full disk.
    let again = folder.serve();
    all_there(&mut again.client(&key));
    drop(again);
    check_integrity(&data);
}

#[test]
fn a_disk_that_is_too_small_for_a_copy_is_named_and_nothing_is_left_on_it() {
    let folder = Folder::new();
    let (data, small) = (folder.data(), folder.path().join("small"));
    let _disk = match SmallDisk::mount(&small) {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("skipped: no small disk can be mounted here: {reason}");
            return;
        }
    };
    folder.key();
    let database = rusqlite::Connection::open(data.join("agentsight.db")).unwrap();
    // 8 MB for a disk of 6.
    database
        .execute_batch(
            "with recursive n(n) as (select 1 union all select n + 1 from n where n < 8000)
             insert into messages select 1, 1, n, n, 1, hex(zeroblob(500)), null, null, null, 0 from n",
        )
        .unwrap();
    drop(database);

    let backup = folder.run("backup small/backup");
    let left = std::fs::read_dir(&small).unwrap().count();
    let migrate = folder.run("migrate --from sqlite:agentsight-data --to sqlite:small/data");

    assert_eq!((backup.code, left), (Some(1), 0), "{backup:?}");
    assert!(backup.err.ends_with("agentsight: no space left for the backup in small/backup\n"), "{backup:?}");
    assert_eq!(migrate.code, Some(1));
    assert!(
        migrate.err.ends_with("agentsight: no space left on the target sqlite:small/data; make room and run the same command again, it goes on where it stopped\n"),
        "{migrate:?}"
    );
}
