//! Configuration: as typed becomes as meant, once. A flag beats its variable, which beats the file.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentsight_model::key::ApiKey;
use agentsight_model::limits::AttachmentLimits;
use agentsight_server::ServerConfig;
use agentsight_store::{DatabaseConfig, StoreConfig};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::Failure;

/// Where the server listens when nothing else is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Where the data lies when nothing else is said.
const DEFAULT_DATA_DIR: &str = "agentsight-data";
/// The file that is read when it is there and no other is named.
const DEFAULT_FILE: &str = "agentsight.toml";

/// Where the data lies: what every command that opens the store takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DataArgs {
    /// Folder of the database and the attachments; made when missing [default: agentsight-data]
    #[arg(long, env = "AGENTSIGHT_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// PostgreSQL database that takes the place of the embedded one: postgres://user:password@host/database; a primary
    /// and its standbys stand with commas between them, host1,host2
    #[arg(long, env = "AGENTSIGHT_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Configuration file, whose keys are the long flags with underscores [default: agentsight.toml, when it is there]
    #[arg(long, env = "AGENTSIGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Flags of `agentsight serve`.
#[derive(Args, Clone, Debug, Default)]
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
    /// Seconds that a list or a search may take, and any statement on PostgreSQL [default: 12]
    #[arg(long, env = "AGENTSIGHT_QUERY_SECONDS", value_name = "SECONDS")]
    query_seconds: Option<u64>,
    /// Connections to PostgreSQL for reads at most; writes take two more [default: 8]
    #[arg(long, env = "AGENTSIGHT_DATABASE_CONNECTIONS", value_name = "N")]
    database_connections: Option<usize>,
    /// Seconds that connecting to PostgreSQL may take, to each server that its address names [default: 5]
    #[arg(long, env = "AGENTSIGHT_DATABASE_CONNECT_SECONDS", value_name = "SECONDS")]
    database_connect_seconds: Option<u64>,
    /// Milliseconds after which statements on PostgreSQL are logged, without their parameters [default: 1000]
    #[arg(long, env = "AGENTSIGHT_SLOW_QUERY_MS", value_name = "MS")]
    slow_query_ms: Option<u64>,
    /// Bytes of writes that wait at most; a sender waits up to 10 s for room, then hears 503 [default: 67108864]
    #[arg(long, env = "AGENTSIGHT_WRITE_QUEUE_BYTES", value_name = "BYTES")]
    write_queue_bytes: Option<usize>,
    /// Lines for people, or JSON for machines [default: text]
    #[arg(long, env = "AGENTSIGHT_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, or a filter such as agentsight_store=debug [default: info]
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
    database_connections: Option<usize>,
    database_connect_seconds: Option<u64>,
    slow_query_ms: Option<u64>,
    listen: Option<String>,
    public_url: Option<String>,
    geoip: Option<Vec<PathBuf>>,
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

fn read_file(named: Option<&Path>) -> Result<File, Failure> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => return Err(Failure::Configuration(vec![format!("{}: {error}", path.display())])),
    };
    toml::from_str(&text)
        .map_err(|e| Failure::Configuration(vec![format!("{}: {}", path.display(), e.to_string().trim_end())]))
}

/// The data folder that a command means, and the database, where it is not the one in the folder.
pub(crate) fn place(args: &DataArgs) -> Result<(PathBuf, Option<DatabaseConfig>), Failure> {
    let file = read_file(args.config.as_deref())?;
    let database =
        database(args, file.database_url.as_deref()).map_err(|problem| Failure::Configuration(vec![problem]))?;
    Ok((args.data_dir.clone().or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()), database))
}

fn database(args: &DataArgs, in_file: Option<&str>) -> Result<Option<DatabaseConfig>, String> {
    match args.database_url.as_deref().or(in_file) {
        None | Some("") => Ok(None),
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
        let log = args.log.clone().or(file.log).unwrap_or_else(|| "info".to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&log) {
            problems.push(format!("log (AGENTSIGHT_LOG): \"{log}\": {error}"));
        }
        let mut database = database(&args.data, file.database_url.as_deref()).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if let Some(database) = &mut database {
            let connections = args.database_connections.or(file.database_connections);
            database.connections = connections.unwrap_or(database.connections);
            let connect = args.database_connect_seconds.or(file.database_connect_seconds);
            database.connect_time = connect.map_or(database.connect_time, Duration::from_secs);
            let slow = args.slow_query_ms.or(file.slow_query_ms);
            database.slow_query = slow.map_or(database.slow_query, Duration::from_millis);
            if database.connections == 0 || database.connect_time.is_zero() {
                problems.push("database_connections and database_connect_seconds must be more than 0".to_owned());
            }
        }
        let defaults = AttachmentLimits::default();
        let attachments = AttachmentLimits {
            file_bytes: args.attachment_bytes.or(file.attachment_bytes).unwrap_or(defaults.file_bytes),
            files: args.attachments_per_request.or(file.attachments_per_request).unwrap_or(defaults.files),
            request_bytes: args
                .attachment_request_bytes
                .or(file.attachment_request_bytes)
                .unwrap_or(defaults.request_bytes),
        };
        let plain = StoreConfig::default();
        let query_time = args.query_seconds.or(file.query_seconds).map_or(plain.query_time, Duration::from_secs);
        let queue_bytes = args.write_queue_bytes.or(file.write_queue_bytes).unwrap_or(plain.queue_bytes);
        if queue_bytes == 0 || query_time.is_zero() {
            problems.push("query_seconds and write_queue_bytes must be more than 0".to_owned());
        }
        let (Some(listen), true) = (address, problems.is_empty()) else { return Err(Failure::Configuration(problems)) };
        Ok(Self {
            listen,
            data_dir: args.data.data_dir.clone().or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            store: StoreConfig {
                queue_bytes,
                query_time,
                database,
                search_index: args.search_index.or(file.search_index).unwrap_or(plain.search_index),
                geoip: if args.geoip.is_empty() { file.geoip.unwrap_or_default() } else { args.geoip.clone() },
                ..plain
            },
            server: ServerConfig {
                public_url,
                attachments,
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

fn resolve_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}
