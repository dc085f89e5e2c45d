//! Configuration: as typed becomes as meant, once. A flag beats its variable, which beats the file.

use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentsight_model::key::ApiKey;
use agentsight_model::limits::AttachmentLimits;
use agentsight_server::ServerConfig;
use agentsight_store::{BucketConfig, DatabaseConfig, Redaction, Secret, StoreConfig};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::Failure;

/// Where the server listens when nothing else is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Where the data lies when nothing else is said.
const DEFAULT_DATA_DIR: &str = "agentsight-data";
/// What is logged when nothing else is said. A request to a bucket that is tried again is nothing to tell;
/// one that failed is told by us.
const DEFAULT_LOG: &str = "info,object_store=warn";
/// The file that is read when it is there and no other is named.
const DEFAULT_FILE: &str = "agentsight.toml";
/// What may be set for times, in seconds: a day is more than anybody waits, and what PostgreSQL can count.
const SECONDS: RangeInclusive<u64> = 1..=24 * 60 * 60;
/// What may be set for the connections of a node to PostgreSQL.
const CONNECTIONS: RangeInclusive<usize> = 1..=DatabaseConfig::MOST_CONNECTIONS;
/// What may be set for what is counted, or measured in bytes.
const ANY_BUT_NONE: RangeInclusive<usize> = 1..=usize::MAX;

/// Where the data lies: what every command that opens the store takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DataArgs {
    /// Folder of the database and the attachments; made when missing [default: agentsight-data]
    #[arg(long, env = "AGENTSIGHT_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// PostgreSQL database that takes the place of the embedded one: postgres://user:password@host/database
    ///
    /// A primary and its standbys stand with commas between them, host1,host2. After a question mark: schema=NAME, in which
    /// the tables are; sslmode, one of disable, allow, prefer, require, verify-ca and verify-full, where verify-ca checks the
    /// host's name too; sslrootcert=FILE.
    #[arg(long, env = "AGENTSIGHT_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Bucket for the attachments, in place of the data folder: s3://bucket/prefix, gs://… or az://…
    #[arg(long, env = "AGENTSIGHT_BLOBS", value_name = "URL")]
    blobs: Option<String>,
    #[command(flatten)]
    bucket: BucketArgs,
    /// Configuration file, whose keys are the long flags with underscores [default: agentsight.toml, when it is there]
    #[arg(long, env = "AGENTSIGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How buckets are spoken to.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BucketArgs {
    /// Address of an S3 server that is not Amazon's, such as MinIO or Garage
    #[arg(long, env = "AGENTSIGHT_S3_ENDPOINT", value_name = "URL")]
    s3_endpoint: Option<String>,
    /// Region of the S3 bucket [default: AWS_REGION, else us-east-1]
    #[arg(long, env = "AGENTSIGHT_S3_REGION", value_name = "NAME")]
    s3_region: Option<String>,
    /// Whether S3 may be spoken without TLS [default: false]
    #[arg(long, env = "AGENTSIGHT_S3_ALLOW_HTTP", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    s3_allow_http: Option<bool>,
}

/// Shown below the flags of `agentsight serve`.
const REDACTION: &str = "Redaction rules (--redaction-rules FILE), applied in this order to every text before it is written:

  [[rule]]
  name = \"email\"                    # builtins: email, credit_card, phone, ipv4, api_key

  [[rule]]
  name = \"order\"
  pattern = 'ORD-[0-9]{8}'            # a regular expression; or builtin = \"email\"
  replacement = \"[an order]\"        # [order] when nothing is said

Texts are what people and programs say: messages, arguments, answers and errors of actions, buttons, comments, titles, the
strings of metadata and of spans. Ids (keys that are called id, or end so: user_id, session.id), times, names and files stay.";

/// Flags of `agentsight serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_long_help = REDACTION)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "AGENTSIGHT_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// How the world reaches this server, for links in answers; taken from each request when not set
    #[arg(long, env = "AGENTSIGHT_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Geolocation databases (.mmdb), asked in this order
    #[arg(long, env = "AGENTSIGHT_GEOIP", value_name = "FILE", value_delimiter = ',')]
    geoip: Vec<PathBuf>,
    /// Rates for costs in euros: a CSV file date,currency,rate (units per US dollar), or the ECB's history; read again when replaced
    #[arg(long, env = "AGENTSIGHT_CURRENCY_RATES", value_name = "FILE")]
    currency_rates: Option<PathBuf>,
    /// What is taken out of texts before they are written, a TOML file: emails, numbers of cards, patterns of your own; see below
    #[arg(long, env = "AGENTSIGHT_REDACTION_RULES", value_name = "FILE")]
    redaction_rules: Option<PathBuf>,
    /// Keep the index behind substring search; without it a search reads every message [default: true]
    #[arg(long, env = "AGENTSIGHT_SEARCH_INDEX", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    search_index: Option<bool>,
    /// Reads per minute and key; 0 is no limit [default: 0]
    #[arg(long, env = "AGENTSIGHT_READS_PER_MINUTE", value_name = "N")]
    reads_per_minute: Option<u32>,
    /// Writes per minute and key; 0 is no limit. SDK 0.0.x loses what is throttled [default: 0]
    #[arg(long, env = "AGENTSIGHT_WRITES_PER_MINUTE", value_name = "N")]
    writes_per_minute: Option<u32>,
    /// Bytes of one attachment, decoded [default: 26214400]
    #[arg(long, env = "AGENTSIGHT_ATTACHMENT_BYTES", value_name = "BYTES")]
    attachment_bytes: Option<usize>,
    /// Attachments of one request [default: 10]
    #[arg(long, env = "AGENTSIGHT_ATTACHMENTS_PER_REQUEST", value_name = "N")]
    attachments_per_request: Option<usize>,
    /// Bytes of a request with attachments, as sent [default: 41943040]
    #[arg(long, env = "AGENTSIGHT_ATTACHMENT_REQUEST_BYTES", value_name = "BYTES")]
    attachment_request_bytes: Option<usize>,
    /// Seconds that a list or a search may take, and any statement on PostgreSQL; 1 to 86400 [default: 12]
    #[arg(long, env = "AGENTSIGHT_QUERY_SECONDS", value_name = "SECONDS")]
    query_seconds: Option<u64>,
    /// Connections to PostgreSQL for reads at most; writes take two more [default: 8]
    #[arg(long, env = "AGENTSIGHT_DATABASE_CONNECTIONS", value_name = "N")]
    database_connections: Option<usize>,
    /// Seconds that connecting to PostgreSQL may take, to each server that its address names [default: 5]
    #[arg(long, env = "AGENTSIGHT_DATABASE_CONNECT_SECONDS", value_name = "SECONDS")]
    database_connect_seconds: Option<u64>,
    /// Milliseconds after which statements on PostgreSQL are logged, without their parameters; 0 logs all [default: 1000]
    #[arg(long, env = "AGENTSIGHT_SLOW_QUERY_MS", value_name = "MS")]
    slow_query_ms: Option<u64>,
    /// Bytes of writes that wait at most; a sender waits up to 10 s for room, then hears 503 [default: 67108864]
    #[arg(long, env = "AGENTSIGHT_WRITE_QUEUE_BYTES", value_name = "BYTES")]
    write_queue_bytes: Option<usize>,
    /// Lines for people, or JSON for machines [default: text]
    #[arg(long, env = "AGENTSIGHT_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: off, error, warn, info, debug, trace, or a filter such as info,agentsight_store=debug [default: info,object_store=warn]
    #[arg(long, env = "AGENTSIGHT_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines, one object a line.
    Json,
}

/// The file: the same keys, none of them needed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data_dir: Option<PathBuf>,
    database_url: Option<String>,
    blobs: Option<String>,
    s3_endpoint: Option<String>,
    s3_region: Option<String>,
    s3_allow_http: Option<bool>,
    s3_access_key: Option<HiddenText>,
    s3_secret_key: Option<HiddenText>,
    database_connections: Option<usize>,
    database_connect_seconds: Option<u64>,
    slow_query_ms: Option<u64>,
    listen: Option<String>,
    public_url: Option<String>,
    geoip: Option<Vec<PathBuf>>,
    currency_rates: Option<PathBuf>,
    redaction_rules: Option<PathBuf>,
    search_index: Option<bool>,
    reads_per_minute: Option<u32>,
    writes_per_minute: Option<u32>,
    attachment_bytes: Option<usize>,
    attachments_per_request: Option<usize>,
    attachment_request_bytes: Option<usize>,
    query_seconds: Option<u64>,
    write_queue_bytes: Option<usize>,
    log_format: Option<LogFormat>,
    log: Option<String>,
}

/// A secret of the file.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct HiddenText(Secret);

impl From<String> for HiddenText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

fn read_file(named: Option<&Path>) -> Result<File, Failure> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => return Err(Failure::Configuration(vec![format!("{}: {error}", path.display())])),
    };
    toml::from_str(&text).map_err(|error| {
        // Without the line itself, which may hold a password.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Failure::Configuration(vec![format!("{}: line {line}: {}", path.display(), error.message())])
    })
}

/// Where the data of a command is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) data_dir: PathBuf,
    /// The database, where it is not the one in the folder.
    pub(crate) database: Option<DatabaseConfig>,
    /// The bucket of the attachments, where they are not in the folder.
    pub(crate) bucket: Option<BucketConfig>,
}

/// Where a store is, for people: the database, else the folder from its root on.
pub(crate) fn named(database: Option<&DatabaseConfig>, data_dir: &Path) -> String {
    match database {
        Some(database) => database.url.to_string(),
        None => std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned()).display().to_string(),
    }
}

/// The data folder, the database and the bucket that a command means.
pub(crate) fn place(args: &DataArgs) -> Result<Place, Failure> {
    let file = read_file(args.config.as_deref())?;
    let mut problems = Vec::new();
    let database = database(args, file.database_url.as_deref()).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let bucket = bucket(args, &file, &mut problems);
    let data_dir = args.data_dir.clone().or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into());
    if problems.is_empty() { Ok(Place { data_dir, database, bucket }) } else { Err(Failure::Configuration(problems)) }
}

/// The bucket that is meant, if one is, with its part of the problems.
fn bucket(args: &DataArgs, file: &File, problems: &mut Vec<String>) -> Option<BucketConfig> {
    let text = args.blobs.as_deref().or(file.blobs.as_deref())?;
    if text.is_empty() {
        problems.push("blobs (AGENTSIGHT_BLOBS): it is empty; leave it out for the data folder".to_owned());
        return None;
    }
    bucket_at(text, "blobs (AGENTSIGHT_BLOBS)", &args.bucket, file, problems)
}

/// Reads the addresses of buckets that have flags of their own; how they are spoken to is said once for all.
pub(crate) fn buckets<const N: usize>(
    addresses: [(&str, Option<&str>); N],
    args: &BucketArgs,
    problems: &mut Vec<String>,
) -> Result<[Option<BucketConfig>; N], Failure> {
    let file = read_file(None)?;
    Ok(addresses.map(|(flag, url)| url.and_then(|url| bucket_at(url, flag, args, &file, problems))))
}

fn bucket_at(
    text: &str,
    source: &str,
    args: &BucketArgs,
    file: &File,
    problems: &mut Vec<String>,
) -> Option<BucketConfig> {
    let url = match text.parse() {
        Ok(url) => url,
        Err(problem) => {
            problems.push(format!("{source}: {problem}"));
            return None;
        }
    };
    let endpoint = args.s3_endpoint.clone().or_else(|| file.s3_endpoint.clone()).filter(|text| !text.is_empty());
    let allow_http = args.s3_allow_http.or(file.s3_allow_http).unwrap_or(false);
    match endpoint.as_deref() {
        Some(url) if url.starts_with("http://") && !allow_http => problems.push(
            "s3_endpoint (AGENTSIGHT_S3_ENDPOINT): it begins with http://, so that everybody on the way can read the attachments; set AGENTSIGHT_S3_ALLOW_HTTP=true if that is meant".to_owned(),
        ),
        Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => problems
            .push(format!("s3_endpoint (AGENTSIGHT_S3_ENDPOINT): \"{url}\" does not begin with https:// or http://")),
        _ => {}
    }
    // No flags: what is on a command line is seen by everybody on the machine.
    let secret = |name: &str, in_file: &Option<HiddenText>| {
        let in_variable = std::env::var(name).ok().filter(|text| !text.is_empty()).map(Secret::from);
        in_variable.or_else(|| in_file.as_ref().map(|hidden| hidden.0.clone()))
    };
    Some(BucketConfig {
        endpoint,
        region: args.s3_region.clone().or_else(|| file.s3_region.clone()).filter(|text| !text.is_empty()),
        allow_http,
        access_key: secret("AGENTSIGHT_S3_ACCESS_KEY", &file.s3_access_key),
        secret_key: secret("AGENTSIGHT_S3_SECRET_KEY", &file.s3_secret_key),
        ..BucketConfig::new(url)
    })
}

fn database(args: &DataArgs, in_file: Option<&str>) -> Result<Option<DatabaseConfig>, String> {
    match args.database_url.as_deref().or(in_file) {
        None => Ok(None),
        // A secret that was not filled in must not lead to a store that nobody keeps.
        Some("") => {
            Err("database_url (AGENTSIGHT_DATABASE_URL): it is empty; leave it out for the embedded database"
                .to_owned())
        }
        Some(url) => match url.parse() {
            Ok(url) => Ok(Some(DatabaseConfig::new(url))),
            // The text itself may hold a password.
            Err(problem) => Err(format!("database_url (AGENTSIGHT_DATABASE_URL): {problem}")),
        },
    }
}

/// Everything that `serve` needs, checked as a whole.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) store: StoreConfig,
    pub(crate) server: ServerConfig,
    pub(crate) bootstrap_key: Option<ApiKey>,
    pub(crate) log_format: LogFormat,
    pub(crate) log: String,
}

impl Config {
    /// Puts flags, variables and the file together; every problem is named with its source.
    pub(crate) fn resolve(args: &ServeArgs) -> Result<Self, Failure> {
        let file = read_file(args.data.config.as_deref())?;
        let mut problems = Vec::new();
        let bucket = bucket(&args.data, &file, &mut problems);
        let listen = args.listen.clone().or(file.listen).unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
        let address = resolve_address(&listen);
        if address.is_none() {
            problems.push(format!(
                "listen (AGENTSIGHT_LISTEN): \"{listen}\" is not an address with a port, try {DEFAULT_LISTEN}"
            ));
        }
        let public_url = args.public_url.clone().or(file.public_url);
        if let Some(url) = &public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            problems
                .push(format!("public_url (AGENTSIGHT_PUBLIC_URL): \"{url}\" does not begin with http:// or https://"));
        }
        let bootstrap_key = match std::env::var("AGENTSIGHT_BOOTSTRAP_API_KEY") {
            Ok(text) if !text.is_empty() => match text.parse() {
                Ok(key) => Some(key),
                Err(error) => {
                    problems.push(format!("AGENTSIGHT_BOOTSTRAP_API_KEY: {error}"));
                    None
                }
            },
            _ => None,
        };
        let log = args.log.clone().or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned());
        if let Err(problem) = check_log(&log) {
            problems.push(format!("log (AGENTSIGHT_LOG): {problem}"));
        }
        let mut database = database(&args.data, file.database_url.as_deref()).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if let Some(database) = &mut database {
            let connections = args.database_connections.or(file.database_connections);
            let connections = within("database_connections", connections, CONNECTIONS, &mut problems);
            database.connections = connections.unwrap_or(database.connections);
            let connect = args.database_connect_seconds.or(file.database_connect_seconds);
            let connect = within("database_connect_seconds", connect, SECONDS, &mut problems);
            database.connect_time = connect.map_or(database.connect_time, Duration::from_secs);
            let slow = args.slow_query_ms.or(file.slow_query_ms);
            database.slow_query = slow.map_or(database.slow_query, Duration::from_millis);
        }
        let defaults = AttachmentLimits::default();
        let mut some = |name, given| within(name, given, ANY_BUT_NONE, &mut problems);
        let file_bytes = some("attachment_bytes", args.attachment_bytes.or(file.attachment_bytes));
        let files = some("attachments_per_request", args.attachments_per_request.or(file.attachments_per_request));
        let request_bytes =
            some("attachment_request_bytes", args.attachment_request_bytes.or(file.attachment_request_bytes));
        let attachments = AttachmentLimits {
            file_bytes: file_bytes.unwrap_or(defaults.file_bytes),
            files: files.unwrap_or(defaults.files),
            request_bytes: request_bytes.unwrap_or(defaults.request_bytes),
        };
        let plain = StoreConfig::default();
        let queue_bytes = some("write_queue_bytes", args.write_queue_bytes.or(file.write_queue_bytes));
        let query_seconds = args.query_seconds.or(file.query_seconds);
        let query_time = within("query_seconds", query_seconds, SECONDS, &mut problems).map(Duration::from_secs);
        let rules = args.redaction_rules.clone().or(file.redaction_rules);
        let redaction = rules.map_or_else(|| Ok(Redaction::default()), |rules| Redaction::open(&rules));
        let redaction = redaction.unwrap_or_else(|problem| {
            problems.push(format!("redaction_rules (AGENTSIGHT_REDACTION_RULES): {problem}"));
            Redaction::default()
        });
        let (Some(listen), true) = (address, problems.is_empty()) else { return Err(Failure::Configuration(problems)) };
        Ok(Self {
            listen,
            data_dir: args.data.data_dir.clone().or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            store: StoreConfig {
                queue_bytes: queue_bytes.unwrap_or(plain.queue_bytes),
                query_time: query_time.unwrap_or(plain.query_time),
                database,
                bucket,
                search_index: args.search_index.or(file.search_index).unwrap_or(plain.search_index),
                redaction,
                geoip: if args.geoip.is_empty() { file.geoip.unwrap_or_default() } else { args.geoip.clone() },
                ..plain
            },
            server: ServerConfig {
                public_url,
                attachments,
                currency_rates: args.currency_rates.clone().or(file.currency_rates),
                reads_per_minute: args.reads_per_minute.or(file.reads_per_minute),
                writes_per_minute: args.writes_per_minute.or(file.writes_per_minute),
                ..ServerConfig::default()
            },
            bootstrap_key,
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
            log,
        })
    }
}

/// A number as it was set, where it makes sense; else a problem that says what would.
fn within<T: Copy + Display + PartialOrd>(
    name: &str,
    given: Option<T>,
    range: RangeInclusive<T>,
    problems: &mut Vec<String>,
) -> Option<T> {
    let number = given?;
    if range.contains(&number) {
        return Some(number);
    }
    let variable = name.to_ascii_uppercase();
    let (bound, word) = if number < *range.start() { (range.start(), "at least") } else { (range.end(), "at most") };
    problems.push(format!("{name} (AGENTSIGHT_{variable}): {number} makes no sense, it must be {word} {bound}"));
    None
}

/// Refuses what cannot be read as a filter, and a word that is no level: it would be read as the name of a part of the
/// program that nobody knows, and nothing be logged but that.
fn check_log(filter: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let words = filter.split(',').map(str::trim).filter(|part| !part.contains(['=', '[', ']', '{', '}']));
    if let Some(word) = words.filter(|word| !word.is_empty()).find(|word| !is_level(word)) {
        let known = LEVELS.join(", ");
        return Err(format!(
            "\"{word}\" is no level; write one of {known}, or PART=LEVEL, such as agentsight_store=debug"
        ));
    }
    tracing_subscriber::EnvFilter::try_new(filter).map(drop).map_err(|error| format!("\"{filter}\": {error}"))
}

fn resolve_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}
