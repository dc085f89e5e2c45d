//! Attachments in a bucket: Amazon S3 and what speaks like it, Google Cloud Storage, Azure.
//!
//! A single object is there whole or not at all, so there are no drafts. What a process leaves when it
//! is killed in the middle of a large file is an unfinished upload, which no list shows: the bucket's
//! own rule for unfinished uploads removes it.

use std::error::Error as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agentsight_model::attachment::ContentHash;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error as Trouble, GetOptions, GetRange, MultipartUpload, ObjectStore,
    ObjectStoreExt as _, RetryConfig,
};

use super::address::{BucketConfig, BucketUrl, Kind};
use super::{FOLDER, Kept, Name};
use crate::error::{Error, Result};

/// A file up to this size is sent in one request; a larger one in parts.
pub(super) const SINGLE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a part. S3 takes 10 000 parts of 5 MiB or more, so a file may be 80 GiB.
pub(super) const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one file on their way at once.
const PARTS_AT_ONCE: usize = 3;

/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long the bucket may be silent within an answer.
const SILENCE: Duration = Duration::from_secs(20);
/// Attempts after the first, where the bucket is busy or the connection breaks.
const RETRIES: usize = 3;
/// How long after its beginning a request is tried again at all.
const RETRY_TIME: Duration = Duration::from_secs(15);
/// How long the first write, read and removal may take together.
const PROBE_TIME: Duration = Duration::from_secs(30);
/// How long the question whether it works may take.
const CHECK_TIME: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    url: BucketUrl,
    /// Whether nothing but the machine itself can say who we are.
    asks_machine: bool,
}

impl Bucket {
    pub(super) fn open(config: &BucketConfig) -> Result<Self> {
        let url = config.url.clone();
        match build(config) {
            Ok((store, asks_machine)) => Ok(Self { store, url, asks_machine }),
            Err(Unbuilt::OneKey { missing }) => Err(Error::Open(format!(
                "the bucket {url} cannot be used: its {missing} is not set; {}",
                url.kind.where_credentials_are_set()
            ))),
            Err(Unbuilt::Refused(trouble)) => Err(Error::Open(format!("the bucket {url} cannot be used: {trouble}"))),
        }
    }

    pub(super) async fn put(self, hash: ContentHash, bytes: Bytes) -> Result<()> {
        let name = Name::Whole(hash);
        if self.size(&name).await? == Some(bytes.len() as u64) {
            return Ok(());
        }
        let key = self.key(&name.of_hash());
        if bytes.len() > SINGLE_BYTES {
            return self.put_in_parts(&key, &bytes).await;
        }
        self.store.put(&key, bytes.into()).await.map(drop).map_err(|e| self.failed(&e))
    }

    async fn put_in_parts(&self, key: &Path, bytes: &Bytes) -> Result<()> {
        let mut upload = self.store.put_multipart(key).await.map_err(|e| self.failed(&e))?;
        let sent = send_parts(upload.as_mut(), bytes).await;
        let Err(error) = sent else { return Ok(()) };
        // What was sent costs space and shows in no list.
        if let Err(abort) = upload.abort().await {
            tracing::warn!("an upload of {} bytes could not be taken back: {}", bytes.len(), why(&abort, &self.url));
        }
        Err(self.failed(&error))
    }

    /// The bytes in this range, where the object is there in its whole size.
    pub(super) async fn get(
        &self,
        name: &Name,
        size: u64,
        range: Range<u64>,
    ) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
        let wanted = (range != (0..size)).then_some(GetRange::Bounded(range));
        let options = GetOptions { range: wanted, ..GetOptions::default() };
        match self.store.get_opts(&self.key(&name.of_hash()), options).await {
            Ok(found) if found.meta.size == size => {
                let bucket = self.clone();
                Ok(Some(found.into_stream().map_err(move |e| bucket.failed(&e)).boxed()))
            }
            Ok(_) => Ok(None),
            Err(Trouble::NotFound { .. }) => {
                // The bucket itself may be gone, which is not the loss of a file.
                self.check().await?;
                Ok(None)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) async fn size(&self, name: &Name) -> Result<Option<u64>> {
        match self.store.head(&self.key(&name.of_hash())).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Trouble::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) async fn probe(&self, name: &str) -> Result<SystemTime> {
        const WORDS: &[u8] = b"agentsight was here";
        // A list comes first: its refusal says most, and some servers make a bucket that is written to.
        self.check().await?;
        let key = self.key_of(&[FOLDER, name]);
        let tried = async {
            self.store.put(&key, Bytes::from_static(WORDS).into()).await?;
            let found = self.store.get(&key).await?;
            let written_at = found.meta.last_modified;
            let same = found.bytes().await? == WORDS;
            self.store.delete(&key).await?;
            Ok((written_at, same))
        };
        match tokio::time::timeout(PROBE_TIME, tried).await {
            Err(_) => Err(self.silent(PROBE_TIME)),
            Ok(Err(error)) => Err(self.failed(&error)),
            Ok(Ok((_, false))) => Err(Error::Blob(format!("{}: what was written did not come back", self.url))),
            Ok(Ok((written_at, true))) => Ok(written_at.into()),
        }
    }

    /// Lists what is under a name that nothing has: cheap, and unlike the absence of an object, the
    /// absence of the bucket is an error of it.
    pub(super) async fn check(&self) -> Result<()> {
        let nothing = self.key_of(&[FOLDER, ".nothing"]);
        match tokio::time::timeout(CHECK_TIME, self.store.list_with_delimiter(Some(&nothing))).await {
            Err(_) => Err(self.silent(CHECK_TIME)),
            Ok(listed) => listed.map(drop).map_err(|e| self.failed(&e)),
        }
    }

    pub(super) async fn shelf(&self, shelf: u8) -> Result<Vec<Kept>> {
        let folder = self.key_of(&[FOLDER, &format!("{shelf:02x}")]);
        let listed = self.store.list(Some(&folder)).map_ok(|object| Kept {
            name: Name::read(shelf, object.location.filename().unwrap_or_default()),
            size: object.size,
            modified: object.last_modified.into(),
        });
        listed.try_collect().await.map_err(|e| self.failed(&e))
    }

    pub(super) async fn rename(&self, from: &Name, to: &Name) -> Result<()> {
        let (from, to) = (self.key(&from.of_hash()), self.key(&to.of_hash()));
        match self.store.copy(&from, &to).await {
            Ok(()) => self.delete(&from).await,
            // It has been dealt with.
            Err(Trouble::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) async fn remove(&self, shelf: u8, name: &Name) -> Result<()> {
        self.delete(&self.key(&name.on_shelf(shelf))).await
    }

    async fn delete(&self, key: &Path) -> Result<()> {
        match self.store.delete(key).await {
            Ok(()) | Err(Trouble::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn key(&self, (shelf, name): &(String, String)) -> Path {
        self.key_of(&[FOLDER, shelf, name])
    }

    fn key_of(&self, names: &[&str]) -> Path {
        let prefix = self.url.prefix.split('/').filter(|part| !part.is_empty());
        Path::from_iter(prefix.chain(names.iter().copied()))
    }

    fn failed(&self, trouble: &Trouble) -> Error {
        Error::Blob(why(trouble, &self.url))
    }

    fn silent(&self, waited: Duration) -> Error {
        let silence = format!("{} did not answer within {} s", self.url, waited.as_secs());
        // A machine that is none of Amazon's often has nobody who would say so.
        Error::Blob(if self.asks_machine {
            let how = self.url.kind.where_credentials_are_set();
            format!("{silence}; no credentials are set for it, and this machine told of none of its own: {how}")
        } else {
            silence
        })
    }
}

async fn send_parts(upload: &mut dyn MultipartUpload, bytes: &Bytes) -> Result<(), Trouble> {
    let starts = (0..bytes.len()).step_by(PART_BYTES);
    // Slices of what is there: a large file is in memory once.
    let parts = starts.map(|start| upload.put_part(bytes.slice(start..bytes.len().min(start + PART_BYTES)).into()));
    futures_util::stream::iter(parts).buffer_unordered(PARTS_AT_ONCE).try_collect::<()>().await?;
    upload.complete().await.map(drop)
}

/// How the library speaks to a bucket: no bound on a whole request, for a download takes as long as its
/// reader, but one on silence.
fn client(config: &BucketConfig) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(config.allow_http)
        .with_connect_timeout(CONNECT_TIME)
        .with_read_timeout(SILENCE)
        .with_timeout_disabled()
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        ..BackoffConfig::default()
    };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIME }
}

/// Why a bucket cannot be spoken to at all.
enum Unbuilt {
    /// Of the access key and the secret key one is set.
    OneKey { missing: &'static str },
    /// In the library's words.
    Refused(Trouble),
}

impl From<Trouble> for Unbuilt {
    fn from(trouble: Trouble) -> Self {
        Self::Refused(trouble)
    }
}

/// The bucket, and whether only the machine can say who we are to it.
fn build(config: &BucketConfig) -> Result<(Arc<dyn ObjectStore>, bool), Unbuilt> {
    let bucket = &config.url.bucket;
    let store: Arc<dyn ObjectStore> = match config.url.kind {
        Kind::S3 => {
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client(config))
                .with_retry(retries())
                // Not every server knows how to delete several objects at once, and we delete one.
                .with_disable_bulk_delete(true);
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            if let Some(region) = &config.region {
                builder = builder.with_region(region);
            }
            if let Some(key) = &config.access_key {
                builder = builder.with_access_key_id(key.reveal());
            }
            if let Some(key) = &config.secret_key {
                builder = builder.with_secret_access_key(key.reveal());
            }
            let is_set = |key| builder.get_config_value(&key).is_some();
            let asks_machine =
                match (is_set(AmazonS3ConfigKey::AccessKeyId), is_set(AmazonS3ConfigKey::SecretAccessKey)) {
                    (true, false) => return Err(Unbuilt::OneKey { missing: "secret key" }),
                    (false, true) => return Err(Unbuilt::OneKey { missing: "access key" }),
                    (true, true) => false,
                    (false, false) => ![
                        AmazonS3ConfigKey::WebIdentityTokenFile,
                        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
                        AmazonS3ConfigKey::ContainerCredentialsFullUri,
                    ]
                    .into_iter()
                    .any(is_set),
                };
            return Ok((Arc::new(builder.build()?), asks_machine));
        }
        Kind::Google => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client(config))
                .with_retry(retries())
                .build()?,
        ),
        Kind::Azure => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_client_options(client(config))
                .with_retry(retries())
                .build()?,
        ),
    };
    Ok((store, false))
}

/// What stands in the addresses at which a machine of Amazon, Google or Microsoft tells who it is.
const MACHINE: [&str; 3] = ["/latest/api/token", "/latest/meta-data/iam/", "169.254.169.254"];

/// What happened, in a sentence.
///
/// Only the code of a refusal is repeated: its text may hold what was signed, and with whose key.
fn why(trouble: &Trouble, url: &BucketUrl) -> String {
    let text = trouble.to_string();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let refused = matches!(trouble, Trouble::PermissionDenied { .. } | Trouble::Unauthenticated { .. });
    match code {
        Some("NoSuchBucket" | "ContainerNotFound") => {
            format!("the bucket {url} does not exist; make it, or name another")
        }
        Some(
            code @ ("SignatureDoesNotMatch"
            | "InvalidAccessKeyId"
            | "AuthenticationFailed"
            | "InvalidToken"
            | "ExpiredToken"
            | "NotSignedUp"),
        ) => {
            format!("{url} refused the credentials ({code}); check the access key and the secret key")
        }
        Some(code @ ("RequestTimeTooSkewed" | "RequestExpired")) => {
            format!(
                "{url} refused the request because the clocks differ too much ({code}); set the clock of this machine"
            )
        }
        Some(code) if refused => {
            format!("{url} does not let these credentials do this ({code}); they must list, read, write and delete")
        }
        Some(code) => format!("{url} failed ({code})"),
        None if refused => {
            format!("{url} does not let these credentials do this; they must list, read, write and delete")
        }
        None if MACHINE.iter().any(|path| text.contains(path)) => {
            let how = url.kind.where_credentials_are_set();
            format!("no credentials are set for {url}, and this machine has none of its own; {how}")
        }
        None => match cause(trouble) {
            Some(cause) => format!("{url} cannot be reached: {cause}"),
            None => format!("{url} failed: {}", text.lines().next().unwrap_or_default()),
        },
    }
}

/// What the operating system, or the connection, says of a request that was not answered.
fn cause(trouble: &Trouble) -> Option<String> {
    let mut at = trouble.source();
    let mut last = None;
    let mut is_of_connection = false;
    while let Some(error) = at {
        is_of_connection |= error.is::<object_store::client::HttpError>();
        last = Some(error.to_string());
        at = error.source();
    }
    last.filter(|_| is_of_connection)
}
