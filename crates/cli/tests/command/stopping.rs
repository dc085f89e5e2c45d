//! Stopping in order, and being killed in the middle of things.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::program::{Folder, eventually};

#[test]
fn a_stop_by_signal_is_in_order() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        let key = folder.key();
        let mut server = folder.serve();
        let body = json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi" });
        assert_eq!(server.client(&key).post("/api/track/", &body).unwrap().0, 201);

        server.signal(signal);

        assert_eq!(server.ended(), Some(0), "{signal}");
        assert!(!folder.data().join("agentsight.db-wal").exists(), "the log was folded into the database");
        let again = folder.serve();
        assert_eq!(
            again.client(&key).get("/api/conversations/?conversation_id=c-1").unwrap().1["results"][0]["messages"][0]["content"],
            "hi"
        );
    }
}

/// Kills a server that takes writes from many sides, again and again, and looks every
/// acknowledged message up after each restart. `AGENTSIGHT_TEST_KILLS` says how often.
#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    const WRITERS: usize = 6;
    const ACKNOWLEDGED_BETWEEN_KILLS: usize = 120;
    let kills = std::env::var("AGENTSIGHT_TEST_KILLS").map_or(5, |text| text.parse().unwrap());
    let folder = Folder::new();
    let key = folder.key();
    let mut checked = 0;
    for kill in 0..kills {
        let mut server = folder.serve();
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (mut client, acknowledged, over) = (server.client(&key), Arc::clone(&acknowledged), Arc::clone(&over));
                std::thread::spawn(move || {
                    for number in 0.. {
                        let content = format!("kill {kill} writer {writer} number {number}");
                        let body = json!({ "conversation_id": format!("c-{}", number % 7), "sender": "agent", "content": content });
                        match client.post("/api/track/", &body) {
                            Ok((201, message)) => acknowledged.lock().unwrap().push((message["id"].as_i64().unwrap(), content)),
                            Ok((status, answer)) => panic!("{status} {answer}"),
                            Err(_) if over.load(Ordering::SeqCst) => return,
                            Err(error) => panic!("{error} before the kill"),
                        }
                    }
                })
            })
            .collect();
        // A different moment each time.
        eventually("messages are acknowledged", || {
            acknowledged.lock().unwrap().len() >= ACKNOWLEDGED_BETWEEN_KILLS + kill * 7 % 50
        });
        over.store(true, Ordering::SeqCst);
        server.signal("KILL");
        assert_eq!(server.ended(), None);
        writers.into_iter().for_each(|writer| writer.join().unwrap());

        let again = folder.serve();
        let mut client = again.client(&key);
        for (id, content) in acknowledged.lock().unwrap().iter() {
            let (status, message) = client.get(&format!("/api/track/{id}/")).unwrap();
            assert_eq!(
                (status, message["content"].as_str()),
                (200, Some(content.as_str())),
                "message {id} after kill {kill}"
            );
            checked += 1;
        }
        let mut again = again;
        again.signal("KILL");
        again.ended();
        check_integrity(&folder.data());
    }
    assert!(checked >= kills * ACKNOWLEDGED_BETWEEN_KILLS);
}

/// SQLite's own opinion of the database.
pub(crate) fn check_integrity(data: &std::path::Path) {
    let database = rusqlite::Connection::open(data.join("agentsight.db")).unwrap();
    let word: String = database.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(word, "ok");
    let broken: i64 = database.query_row("select count(*) from messages m where not exists (select 1 from conversations c where c.agent_id = m.agent_id and c.id = m.conversation)", [], |row| row.get(0)).unwrap();
    assert_eq!(broken, 0, "messages without their conversation");
}
