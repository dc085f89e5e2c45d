//! Attachments against what names them, and the bucket that may hold them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::program::{Folder, Said};

/// SHA-256 of `hi`.
const HI: &str = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";

/// A folder whose store has one attachment.
fn with_an_attachment() -> Folder {
    let folder = Folder::new();
    let key = folder.key();
    let server = folder.serve();
    let body = json!({ "conversation_id": "c-1", "attachments": [{ "filename": "a.txt", "data": "aGk=" }] });
    assert_eq!(server.client(&key).post("/api/attachments/", &body).unwrap().0, 201);
    folder
}

fn leave(folder: &Folder, name: &str, age: Duration) {
    let path = folder.data().join("blobs").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "bytes").unwrap();
    let now = path.metadata().unwrap().modified().unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(now - age).unwrap();
}

#[test]
fn attachments_in_order_are_counted() {
    let folder = with_an_attachment();
    assert_eq!(
        folder.run("blobs check"),
        Said {
            code: Some(0),
            out: String::new(),
            err: "1 files with 2 bytes are in order, 0 missing, 0 orphans with 0 bytes, 0 drafts, 0 files of others.\n"
                .to_owned(),
        }
    );
}

#[test]
fn a_missing_attachment_is_a_failure() {
    let folder = with_an_attachment();
    std::fs::remove_dir_all(folder.data().join("blobs")).unwrap();

    let said = folder.run("blobs check");

    assert_eq!((said.code, said.out), (Some(1), format!("missing\t{HI}\t2 bytes\n")));
    assert!(said.err.ends_with("agentsight: 1 files are missing; a backup may have them\n"), "{}", said.err);
}

#[test]
fn what_nothing_names_is_listed_and_removed_once_it_was_aside_for_long_enough() {
    let folder = with_an_attachment();
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(24 * 3_600));
    let orphan = format!("ab/{}", "0".repeat(62));
    leave(&folder, &orphan, day + hour);
    leave(&folder, &format!("cd/{}.aside", "1".repeat(62)), hour);
    leave(&folder, "ef/.0123456789abcdef", day + hour);

    let dry = folder.run("blobs prune --dry-run");
    assert_eq!(dry.code, Some(0));
    assert!(dry.out.contains(&format!("orphan\tab{}\t5 bytes\t25 h old\n", "0".repeat(62))), "{}", dry.out);
    std::fs::remove_file(folder.data().join("blobs").join(orphan)).unwrap();

    let said = folder.run("blobs prune");

    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains(&format!("removed\tcd{}\n", "1".repeat(62))), "{}", said.out);
    assert!(said.err.ends_with("Removed 2 files with 10 bytes.\n"), "{}", said.err);
    assert_eq!(folder.run("blobs check").out, "");
}

#[test]
fn a_time_that_is_none_is_a_mistake_of_usage() {
    let said = Folder::new().run("blobs prune --older-than soon");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("such as 24h"), "{}", said.err);
}

#[test]
fn a_bucket_that_cannot_be_used_is_told_at_the_start_and_its_secret_is_not() {
    let folder = Folder::new();
    let variables = [
        ("AGENTSIGHT_BLOBS", "s3://files/prefix"),
        ("AGENTSIGHT_S3_ENDPOINT", "http://127.0.0.1:1"),
        ("AGENTSIGHT_S3_ALLOW_HTTP", "true"),
        ("AGENTSIGHT_S3_ACCESS_KEY", "somebody"),
        ("AGENTSIGHT_S3_SECRET_KEY", "hunter2"),
    ];
    let began = Instant::now();

    let said = folder.run_with("serve --listen 127.0.0.1:0", &variables);

    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    let sentence = "agentsight: attachment storage failed: s3://files/prefix cannot be reached: ";
    assert!(said.err.starts_with(sentence), "{}", said.err);
    assert!(!said.err.contains("hunter2"), "{}", said.err);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_bucket_without_credentials_is_told_with_the_settings_that_have_them() {
    let folder = Folder::new();
    let of_bucket = [("AGENTSIGHT_BLOBS", "s3://files"), ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")];
    let how = "set AGENTSIGHT_S3_ACCESS_KEY and AGENTSIGHT_S3_SECRET_KEY (s3_access_key and s3_secret_key in agentsight.toml), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

    let none = folder.run_with("serve --listen 127.0.0.1:0", &of_bucket);
    let half = [&of_bucket[..], &[("AGENTSIGHT_S3_ACCESS_KEY", "somebody")]].concat();
    let half = folder.run_with("serve --listen 127.0.0.1:0", &half);

    assert_eq!((none.code, half.code), (Some(1), Some(1)));
    assert_eq!(
        none.err,
        format!(
            "agentsight: attachment storage failed: no credentials are set for s3://files, and this machine has none of its own; {how}\n"
        )
    );
    assert_eq!(
        half.err,
        format!("agentsight: the bucket s3://files cannot be used: its secret key is not set; {how}\n")
    );
}

#[test]
fn a_move_tries_its_bucket_before_it_touches_the_target() {
    let folder = with_an_attachment();
    let keys = [("AGENTSIGHT_S3_ACCESS_KEY", "somebody"), ("AGENTSIGHT_S3_SECRET_KEY", "hunter2")];

    let said = folder.run_with(
        "migrate --from sqlite:agentsight-data --to sqlite:other --to-blobs s3://files --s3-endpoint http://127.0.0.1:1 --s3-allow-http",
        &keys,
    );

    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("attachment storage failed: s3://files cannot be reached: "), "{}", said.err);
    assert!(!said.err.contains("copying"), "{}", said.err);
    assert!(!folder.path().join("other").exists());
}

#[test]
fn settings_of_a_bucket_that_make_no_sense_are_listed() {
    let folder = Folder::new();
    for (variables, sentence) in [
        (
            vec![("AGENTSIGHT_BLOBS", "files")],
            "blobs (AGENTSIGHT_BLOBS): \"files\" is no bucket, try s3://bucket/prefix",
        ),
        (
            vec![("AGENTSIGHT_BLOBS", "s3://files"), ("AGENTSIGHT_S3_ENDPOINT", "minio.example")],
            "s3_endpoint (AGENTSIGHT_S3_ENDPOINT): \"minio.example\" does not begin with https:// or http://",
        ),
        (
            vec![("AGENTSIGHT_BLOBS", "s3://files"), ("AGENTSIGHT_S3_ENDPOINT", "http://minio.example")],
            "s3_endpoint (AGENTSIGHT_S3_ENDPOINT): it begins with http://, so that everybody on the way can read the attachments",
        ),
    ] {
        for command in ["serve", "blobs check"] {
            let said = folder.run_with(command, &variables);
            assert_eq!(said.code, Some(1));
            assert!(said.err.contains(sentence), "{}", said.err);
        }
    }
    assert!(!folder.data().exists());
}
