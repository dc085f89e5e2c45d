//! Arguments, variables and the file, and what is said when they make no sense.

use serde_json::json;

use crate::program::{Folder, Said, eventually};
use crate::schema::TempSchema;

fn failed(err: &str) -> Said {
    Said { code: Some(1), out: String::new(), err: format!("agentsight: {err}\n") }
}

#[test]
fn help_says_what_to_type() {
    let said = Folder::new().run("--help");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    for text in [
        "Usage: agentsight <COMMAND>",
        "serve",
        "key",
        "agentsight key create --agent my-bot",
        "AGENTSIGHT_API_ENDPOINT",
    ] {
        assert!(said.out.contains(text), "{text} in {}", said.out);
    }
    let serve = Folder::new().run("serve --help");
    for text in ["--listen", "AGENTSIGHT_LISTEN", "[default: 127.0.0.1:8080]", "--data-dir"] {
        assert!(serve.out.contains(text), "{text} in {}", serve.out);
    }
}

#[test]
fn an_unknown_flag_or_none_at_all_is_a_mistake_of_usage() {
    for line in ["", "serve --colour", "nonsense", "key", "key create", "key revoke x"] {
        let said = Folder::new().run(line);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{line}");
        assert!(said.err.contains("Usage:") || said.err.contains("--help"), "{line}: {}", said.err);
    }
}

#[test]
fn an_occupied_port_is_named_and_the_data_is_not_touched() {
    let folder = Folder::new();
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap();

    let said = folder.run(&format!("serve --listen {address}"));

    assert_eq!(
        said,
        failed(&format!("{address} is in use by another program; stop it, or choose another address with --listen"))
    );
    assert!(!folder.data().exists());
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    folder.write("file", "not a folder");
    let named = folder.run("serve --listen 127.0.0.1:0 --data-dir file");
    assert_eq!(named, failed("data folder file is a file; name a folder"));
    for data in ["file/inside", "/proc/agentsight"] {
        let said = folder.run(&format!("serve --listen 127.0.0.1:0 --data-dir {data}"));
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
        assert!(said.err.starts_with(&format!("agentsight: data folder {data} ")), "{}", said.err);
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    }
}

/// What makes no store where there is none.
const MAKE_NONE: [&str; 11] = [
    "key list",
    "key revoke 1",
    "environment list",
    "environment create --agent bot staging",
    "prices list",
    "prices export",
    "prices remove gpt-4o",
    "prices reprice",
    "blobs check",
    "blobs prune",
    "backup kept",
];

#[test]
fn a_command_that_needs_a_store_makes_none() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    folder.write("empty/agentsight.db", "");
    for (line, data) in MAKE_NONE.iter().flat_map(|line| ["nowhere", "empty"].map(|data| (line, data))) {
        let said = folder.run(&format!("{line} --data-dir {data}"));
        assert_eq!(
            said,
            failed(&format!("there is no AgentSight store in {data}: it holds no agentsight.db")),
            "{line}"
        );
    }
    assert!(!folder.path().join("nowhere").exists() && !folder.path().join("kept").exists());

    let Some(schema) = TempSchema::new() else { return };
    let url = schema.address();
    for line in MAKE_NONE.into_iter().filter(|line| !line.starts_with("backup")) {
        let said = folder.run_with(line, &[("AGENTSIGHT_DATABASE_URL", &url)]);
        assert!(said.err.starts_with("agentsight: there is no AgentSight store in the database "), "{line}: {said:?}");
        assert!(said.err.ends_with("; is it another database, or another ?schema=?\n"), "{line}: {said:?}");
    }
    let is_missing = format!("select to_regnamespace('{}') is null", schema.name);
    assert_eq!(schema.run(&is_missing), ["t"]);
}

#[test]
fn a_store_that_is_made_is_named_once() {
    let folder = Folder::new();
    let server = folder.serve();
    let data = folder.data().display().to_string();
    assert!(server.greeting.contains(&format!("data           {data}  (a new store)\n")), "{}", server.greeting);
    assert!(folder.log().contains(&format!("a new store was made in {data}")), "{}", folder.log());
    drop(server);
    assert!(!folder.serve().greeting.contains("(a new store)"));

    let Some(schema) = TempSchema::new() else { return };
    let url = schema.address();
    let variables = [("AGENTSIGHT_DATABASE_URL", url.as_str())];
    let made = folder.run_with("key create --agent bot", &variables);
    let line = made.err.lines().next().unwrap_or_default();
    assert!(line.starts_with("Made a new store in postgres://"), "{made:?}");
    assert!(line.ends_with(&format!("?schema={}.", schema.name)), "{made:?}");
    let greeting = folder.serve_with("serve --listen 127.0.0.1:0", &variables).greeting.clone();
    assert!(!greeting.contains("(a new store)"), "{greeting}");
}

#[test]
fn a_new_store_has_no_prices_that_changed() {
    let folder = Folder::new();
    let mut server = folder.serve();
    let database = rusqlite::Connection::open(folder.data().join("agentsight.db")).unwrap();
    eventually("usage shows the prices", || {
        database.query_row("select is_done from repricing where id = 1", [], |row| row.get(0)) == Ok(true)
    });
    server.signal("TERM");
    assert_eq!(server.ended(), Some(0));
    assert!(!folder.log().contains("prices have changed"), "{}", folder.log());
}

#[test]
fn a_server_on_all_addresses_names_one_that_can_be_reached() {
    let server = Folder::new().serve_with("serve --listen 0.0.0.0:0", &[]);

    let greeting = &server.greeting;
    assert!(greeting.contains(" listens on all addresses of this machine, such as http://localhost:"), "{greeting}");
    assert!(greeting.contains(&format!("documentation  http://{}/docs", server.address)), "{greeting}");
    assert_eq!(server.client("").get("/healthz").unwrap().0, 200);
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let folder = Folder::new();
    folder.key();
    let database = rusqlite::Connection::open(folder.data().join("agentsight.db")).unwrap();
    database.execute("insert into migrations (version, name, applied_at) values (999, 'tomorrow', 0)", []).unwrap();
    drop(database);

    let said = folder.run("serve --listen 127.0.0.1:0");

    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(
        said.err.contains("agentsight.db was written by a newer AgentSight (schema 999, this program knows "),
        "{}",
        said.err
    );
    assert!(said.err.ends_with("; install that version or newer\n"), "{}", said.err);
}

#[test]
fn a_file_that_is_no_database_or_somebody_elses_is_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir(folder.data()).unwrap();
    let file = folder.data().join("agentsight.db");
    let text = "a shopping list\n".repeat(1_000);
    std::fs::write(&file, &text).unwrap();
    let said = folder.run("serve --listen 127.0.0.1:0");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("agentsight.db") && said.err.lines().count() == 1, "{}", said.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    std::fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("create table recipes (name text)").unwrap();
    let said = folder.run("serve --listen 127.0.0.1:0");
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.ends_with("agentsight.db belongs to another program; choose another data folder\n"),
        "{}",
        said.err
    );
}

#[test]
fn a_database_that_cannot_be_used_is_named_without_its_password() {
    let folder = Folder::new();

    let said = folder.run("serve --listen 127.0.0.1:0 --database-url mysql://me:secret@db/chats");
    assert!(said.err.contains("database_url (AGENTSIGHT_DATABASE_URL): "), "{}", said.err);
    assert!(said.err.contains("does not begin with postgres://"), "{}", said.err);
    assert!(!said.err.contains("secret"), "{}", said.err);

    // The discard port: nobody answers there.
    let said = folder.run("key list --database-url postgres://me:secret@127.0.0.1:9/chats");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.starts_with("agentsight: the database at 127.0.0.1:9 cannot be reached: "), "{}", said.err);
    assert!(!said.err.contains("secret"), "{}", said.err);
}

#[test]
fn every_problem_of_the_configuration_is_listed_with_its_source() {
    let folder = Folder::new();

    let said = folder.run_with(
        "serve --public-url bots.example.com",
        &[("AGENTSIGHT_LISTEN", "8080"), ("AGENTSIGHT_BOOTSTRAP_API_KEY", "secret-thing"), ("AGENTSIGHT_LOG", "a=b=c")],
    );

    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    for text in [
        "listen (AGENTSIGHT_LISTEN): \"8080\" is not an address with a port, try 127.0.0.1:8080",
        "public_url (AGENTSIGHT_PUBLIC_URL): \"bots.example.com\" does not begin with http:// or https://",
        "AGENTSIGHT_BOOTSTRAP_API_KEY: an API key is ags_, 32 hex digits, an underscore and 6 hex digits",
        "log (AGENTSIGHT_LOG): \"a=b=c\": ",
    ] {
        assert!(said.err.contains(text), "{text} in {}", said.err);
    }
    assert!(!said.err.contains("secret-thing"), "a key is never repeated");
    assert!(!folder.data().exists());
}

#[test]
fn a_word_that_is_no_level_does_not_switch_the_log_off() {
    for filter in ["noisy", "info,noisy", "agentsight_store"] {
        let said = Folder::new().run(&format!("serve --log {filter}"));
        let word = filter.rsplit(',').next().unwrap();
        assert_eq!(
            said,
            failed(&format!(
                "log (AGENTSIGHT_LOG): \"{word}\" is no level; write one of off, error, warn, info, debug, trace, or PART=LEVEL, such as agentsight_store=debug"
            ))
        );
    }
    let folder = Folder::new();
    folder.serve_with("serve --listen 127.0.0.1:0 --log WARN,agentsight_store=debug,[span{field=1}]=trace", &[]);
}

#[test]
fn a_number_that_makes_no_sense_is_named_with_its_source_and_its_bound() {
    let folder = Folder::new();
    folder.write("agentsight.toml", "database_url = \"postgres://me@127.0.0.1:9/chats\"\nwrite_queue_bytes = 0\n");
    let limits = "--attachment-bytes 0 --attachments-per-request 0 --attachment-request-bytes 0 --query-seconds 0";
    let said = folder
        .run_with(&format!("serve {limits} --database-connect-seconds 0"), &[("AGENTSIGHT_DATABASE_CONNECTIONS", "0")]);
    assert_eq!(said.code, Some(1));
    for name in [
        "database_connections",
        "database_connect_seconds",
        "attachment_bytes",
        "attachments_per_request",
        "attachment_request_bytes",
        "write_queue_bytes",
        "query_seconds",
    ] {
        let variable = name.to_ascii_uppercase();
        let problem = format!("{name} (AGENTSIGHT_{variable}): 0 makes no sense, it must be at least 1\n");
        assert!(said.err.contains(&problem), "{problem} in {}", said.err);
    }
    assert_eq!(
        Folder::new().run("serve --query-seconds 2147484"),
        failed("query_seconds (AGENTSIGHT_QUERY_SECONDS): 2147484 makes no sense, it must be at most 86400")
    );
}

#[test]
fn redaction_rules_are_read_before_anything_else_happens() {
    let folder = Folder::new();
    folder.write("bad.toml", "[[rule]]\nname = \"order\"\npattern = 'ORD-('\n");
    folder.write("good.toml", "[[rule]]\nname = \"email\"\n");
    assert!(folder.run("serve --help").out.contains("builtins: email, credit_card, phone, ipv4, api_key"));

    let source = "redaction_rules (AGENTSIGHT_REDACTION_RULES): redaction rules";
    let bad = folder.run("serve --listen 127.0.0.1:0 --redaction-rules bad.toml");
    assert_eq!(bad, failed(&format!("{source} bad.toml cannot be used: rule \"order\": unclosed group")));
    let missing = folder.run_with("serve --listen 127.0.0.1:0", &[("AGENTSIGHT_REDACTION_RULES", "nowhere.toml")]);
    assert!(missing.err.contains(&format!("{source} nowhere.toml cannot be used: ")), "{}", missing.err);
    assert!(!folder.data().exists());

    folder.write("agentsight.toml", "redaction_rules = \"good.toml\"\n");
    let server = folder.serve();
    let mut client = server.client(&folder.key());
    let body = json!({ "conversation_id": "c-1", "sender": "end_user", "content": "I am jane@x.example" });
    assert_eq!(client.post("/api/track/", &body).unwrap().1["content"], "I am [email]");
}

#[test]
fn a_mistake_in_the_file_is_told_without_what_may_be_a_password() {
    let folder = Folder::new();
    for text in [
        "s3_secret_key = TOPSECRET",
        "s3_secret = \"TOPSECRET\"",
        "s3_secret_key = \"TOPSECRET",
        "database_url = [\"postgres://me:TOPSECRET@db/chats\"]",
    ] {
        folder.write("agentsight.toml", &format!("log = \"info\"\n{text}\n"));
        let said = folder.run("serve");
        assert!(said.err.contains("line 2: ") && !said.err.contains("TOPSECRET"), "{}", said.err);
    }
}

#[test]
fn an_address_that_was_not_filled_in_leads_nowhere() {
    let folder = Folder::new();
    for name in ["AGENTSIGHT_DATABASE_URL", "AGENTSIGHT_BLOBS"] {
        let said = folder.run_with("serve --listen 127.0.0.1:0", &[(name, "")]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains(&format!("({name}): it is empty; leave it out")), "{}", said.err);
    }
    assert!(!folder.data().exists());
}

#[test]
fn a_key_of_the_file_that_is_none_is_named_with_its_line() {
    let folder = Folder::new();
    folder.write("agentsight.toml", "listen = \"127.0.0.1:0\"\ncolour = \"red\"\n");
    let said = folder.run("serve");
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("agentsight: agentsight.toml: "), "{}", said.err);
    assert!(said.err.contains("line 2") && said.err.contains("colour"), "{}", said.err);
    let missing = folder.run("serve --config nowhere.toml");
    assert!(missing.err.starts_with("agentsight: nowhere.toml: "), "{}", missing.err);
}

#[test]
fn a_flag_beats_its_variable_which_beats_the_file() {
    let folder = Folder::new();
    folder.write("agentsight.toml", "listen = \"127.0.0.3:0\"\ndata_dir = \"from-file\"\n");
    let variable = [("AGENTSIGHT_LISTEN", "127.0.0.2:0")];
    let listens = |line: &str, variables: &[(&str, &str)], host: &str| {
        let server = folder.serve_with(line, variables);
        assert!(server.address.starts_with(host), "{} is not {host}", server.address);
        server.greeting.clone()
    };
    assert!(listens("serve", &[], "127.0.0.3:").contains("from-file"));
    listens("serve", &variable, "127.0.0.2:");
    listens("serve --listen 127.0.0.1:0", &variable, "127.0.0.1:");
    assert!(
        listens("serve --data-dir from-flag", &[("AGENTSIGHT_DATA_DIR", "from-variable")], "127.0.0.3:")
            .contains("from-flag")
    );
    assert!(listens("serve", &[("AGENTSIGHT_DATA_DIR", "from-variable")], "127.0.0.3:").contains("from-variable"));
}
