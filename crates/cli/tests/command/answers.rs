//! Standard output and the log: a reader that has seen enough, and a place that takes no more.

use std::process::Stdio;

use serde_json::json;

use crate::program::Folder;

const ANSWERS: [&str; 3] = ["prices list", "prices export", "key list"];

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = Folder::new();
    folder.key();
    for line in ANSWERS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);

        let ended = folder.command(line).stdout(writer).stderr(Stdio::piped()).output().unwrap();

        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{line}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let folder = Folder::new();
    folder.key();
    for line in ANSWERS {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();

        let ended = folder.command(line).stdout(full).stderr(Stdio::piped()).output().unwrap();

        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{line}: {said}");
        assert!(said.starts_with("agentsight: the answer cannot be written: "), "{line}: {said}");
    }
}

#[test]
fn why_a_request_failed_is_found_in_the_log_by_the_id_of_its_answer() {
    let folder = Folder::new();
    let key = folder.key();
    let server = folder.serve();
    let mut client = server.client(&key);
    let database = rusqlite::Connection::open(folder.data().join("agentsight.db")).unwrap();
    database.execute_batch("alter table buttons rename to mislaid").unwrap();

    let failed = client.get("/api/buttons/").unwrap();

    assert_eq!(failed, (500, json!({ "detail": "The server failed to do this; its log says why." })));
    let log = folder.log();
    let of_request: Vec<&str> = log.lines().filter(|line| line.contains(&client.request_id)).collect();
    assert!(of_request.iter().any(|line| line.contains("no such table: buttons")), "{log}");
    assert!(of_request.iter().any(|line| line.contains("/api/buttons/")), "{log}");
}

#[test]
fn a_server_whose_log_cannot_be_written_works_on() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("log")).unwrap();
    let server = folder.serve();
    let body = json!({ "conversation_id": "c", "sender": "agent", "content": "hi" });

    // Each refusal is logged.
    let refused = server.client("ags_0123456789abcdef0123456789abcdef_00ff00").post("/api/track/", &body).unwrap();
    assert_eq!(refused.0, 401);
    assert_eq!(server.client(&folder.key()).post("/api/track/", &body).unwrap().0, 201);
}
