//! Several nodes on one PostgreSQL, and everything that may happen to them: started together, killed, cut off, their
//! database restarted, replaced by its standby, migrated half-way.
//!
//! Nothing here runs without `AGENTSIGHT_TEST_POSTGRES`. These tests take their time and start servers of their own, so
//! that a plain `cargo test` leaves them out; `cargo xtask test --only nodes` runs them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::cluster::{Cluster, url_of};
use crate::program::{Client, Folder, Server, eventually};
use crate::schema::TempSchema;
use crate::wire::Wire;

const KEY: &str = "ags_0123456789abcdef0123456789abcdef_00ff00";
/// No sync: these tests kill processes, and what a process has written outlives it.
const SETTINGS: &str = "fsync = off\nfull_page_writes = off\nshared_buffers = 32MB";
/// A node that soon takes a server for lost that does not answer.
const IMPATIENT: &str = "--database-connect-seconds 1 --query-seconds 1";

/// Nodes that share a database and the folder of the attachments.
struct Nodes {
    folder: Folder,
    schema: TempSchema,
}

impl Nodes {
    /// On a schema of their own of the server that the tests were given; none where they were given none.
    fn new() -> Option<Self> {
        Some(Self { folder: Folder::new(), schema: TempSchema::new()? })
    }

    fn on(server: String) -> Self {
        Self { folder: Folder::new(), schema: TempSchema::on(server) }
    }

    /// The schema, over whichever way leads to a server.
    fn url(&self, server: &str) -> String {
        let mark = if server.contains('?') { '&' } else { '?' };
        format!("{server}{mark}schema={}", self.schema.name)
    }

    fn serve(&self) -> Server {
        self.serve_over(&self.schema.server, "")
    }

    /// Starts a node that reaches the database in a way of its own.
    fn serve_over(&self, server: &str, flags: &str) -> Server {
        let url = self.url(server);
        let variables = [("AGENTSIGHT_DATABASE_URL", url.as_str()), ("AGENTSIGHT_BOOTSTRAP_API_KEY", KEY)];
        self.folder.serve_with(&format!("serve --listen 127.0.0.1:0 {flags}"), &variables)
    }

    /// Looks up through a node what was acknowledged, and that nothing is there twice.
    fn check(&self, through: &Server, kept: &[(i64, String)]) {
        let mut client = through.client(KEY);
        for (id, content) in kept {
            let (status, message) = client.get(&format!("/api/track/{id}/")).unwrap();
            assert_eq!((status, message["content"].as_str()), (200, Some(content.as_str())), "message {id}");
        }
        assert_eq!(kept.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), kept.len(), "an id was given twice");
        let doubles = self.schema.run("select content from messages group by content having count(*) > 1");
        assert!(doubles.is_empty(), "stored twice: {doubles:?}");
        let miscounted = self.schema.run(
            "select conversation_id from conversations c where message_count
                <> (select count(*) from messages m where m.agent_id = c.agent_id and m.conversation = c.id)",
        );
        assert!(miscounted.is_empty(), "miscounted: {miscounted:?}");
    }
}

/// Writers that send each message once, to a node that chance picks, and note what was acknowledged.
struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Addresses of the nodes that take requests now.
    nodes: Mutex<Vec<String>>,
    kept: Mutex<Vec<(i64, String)>>,
    refused: AtomicUsize,
    over: AtomicBool,
}

impl Load {
    fn on(nodes: &[&Server]) -> Self {
        const WRITERS: u64 = 6;
        let shared = Arc::new(Shared::default());
        *shared.nodes.lock().unwrap() = nodes.iter().map(|node| node.address.clone()).collect();
        let writers = (0..WRITERS)
            .map(|writer| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.write(writer))
            })
            .collect();
        Self { shared, writers }
    }

    fn acknowledged(&self) -> usize {
        self.shared.kept.lock().unwrap().len()
    }

    fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Waits until so many more were acknowledged.
    fn goes_on(&self, more: usize) {
        let before = self.acknowledged();
        eventually("writes are acknowledged", || {
            assert!(self.writers.iter().all(|writer| !writer.is_finished()), "a writer gave up");
            self.acknowledged() >= before + more
        });
    }

    /// Sends requests to these nodes from now on.
    fn turn_to(&self, nodes: &[&Server]) {
        *self.shared.nodes.lock().unwrap() = nodes.iter().map(|node| node.address.clone()).collect();
    }

    /// Stops, and hands over what was acknowledged.
    fn end(self) -> Vec<(i64, String)> {
        self.shared.over.store(true, Ordering::SeqCst);
        self.writers.into_iter().for_each(|writer| writer.join().unwrap());
        std::mem::take(&mut *self.shared.kept.lock().unwrap())
    }
}

impl Shared {
    fn write(&self, writer: u64) {
        let mut chance = fastrand::Rng::with_seed(writer);
        let mut clients: Vec<(String, Client)> = Vec::new();
        for number in 0.. {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            let address = chance.choice(self.nodes.lock().unwrap().iter()).unwrap().clone();
            let known = clients.iter().position(|(known, _)| *known == address).unwrap_or_else(|| {
                clients.push((address.clone(), Client::to(&address, KEY)));
                clients.len() - 1
            });
            let client = &mut clients[known].1;
            let content = format!("writer {writer} number {number}");
            // Each writer meets the others in some conversations and is alone in one.
            let conversation = format!("c-{}", chance.u64(0..4) * 10 + chance.u64(0..2) * writer);
            let body = json!({ "conversation_id": conversation, "sender": "agent", "content": content });
            match client.post("/api/track/", &body) {
                Ok((201, message)) => self.kept.lock().unwrap().push((message["id"].as_i64().unwrap(), content)),
                Ok((503, answer)) => {
                    assert!(answer["detail"].is_string(), "{answer}");
                    assert!(client.retry_after.is_some(), "no Retry-After with {answer}");
                    self.refused.fetch_add(1, Ordering::SeqCst);
                }
                Ok((status, answer)) => panic!("{status} {answer}"),
                // The node went away under it.
                Err(_) => drop(clients.swap_remove(known)),
            }
        }
    }
}

fn ready(node: &Server) -> (u16, Value) {
    node.client(KEY).get("/readyz").unwrap()
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn ten_nodes_start_together_on_an_empty_schema() {
    let Some(nodes) = Nodes::new() else { return };

    let all: Vec<Server> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..10).map(|_| scope.spawn(|| nodes.serve())).collect();
        starting.into_iter().map(|node| node.join().unwrap()).collect()
    });

    for (number, node) in all.iter().enumerate() {
        let body = json!({ "conversation_id": "c", "sender": "agent", "content": format!("at node {number}") });
        assert_eq!(node.client(KEY).post("/api/track/", &body).unwrap().0, 201);
    }
    for node in &all {
        let (_, found) = node.client(KEY).get("/api/conversations/?conversation_id=c").unwrap();
        assert_eq!((&found["count"], &found["results"][0]["message_count"]), (&json!(1), &json!(10)));
    }
    assert_eq!(nodes.schema.run("select count(*) = max(version) from migrations"), ["t"]);
    assert_eq!(nodes.schema.run("select count(*) from api_keys"), ["1"]);
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn what_one_node_is_told_every_node_knows() {
    let Some(nodes) = Nodes::new() else { return };
    let (here, there) = (nodes.serve(), nodes.serve());
    let url = nodes.url(&nodes.schema.server);
    let variables = [("AGENTSIGHT_DATABASE_URL", url.as_str())];
    let key = nodes.folder.key_with(&variables);
    let (mut here, mut there) = (here.client(&key), there.client(&key));

    for number in 0..50 {
        let (name, word) = (format!("c-{number}"), format!("word{number}"));
        let body = json!({ "conversation_id": name, "sender": "end_user", "content": format!("the {word} itself") });
        let (status, message) = here.post("/api/track/", &body).unwrap();
        assert_eq!(status, 201);

        let (_, by_name) = there.get(&format!("/api/conversations/?conversation_id={name}")).unwrap();
        let found = there.get(&format!("/api/conversations/?message_contains={word}%20it")).unwrap().1;
        let again = there.post("/api/track/", &json!({ "conversation_id": name, "sender": "agent", "content": "yes" }));

        assert_eq!(by_name["results"][0]["messages"][0]["id"], message["id"]);
        assert_eq!((&found["count"], &found["results"][0]["conversation_id"]), (&json!(1), &json!(name)));
        assert_eq!(again.unwrap().0, 201);
        std::mem::swap(&mut here, &mut there);
    }
    let id = nodes.schema.run("select k.id from api_keys k join agents a on a.id = k.agent_id where a.name = 'bot'");
    assert_eq!(nodes.folder.run_with(&format!("key revoke {}", id[0]), &variables).code, Some(0));
    for node in [&mut here, &mut there] {
        eventually("the revoked key is refused", || node.get("/api/me/").unwrap().0 == 401);
    }
}

/// `AGENTSIGHT_TEST_KILLS` says how often.
#[test]
#[ignore = "cargo xtask test --only nodes"]
fn nothing_acknowledged_is_lost_when_a_node_is_killed() {
    let Some(nodes) = Nodes::new() else { return };
    let kills = std::env::var("AGENTSIGHT_TEST_KILLS").map_or(12, |text| text.parse().unwrap());
    let mut all = [nodes.serve(), nodes.serve(), nodes.serve()];
    let load = Load::on(&all.each_ref());

    for kill in 0..kills {
        // A different moment each time.
        load.goes_on(20 + kill * 7 % 50);
        let killed = kill % all.len();
        all[killed].signal("KILL");
        assert_eq!(all[killed].ended(), None);
        all[killed] = nodes.serve();
        load.turn_to(&all.each_ref());
    }
    load.goes_on(50);

    let kept = load.end();
    assert!(kept.len() >= kills * 20);
    nodes.check(&all[0], &kept);
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_node_that_is_cut_off_loses_and_doubles_nothing() {
    let Some(nodes) = Nodes::new() else { return };
    let wire = Wire::to(&nodes.schema.server);
    let cut_off = nodes.serve_over(&wire.url(&nodes.schema.server), IMPATIENT);
    let near = nodes.serve();
    let load = Load::on(&[&cut_off, &near]);

    for cut in 0..12 {
        load.goes_on(20 + cut * 7 % 50);
        match cut % 3 {
            // The connections break, and the next ones are refused.
            0 => {
                wire.unplug();
                eventually("the node misses its database", || ready(&cut_off).0 == 503);
                wire.plug_in();
            }
            // They break and come back at once.
            1 => {
                wire.unplug();
                wire.plug_in();
            }
            // Nothing is heard any more, and what was on its way arrives late.
            _ => {
                wire.fall_silent();
                eventually("the node misses its database", || ready(&cut_off).0 == 503);
                wire.speak_again();
            }
        }
        load.turn_to(&[&near]);
        load.goes_on(20);
        eventually("the node is back", || ready(&cut_off).0 == 200);
        load.turn_to(&[&cut_off, &near]);
    }
    load.turn_to(&[&cut_off]);
    load.goes_on(50);

    nodes.check(&near, &load.end());
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_primary_that_restarts_is_waited_for() {
    if Nodes::new().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let primary = Cluster::start(&in_the_open(&folder), SETTINGS).unwrap();
    let nodes = Nodes::on(primary.url());
    let all = [nodes.serve(), nodes.serve()];
    let load = Load::on(&all.each_ref());

    for mode in ["immediate", "fast", "immediate", "fast"] {
        load.goes_on(100);
        primary.control(&["-w", "-m", mode, "restart"]).unwrap();
    }
    load.goes_on(100);
    assert_eq!(load.refused(), 0, "a restart is shorter than the time that a write waits");

    primary.control(&["-w", "-m", "fast", "stop"]).unwrap();
    for node in &all {
        let (status, said) = ready(node);
        assert_eq!((status, said["status"].as_str()), (503, Some("failing")));
        assert!(said["detail"].as_str().unwrap().starts_with("the database is not available: "), "{said}");
        let mut client = node.client(KEY);
        let (status, said) = client.get("/api/conversations/1/").unwrap();
        assert_eq!((status, client.retry_after), (503, Some(2)));
        assert_eq!(said, json!({ "detail": "The database is not available, try again later." }));
    }
    eventually("writes are refused", || load.refused() > 0);
    primary.control(&["-w", "start"]).unwrap();
    load.goes_on(100);
    for node in &all {
        eventually("the node is ready again", || ready(node).0 == 200);
    }

    nodes.check(&all[0], &load.end());
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_standby_takes_over_and_no_acknowledged_write_is_lost() {
    if Nodes::new().is_none() {
        return;
    }
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let synchronous = format!("{SETTINGS}\nsynchronous_standby_names = '*'\nsynchronous_commit = remote_apply");
    let primary = Cluster::start(&in_the_open(&folders[0]), &synchronous).unwrap();
    let standby = Cluster::standby_of(&primary, &in_the_open(&folders[1]), SETTINGS).unwrap();
    // The standby first: it is passed over as long as it only reads.
    let nodes = Nodes::on(url_of(&format!("{},{}", standby.address(), primary.address())));
    let all = [nodes.serve(), nodes.serve(), nodes.serve()];
    let load = Load::on(&all.each_ref());
    load.goes_on(300);

    primary.kill().unwrap();
    standby.control(&["-w", "promote"]).unwrap();
    load.goes_on(300);

    let kept = load.end();
    let nodes = Nodes { schema: TempSchema::of(standby.url(), nodes.schema.name.clone()), ..nodes };
    for node in &all {
        assert_eq!(ready(node).0, 200);
    }
    nodes.check(&all[0], &kept);
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_write_is_not_acknowledged_before_the_standby_has_it() {
    if Nodes::new().is_none() {
        return;
    }
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let synchronous = format!("{SETTINGS}\nsynchronous_standby_names = '*'");
    let primary = Cluster::start(&in_the_open(&folders[0]), &synchronous).unwrap();
    let standby = Cluster::standby_of(&primary, &in_the_open(&folders[1]), SETTINGS).unwrap();
    let nodes = Nodes::on(primary.url());
    let (node, other) = (nodes.serve_over(&primary.url(), IMPATIENT), nodes.serve_over(&primary.url(), IMPATIENT));
    // With a timestamp, so that a body that comes again is known.
    let body = |content: &str| json!({ "conversation_id": "c", "sender": "agent", "content": content, "timestamp": "2026-03-02T09:15:00Z" });
    assert_eq!(node.client(KEY).post("/api/track/", &body("both have it")).unwrap().0, 201);

    let waits = "select count(*) from conversations where unindexed_since is not null";
    eventually("nothing but the next request writes", || nodes.schema.run(waits) == ["0"]);

    standby.control(&["-w", "-m", "immediate", "stop"]).unwrap();
    let late = |node: &Server| {
        let mut client = node.client(KEY);
        let (status, said) = client.post("/api/track/", &body("the standby is away")).unwrap();
        assert_eq!((status, client.retry_after.is_some()), (503, true), "{said}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| late(&node));
        let asking = "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock'";
        eventually("the node asks what became of its commit", || nodes.schema.run(asking) == ["t"]);
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
        assert_eq!(nodes.schema.run(ended), ["t"]);
        // What it has written can be seen now, and is not safe yet. The same request again must not be told that it is.
        scope.spawn(|| late(&other));
    });

    standby.control(&["-w", "start"]).unwrap();
    eventually("the nodes are ready again", || ready(&node).0 == 200 && ready(&other).0 == 200);
    let mut client = other.client(KEY);
    assert_eq!(client.post("/api/track/", &body("both have it again")).unwrap().0, 201);
    assert!(matches!(client.post("/api/track/", &body("the standby is away")).unwrap().0, 200 | 201));
    assert_eq!(nodes.schema.run("select count(*) from messages where content = 'the standby is away'"), ["1"]);
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_migration_that_was_killed_goes_on_where_it_stopped() {
    let Some(nodes) = Nodes::new() else { return };
    let wire = Wire::to(&nodes.schema.server);
    let url = nodes.url(&wire.url(&nodes.schema.server));
    let variables = [("AGENTSIGHT_DATABASE_URL", url.as_str())];

    // From the first words of the connection to the last ones of the schema, which is a text of some 8 kB.
    for heard in (200..8_000).step_by(700) {
        wire.fall_silent_after(heard);
        let mut node = nodes.folder.start("serve --listen 127.0.0.1:0", &variables);
        eventually("the node is within its migration", || wire.is_silent());
        node.kill().unwrap();
        node.wait().unwrap();
        wire.unplug();
        wire.plug_in();
    }

    let node = nodes.serve();
    assert_eq!(ready(&node).0, 200);
    assert_eq!(nodes.schema.run("select count(*) = max(version) from migrations"), ["t"]);
    drop(node);
    nodes.schema.run("insert into migrations values (99, 'from the future', 0)");
    let said = nodes.folder.run_with("serve --listen 127.0.0.1:0", &variables);
    assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (Some(1), "", 1));
    assert!(said.err.contains(" was written by a newer AgentSight (schema 99, this program knows "), "{}", said.err);
    assert!(said.err.ends_with("; install that version or newer\n"), "{}", said.err);
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_node_takes_no_more_connections_than_it_may() {
    let Some(nodes) = Nodes::new() else { return };
    let name = &nodes.schema.name;
    let server = format!("{}?application_name={name}", nodes.schema.server);
    let node = nodes.serve_over(&server, "--database-connections 3");

    std::thread::scope(|scope| {
        for number in 0..16 {
            let mut client = node.client(KEY);
            scope.spawn(move || {
                let body = json!({ "conversation_id": "c", "sender": "agent", "content": number.to_string() });
                assert_eq!(client.post("/api/track/", &body).unwrap().0, 201);
                for _ in 0..20 {
                    assert_eq!(client.get("/api/conversations/").unwrap().0, 200);
                }
            });
        }
    });

    let taken = nodes
        .schema
        .run(&format!("select count(*) between 3 and 5 from pg_stat_activity where application_name = '{name}'"));
    assert_eq!(taken, ["t"], "three for reads at most, and two for writes");
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_query_past_its_time_is_ended_and_logged() {
    let Some(nodes) = Nodes::new() else { return };
    let node = nodes.serve_over(&nodes.schema.server, "--query-seconds 1 --slow-query-ms 300");
    let mut client = node.client(KEY);
    let body = json!({ "conversation_id": "c", "sender": "agent", "content": "hi" });
    assert_eq!(client.post("/api/track/", &body).unwrap().0, 201);

    // Somebody holds the table until they are ended.
    let hold = "begin; lock table conversations in access exclusive mode; select pg_sleep(60)";
    let answer = std::thread::scope(|scope| {
        let holder = scope.spawn(|| nodes.schema.try_run(hold));
        let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = 'conversations'::regclass";
        eventually("the table is held", || nodes.schema.run(held) == ["1"]);
        let answer = client.get("/api/conversations/?message_contains=secret").unwrap();
        nodes.schema.run("select pg_terminate_backend(pid) from pg_stat_activity where query like 'set search_path%pg_sleep(60)' and pid <> pg_backend_pid()");
        assert!(holder.join().unwrap().is_err());
        answer
    });

    let text = "The query took longer than 1 seconds; narrow it with a filter.";
    assert_eq!((answer, client.retry_after), ((503, json!({ "detail": text })), Some(5)));
    let log = nodes.folder.log();
    let line = log.lines().find(|line| line.contains("slow statements")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("took_ms=") && line.contains("select "), "{line}");
    assert!(!log.contains("secret"), "{log}");
    assert_eq!(client.get("/api/conversations/").unwrap().0, 200);
}

#[test]
#[ignore = "cargo xtask test --only nodes"]
fn a_server_is_reached_over_tls_by_a_certificate_that_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let place = in_the_open(&folder);
    std::fs::create_dir(&place).unwrap();
    let file = |name: &str| place.join(name).display().to_string();
    certify(&file("server"), "IP:127.0.0.1");
    certify(&file("stranger"), "IP:127.0.0.1");
    certify(&file("named"), "DNS:database.example");
    let settings =
        |name: &str| format!("{SETTINGS}\nssl = on\nssl_cert_file = '{}.crt'\nssl_key_file = '{0}.key'", file(name));
    let cluster = Cluster::start(&place, &settings("server")).unwrap();
    let over = |mode: &str| format!("{}?sslmode={mode}", cluster.url());
    let verified = |name: &str| over(&format!("verify-full&sslrootcert={}.crt", file(name)));
    let nodes = Nodes::on(cluster.url());
    let refusal = |server: &str| {
        let said =
            nodes.folder.run_with("serve --listen 127.0.0.1:0", &[("AGENTSIGHT_DATABASE_URL", &nodes.url(server))]);
        assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (Some(1), "", 1), "{said:?}");
        said.err
    };

    for server in [over("require"), verified("server")] {
        let node = nodes.serve_over(&server, "");
        let body = json!({ "conversation_id": "c", "sender": "agent", "content": server });
        assert_eq!(node.client(KEY).post("/api/track/", &body).unwrap().0, 201);
        let encrypted = "select bool_and(s.ssl), count(*) > 1 from pg_stat_activity a join pg_stat_ssl s using (pid) where application_name = 'agentsight'";
        assert_eq!(nodes.schema.run(encrypted), ["t", "t"]);
    }
    for server in [verified("stranger"), over("verify-full")] {
        let said = refusal(&server);
        assert!(said.contains("cannot be reached: ") && said.contains("certificate"), "{said}");
    }
    cluster.set(&settings("named")).unwrap();
    cluster.control(&["-m", "fast", "-w", "restart"]).unwrap();
    let said = refusal(&verified("named"));
    assert!(said.contains("certificate not valid for name"), "{said}");
    cluster.set(SETTINGS).unwrap();
    cluster.control(&["-m", "fast", "-w", "restart"]).unwrap();
    let said = refusal(&over("require"));
    assert!(said.contains("does not") && said.contains("TLS"), "{said}");
}

/// Makes a certificate that vouches for itself, and its key.
fn certify(path: &str, name: &str) {
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=database", "-addext", &format!("subjectAltName={name}")])
        .args(["-keyout", &format!("{path}.key"), "-out", &format!("{path}.crt")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A folder that the server's user may enter: temporary ones are for their owner alone.
fn in_the_open(folder: &tempfile::TempDir) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder.path().join("cluster")
}
