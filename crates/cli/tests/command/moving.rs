//! `agentsight backup`, `restore` and `migrate`, as an operator runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::program::{Folder, Said, Server, eventually};
use crate::schema::TempSchema;
use crate::stopping::check_integrity;

/// Ten conversations, each with a file.
fn record(server: &Server, key: &str) {
    let mut client = server.client(key);
    for n in 0..10 {
        let name = format!("c-{n}");
        let message =
            json!({ "conversation_id": name, "sender": "end_user", "content": format!("Where is parcel {n}?") });
        assert_eq!(client.post("/api/track/", &message).unwrap().0, 201);
        let file = json!({ "conversation_id": name, "attachments": [{ "filename": "a.txt", "data": "aGVsbG8=" }] });
        assert_eq!(client.post("/api/attachments/", &file).unwrap().0, 201);
    }
}

/// All ten, whole; their links are signed anew for each answer.
fn fetched(server: &Server, key: &str) -> Vec<Value> {
    let mut client = server.client(key);
    let mut whole = Vec::new();
    for n in 1..=10 {
        let (status, mut conversation) = client.get(&format!("/api/conversations/{n}/")).unwrap();
        assert_eq!(status, 200, "{conversation}");
        let file = conversation.pointer_mut("/messages/1/attachments/0/file_url").unwrap();
        let link = file.as_str().unwrap();
        let path = link.find("/files/").and_then(|at| link.get(at..)).unwrap_or_else(|| panic!("{link}"));
        assert_eq!(download(server, path), "hello");
        *file = Value::Null;
        whole.push(conversation);
    }
    whole
}

/// What lies behind a signed link, which needs no key.
fn download(server: &Server, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn well(said: &Said) {
    assert_eq!(said.code, Some(0), "{said:?}");
}

fn sentence(said: &Said) -> &str {
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    said.err.trim_end().rsplit('\n').next().unwrap()
}

#[test]
fn a_backup_under_load_is_restored_and_served() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.key();
    record(&server, &key);
    let before = fetched(&server, &key);
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (mut client, over) = (server.client(&key), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut written = 0;
                while !over.load(Ordering::Relaxed) {
                    let body = json!({ "conversation_id": format!("load-{writer}"), "sender": "agent", "content": format!("{written}") });
                    assert_eq!(client.post("/api/track/", &body).unwrap().0, 201);
                    written += 1;
                }
                written
            })
        })
        .collect();

    let made = folder.run("backup kept --verify-blobs");
    let again = folder.run("backup kept");
    over.store(true, Ordering::Relaxed);
    let written: i32 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    drop(server);
    let restored = folder.run("restore kept --data-dir restored");
    let twice = folder.run("restore kept --data-dir restored");

    assert!(written > 0);
    well(&made);
    assert!(made.out.starts_with("Backup  kept\n") && made.out.contains("attachments    1 (5 bytes)"), "{made:?}");
    assert_eq!(sentence(&again), "agentsight: kept is not empty; name a new folder for the backup");
    well(&restored);
    assert_eq!(
        sentence(&twice),
        "agentsight: the data folder restored is not empty; move it away, or name another one with --data-dir"
    );
    check_integrity(&folder.path().join("restored"));
    let server = folder.serve_with("serve --listen 127.0.0.1:0 --data-dir restored", &[]);
    assert_eq!(fetched(&server, &key), before);
    drop(server);
    // The backup itself is a data folder; here a copy of it is served.
    well(&folder.run("restore kept --data-dir another"));
    let server = folder.serve_with("serve --listen 127.0.0.1:0 --data-dir another", &[]);
    assert_eq!(fetched(&server, &key), before);
}

#[test]
fn a_store_is_moved_there_and_back() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.key();
    record(&server, &key);
    let before = fetched(&server, &key);
    let busy = folder.run("migrate --from sqlite:agentsight-data --to sqlite:second");
    assert_eq!(
        sentence(&busy),
        "agentsight: agentsight-data/agentsight.db is in use by another program; stop the server and run this again"
    );
    drop(server);

    let schema = TempSchema::new();
    let (second, dirs) = match &schema {
        Some(schema) => (schema.address(), ["--to-data-dir second", "--from-data-dir second"]),
        None => ("sqlite:second".to_owned(), ["", ""]),
    };
    let there = folder.run(&format!("migrate --from sqlite:agentsight-data/agentsight.db --to {second} {}", dirs[0]));
    let back = folder.run(&format!("migrate --from {second} --to sqlite:third {}", dirs[1]));
    let again = folder.run(&format!("migrate --from {second} --to sqlite:third {}", dirs[1]));
    let full = folder.run("migrate --from sqlite:agentsight-data --to sqlite:third");

    for said in [&there, &back, &again] {
        well(said);
        assert!(
            said.out.lines().count() > 15 && said.out.lines().skip(1).all(|line| line.ends_with("the same")),
            "{said:?}"
        );
    }
    assert!(there.err.contains("copying rows: ") && there.err.contains("Moved and verified: "), "{there:?}");
    assert!(there.err.contains("10 conversations wait for it"), "{there:?}");
    assert!(again.err.contains("nothing was copied now, and both still hold the same."), "{again:?}");
    assert_eq!(
        sentence(&full),
        "agentsight: the target sqlite:third is not empty (it has rows in id_blocks); name an empty one"
    );
    let server = folder.serve_with("serve --listen 127.0.0.1:0 --data-dir third", &[]);
    assert_eq!(fetched(&server, &key), before);
    if schema.is_some() {
        let variables = [("AGENTSIGHT_DATABASE_URL", second.as_str())];
        let server = folder.serve_with("serve --listen 127.0.0.1:0 --data-dir second", &variables);
        assert_eq!(fetched(&server, &key), before);
    }
}

/// A folder whose store has enough messages for a signal to come in the middle of its move.
fn filled() -> Folder {
    let folder = Folder::new();
    well(&folder.run("demo --once --listen 127.0.0.1:0 --conversations 300 --data-dir agentsight-data"));
    let data = rusqlite::Connection::open(folder.data().join("agentsight.db")).unwrap();
    data.execute_batch(
        "with recursive n(n) as (select 1 union all select n + 1 from n where n < 60000)
         insert into messages select 1, 1, 1000000 + n, 10000000 + n, 1, 'filling ' || n, null, null, null, 0 from n",
    )
    .unwrap();
    folder
}

/// Ends a move twice in its middle, once by a signal that it may answer; then lets it come to its end.
fn move_with_interruptions(folder: &Folder, command: &str, target: &str, has_begun: impl Fn() -> bool) {
    for (signal, code) in [("INT", Some(1)), ("KILL", None)] {
        let mut moving = folder.command(command);
        let mut child = moving.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        eventually("rows are copied", &has_begun);
        let sent = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), code, "{signal}");
        let variables = [("AGENTSIGHT_DATABASE_URL", target)];
        let variables = if target.is_empty() { &[][..] } else { &variables };
        let served = folder.run_with("serve --listen 127.0.0.1:0 --data-dir second", variables);
        assert!(sentence(&served).contains("is being filled by `agentsight migrate`"), "{served:?}");
    }
    let done = folder.run(command);
    well(&done);
    assert!(done.err.contains("Moved and verified: "), "{done:?}");
}

#[test]
fn a_move_that_is_interrupted_or_killed_goes_on() {
    let folder = filled();
    // The log grows with every page that is copied.
    let log = folder.path().join("second/agentsight.db-wal");
    let has_begun = || log.metadata().is_ok_and(|log| log.len() > 1_000_000);

    move_with_interruptions(&folder, "migrate --from sqlite:agentsight-data --to sqlite:second", "", has_begun);

    check_integrity(&folder.path().join("second"));
}

#[test]
fn a_move_into_a_server_that_is_interrupted_or_killed_goes_on() {
    let Some(schema) = TempSchema::new() else { return };
    let folder = filled();
    let target = schema.address();
    // Each part of a table is a transaction of its own, so that its rows are seen as they come.
    let is_there = || schema.run("select to_regclass('messages') is not null") == ["t"];
    let copied = || if is_there() { schema.run("select count(*) from messages")[0].parse().unwrap_or(0) } else { 0 };
    let before = std::cell::Cell::new(0_u64);
    let has_begun = || copied() > before.get();
    let command = format!("migrate --from sqlite:agentsight-data --to {target} --to-data-dir second");

    move_with_interruptions(&folder, &command, &target, || {
        let has_begun = has_begun();
        if has_begun {
            before.set(copied());
        }
        has_begun
    });

    assert_eq!(schema.run("select count(*) = count(distinct id) and count(*) > 60000 from messages"), ["t"]);
}

#[test]
fn what_cannot_be_moved_or_backed_up_is_said_in_a_sentence() {
    let folder = Folder::new();
    let database = [("AGENTSIGHT_DATABASE_URL", "postgres://me:secret@db/chats")];

    let wrong = folder.run("migrate --from data --to mysql://me:secret@db/chats");
    let same = folder.run("migrate --from sqlite:data --to sqlite:data");
    let nothing = folder.run("migrate --from sqlite:data --to sqlite:other");
    let empty = folder.run("backup kept");
    let no_backup = folder.run("restore kept");
    let of_server = folder.run_with("backup kept", &database);
    let to_server = folder.run_with("restore kept", &database);

    let how = "it begins neither with sqlite: nor with postgres://; write sqlite:FOLDER or postgres://user:password@host:5432/database";
    assert_eq!(wrong.err, format!("agentsight: --from: {how}\n            --to: {how}\n"));
    assert_eq!(sentence(&same), "agentsight: source and target are the same store; name another target");
    assert_eq!(sentence(&nothing), "agentsight: there is no AgentSight store in data: it holds no agentsight.db");
    assert_eq!(
        sentence(&empty),
        "agentsight: there is no AgentSight store in agentsight-data: it holds no agentsight.db"
    );
    assert_eq!(
        sentence(&no_backup),
        "agentsight: kept is no backup: it has no backup.json, which is written when a backup is whole"
    );
    for said in [of_server, to_server] {
        assert_eq!(
            sentence(&said),
            "agentsight: the data is in postgres://db:5432/chats: back it up and restore it with pg_dump and pg_restore, or with the server's own point-in-time recovery, and copy the attachments in agentsight-data/blobs after the database"
        );
    }
    assert!(!folder.path().join("other").exists() && !folder.path().join("kept").exists());
}
