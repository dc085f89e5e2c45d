//! What only a bucket can do wrong: who may use it, whether it is there, and where it goes away.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[path = "s3/server.rs"]
mod s3;

use agentsight_model::attachment::ContentHash;
use agentsight_model::ids::AgentId;
use agentsight_model::json::JsonText;
use agentsight_model::key::Role;
use agentsight_model::message::Sender;
use agentsight_model::track::{Event, NewEvent, NewFile, Target};
use agentsight_store::{Appended, BlobTotals, BucketConfig, Error, Part, Secret, Store, StoreConfig};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tempfile::TempDir;

use crate::s3::S3Server;

/// A store whose attachments are in a bucket.
struct Given {
    store: Store,
    agent: AgentId,
    folder: TempDir,
}

impl Given {
    async fn bucket(bucket: BucketConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig { bucket: Some(bucket), ..StoreConfig::default() };
        let store = Store::open(folder.path(), &config).unwrap();
        let agent = store.mint_key("helpdesk", Role::Write, None).await.unwrap().agent;
        Self { store, agent, folder }
    }

    async fn upload(&self, bytes: Bytes) -> Result<agentsight_model::attachment::AttachmentsStored, Error> {
        let file = NewFile { filename: "film.mp4".to_owned(), mime_type: "video/mp4".to_owned(), bytes };
        let event = NewEvent {
            target: Target { id: None, name: Some("c".to_owned()) },
            timestamp: self.store.clock().now(),
            metadata: JsonText::EMPTY,
            receipt: None,
            what: Event::Files { sender: Sender::EndUser, message: None, files: vec![file] },
        };
        match self.store.append(self.agent, event).await?.value {
            Appended::Files(stored) => Ok(stored),
            other => panic!("{other:?}"),
        }
    }

    /// What the storage says to the first write, read and removal.
    async fn refusal(&self) -> String {
        blob_error(self.store.probe_attachments().await)
    }

    async fn has_conversation(&self) -> bool {
        self.store.fetch_conversation(self.agent, "c".into()).await.is_ok()
    }
}

fn blob_error<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Blob(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// More than goes in one request: three parts, the last of them short.
fn film() -> Bytes {
    (0..17_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()
}

fn key(prefix: &str, bytes: &[u8]) -> String {
    let hash = hex::encode(ContentHash::of(bytes).0);
    format!("{prefix}blobs/{}/{}", &hash[..2], &hash[2..])
}

#[tokio::test]
async fn a_probe_writes_reads_and_removes_and_leaves_nothing() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files/a/b")).await;

    given.store.probe_attachments().await.unwrap();

    let done: Vec<_> = server.asked().iter().map(|request| request.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(done, ["GET", "PUT", "GET", "DELETE"]);
    assert_eq!(std::fs::read_dir(server.path("a/b/blobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_not_shown() {
    let server = S3Server::start();
    let secret = Some(Secret::from("not the secret".to_owned()));
    let given = Given::bucket(BucketConfig { secret_key: secret, ..server.bucket("s3://files") }).await;

    let refusal = given.refusal().await;
    let upload = blob_error(given.upload(Bytes::from_static(b"bytes")).await);

    assert_eq!(
        refusal,
        "s3://files refused the credentials (SignatureDoesNotMatch); check the access key and the secret key"
    );
    assert_eq!(upload, "s3://files does not let these credentials do this; they must list, read, write and delete");
    assert!(!given.has_conversation().await);
}

#[tokio::test]
async fn an_unknown_access_key_is_told() {
    let server = S3Server::start();
    let key = Some(Secret::from("AKIDOFSOMEBODYELSE".to_owned()));
    let given = Given::bucket(BucketConfig { access_key: key, ..server.bucket("s3://files") }).await;

    let refusal = given.refusal().await;

    assert_eq!(refusal, "s3://files refused the credentials (NotSignedUp); check the access key and the secret key");
}

#[tokio::test]
async fn a_missing_bucket_is_told() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://other/prefix")).await;

    let sentence = "the bucket s3://other/prefix does not exist; make it, or name another";
    assert_eq!(given.refusal().await, sentence);
    assert_eq!(blob_error(given.store.check_attachments().await), sentence);
    assert_eq!(blob_error(given.store.check_blobs(&mut |_| ()).await), sentence);
}

#[tokio::test]
async fn a_bucket_that_is_removed_is_not_a_lost_file() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files")).await;
    let stored = given.upload(Bytes::from_static(b"bytes")).await.unwrap();
    server.remove_bucket();

    let fetched = given.store.fetch_file(given.agent, stored.conversation, stored.id, Part::Whole).await;

    assert_eq!(blob_error(fetched), "the bucket s3://files does not exist; make it, or name another");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let server = S3Server::of_another_time();
    let given = Given::bucket(server.bucket("s3://files")).await;

    assert_eq!(
        given.refusal().await,
        "s3://files refused the request because the clocks differ too much (RequestTimeTooSkewed); set the clock of this machine"
    );
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_on_is_told_and_nothing_is_stored() {
    let nobody = Some("http://127.0.0.1:1".to_owned());
    let given = Given::bucket(BucketConfig { endpoint: nobody, ..S3Server::start().bucket("s3://files") }).await;

    let refusal = blob_error(given.store.check_attachments().await);
    let upload = blob_error(given.upload(Bytes::from_static(b"bytes")).await);

    for sentence in [refusal, upload] {
        assert!(sentence.starts_with("s3://files cannot be reached: "), "{sentence}");
        assert!(sentence.contains("Connection refused"), "{sentence}");
    }
    assert!(!given.has_conversation().await);
}

#[tokio::test]
async fn health_is_asked_once_in_a_few_seconds() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files")).await;

    for _ in 0..20 {
        given.store.check_attachments().await.unwrap();
    }

    assert_eq!(server.asked().len(), 1, "{:?}", server.asked());
}

#[tokio::test]
async fn a_large_file_goes_in_parts_and_a_second_time_not_at_all() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files/p")).await;
    let film = film();

    given.upload(film.clone()).await.unwrap();

    assert_eq!(server.count(&["PUT", "partNumber="]), 3);
    assert_eq!(server.count(&["POST", "uploads"]), 1);
    assert_eq!(server.count(&["POST", "uploadId="]), 1);
    assert!(std::fs::read(server.path(&key("p/", &film))).unwrap() == film, "the same bytes");
    assert_eq!(server.loose_parts(), [""; 0]);

    server.forget_requests();
    given.upload(film.clone()).await.unwrap();
    assert_eq!(server.count(&["HEAD"]), 1, "{:?}", server.asked());
    assert_eq!(server.asked().len(), 1);
    assert_eq!(
        given.store.check_blobs(&mut |_| ()).await.unwrap(),
        BlobTotals { files: 1, bytes: film.len() as u64, ..BlobTotals::default() }
    );
    assert!(!given.folder.path().join("blobs").exists());
}

#[tokio::test]
async fn an_upload_that_fails_is_taken_back() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files")).await;
    server.takes_parts(1);

    let failed = blob_error(given.upload(film()).await);

    assert_eq!(failed, "s3://files failed (EntityTooLarge)");
    assert_eq!(server.count(&["DELETE", "uploadId="]), 1, "{:?}", server.asked());
    assert_eq!(server.loose_parts(), [""; 0]);
    assert!(!server.path(&key("", &film())).exists());
    assert!(!given.has_conversation().await);
}

#[tokio::test]
async fn an_upload_whose_sender_hangs_up_is_finished_or_taken_back() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files")).await;
    let film = film();
    {
        let mut upload = std::pin::pin!(given.upload(film.clone()));
        while server.count(&["PUT", "partNumber="]) == 0 {
            tokio::select! {
                _ = &mut upload => panic!("it was to be left in the middle"),
                () = tokio::time::sleep(std::time::Duration::from_millis(1)) => {}
            }
        }
    }

    while !server.path(&key("", &film)).exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }

    // Bytes that no row names are what the maintenance removes.
    assert!(!given.has_conversation().await);
    assert_eq!(given.store.check_blobs(&mut |_| ()).await.unwrap().orphans, 1);
}

#[tokio::test]
async fn an_endpoint_that_goes_away_during_an_upload_leaves_no_row() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files")).await;
    server.goes_away_after_parts(1);

    let failed = blob_error(given.upload(film()).await);

    assert!(failed.starts_with("s3://files cannot be reached: "), "{failed}");
    assert!(!given.has_conversation().await);
    server.is_gone(false);
    given.upload(film()).await.unwrap();
    assert!(std::fs::read(server.path(&key("", &film()))).unwrap() == film(), "the same bytes");
}

#[tokio::test]
async fn an_endpoint_that_goes_away_during_a_download_ends_it_with_an_error() {
    let server = S3Server::start();
    let given = Given::bucket(server.bucket("s3://files")).await;
    let stored = given.upload(film()).await.unwrap();
    server.gives_bytes(4_000_000);

    let file = given.store.fetch_file(given.agent, stored.conversation, stored.id, Part::Whole).await.unwrap();
    let mut bytes = file.bytes;
    let mut came = 0;
    let ended = loop {
        match bytes.try_next().await {
            Ok(Some(piece)) => came += piece.len(),
            Ok(None) => panic!("a whole file"),
            Err(error) => break blob_error(Err::<(), _>(error)),
        }
    };

    assert!(came > 0 && came < 17_000_000, "{came}");
    assert!(ended.starts_with("s3://files cannot be reached: "), "{ended}");
    server.is_gone(false);
    let again = given.store.fetch_file(given.agent, stored.conversation, stored.id, Part::Last(1)).await.unwrap();
    assert_eq!(again.bytes.collect().await.unwrap(), film().slice(16_999_999..));
}

#[test]
fn a_bucket_of_which_too_little_is_said_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = BucketConfig::new("az://container".parse().unwrap());
    let config = StoreConfig { bucket: Some(bucket), ..StoreConfig::default() };

    let refused = Store::open(folder.path(), &config);

    let Err(Error::Open(sentence)) = refused else { panic!("opened without an account") };
    assert!(sentence.starts_with("the bucket az://container cannot be used: "), "{sentence}");
    assert!(sentence.contains("Account must be specified"), "{sentence}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
