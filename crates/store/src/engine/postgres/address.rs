//! Where a database is, as an operator writes it, and how the connection to it is protected.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// `postgres://user:password@host:port/database?sslmode=verify-full&schema=agentsight`
///
/// What libpq takes after the question mark is taken, and `schema`, the schema that holds our tables. Several servers
/// of one cluster stand with commas between them, `host1:port1,host2:port2`: the one that takes writes is used.
/// Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where it is, without user, password and settings.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(address) = Address::of(self) else { return f.write_str("…") };
        write!(f, "postgres://{}/{}", address.place(), address.database())?;
        match &address.schema {
            Some(schema) => write!(f, "?schema={schema}"),
            None => Ok(()),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Self(text.trim().to_owned());
        Address::of(&url).map(|_| url)
    }
}

/// After a silence this long the other side of a connection is asked whether it is still there.
const UNHEARD: Duration = Duration::from_secs(15);

/// How much of the server's identity is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trust {
    /// Whoever answers: what libpq does below `verify-full` without a root certificate.
    Anyone,
    /// The host's name, against this file or the system's roots.
    Named(Option<String>),
}

/// An address taken apart.
#[derive(Clone)]
pub(super) struct Address {
    /// One for each server that is named, all of them alike in everything else.
    pub(super) servers: Vec<tokio_postgres::Config>,
    pub(super) schema: Option<String>,
    trust: Trust,
}

impl Address {
    pub(super) fn of(url: &DatabaseUrl) -> Result<Self, String> {
        const EXAMPLE: &str = "write it like postgres://user:password@host:5432/database";
        let text = &url.0;
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(format!("the database's address does not begin with postgres://; {EXAMPLE}"));
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut schema, mut mode, mut roots) = (None, SslMode::Prefer, None);
        let mut verified = false;
        let mut left = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = form_urlencoded::parse(pair.as_bytes()).next().unwrap_or_default();
            match &*name {
                "schema" => schema = Some(value.into_owned()).filter(|schema| !schema.is_empty()),
                "target_session_attrs" => match &*value {
                    // What we always want: a node writes.
                    "any" | "read-write" | "primary" => {}
                    _ => {
                        return Err(format!(
                            "target_session_attrs={value} would find a server that only reads; leave it out"
                        ));
                    }
                },
                "sslrootcert" => roots = Some(value.into_owned()).filter(|file| file != "system"),
                "sslmode" => {
                    (mode, verified) = match &*value {
                        "disable" => (SslMode::Disable, false),
                        "allow" | "prefer" => (SslMode::Prefer, false),
                        "require" => (SslMode::Require, false),
                        // Checking the certificate and not its name would protect from nobody.
                        "verify-ca" | "verify-full" => (SslMode::Require, true),
                        _ => {
                            return Err(format!(
                                "sslmode={value} is not known; it may be disable, allow, prefer, require, verify-ca or verify-full"
                            ));
                        }
                    }
                }
                _ => left.push(pair),
            }
        }
        let settings = if left.is_empty() { String::new() } else { format!("?{}", left.join("&")) };
        let keepalive_is_set = left.iter().any(|pair| pair.starts_with("keepalives"));
        let mut servers = Vec::new();
        for base in each_server(base) {
            let mut config: tokio_postgres::Config =
                format!("{base}{settings}").parse().map_err(|error: tokio_postgres::Error| {
                    let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                    format!("the database's address cannot be read ({why}); {EXAMPLE}")
                })?;
            if config.get_hosts().is_empty() {
                return Err(format!("the database's address names no host; {EXAMPLE}"));
            }
            if config.get_user().is_none() {
                return Err(format!("the database's address names no user; {EXAMPLE}"));
            }
            config.ssl_mode(mode).target_session_attrs(TargetSessionAttrs::ReadWrite);
            if config.get_application_name().is_none() {
                config.application_name("agentsight");
            }
            if !keepalive_is_set {
                config.keepalives_idle(UNHEARD).keepalives_interval(UNHEARD / 3).keepalives_retries(3);
            }
            if config.get_tcp_user_timeout().is_none() {
                config.tcp_user_timeout(UNHEARD * 2);
            }
            servers.push(config);
        }
        let trust = if verified || roots.is_some() { Trust::Named(roots) } else { Trust::Anyone };
        Ok(Self { servers, schema, trust })
    }

    /// Host and port, for sentences.
    pub(super) fn place(&self) -> String {
        let hosts = self.servers.iter().flat_map(|config| {
            config.get_hosts().iter().enumerate().map(|(at, host)| {
                let ports = config.get_ports();
                let port = ports.get(at).or_else(|| ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                    Host::Tcp(name) => format!("{name}:{port}"),
                    #[cfg(unix)]
                    Host::Unix(folder) => format!("{}:{port}", folder.display()),
                }
            })
        });
        hosts.collect::<Vec<_>>().join(",")
    }

    /// What all servers have in common.
    fn common(&self) -> Option<&tokio_postgres::Config> {
        self.servers.first()
    }

    pub(super) fn database(&self) -> &str {
        self.common().and_then(|config| config.get_dbname().or_else(|| config.get_user())).unwrap_or("postgres")
    }

    pub(super) fn user(&self) -> &str {
        self.common().and_then(tokio_postgres::Config::get_user).unwrap_or_default()
    }

    /// What encrypts the connection, where it is encrypted.
    pub(super) fn tls(&self) -> Result<MakeRustlsConnect, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("no TLS: {error}"))?;
        let config = match &self.trust {
            Trust::Anyone => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))).with_no_client_auth()
            }
            Trust::Named(None) => builder
                .with_platform_verifier()
                .map_err(|error| format!("the system's root certificates cannot be used: {error}"))?
                .with_no_client_auth(),
            Trust::Named(Some(file)) => {
                let failed = |error: &dyn fmt::Display| format!("sslrootcert {file} cannot be used: {error}");
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))? {
                    let certificate = certificate.map_err(|error| failed(&error))?;
                    roots.add(certificate).map_err(|error| failed(&error))?;
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }
}

/// The address once for each server in its list of hosts, so that each can be given its own time to answer.
fn each_server(base: &str) -> Vec<String> {
    let Some((scheme, rest)) = base.split_once("://") else { return vec![base.to_owned()] };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (user, hosts) = authority.rfind('@').map_or(("", authority), |at| authority.split_at(at + 1));
    hosts.split(',').map(|host| format!("{scheme}://{user}{host}{path}")).collect()
}

/// Takes any certificate: encryption against whoever listens, as libpq's `require` means it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<DatabaseUrl>().unwrap_err()
    }

    #[test]
    fn an_address_says_what_is_wrong_with_it() {
        assert_eq!(
            refused("mysql://a@b/c"),
            "the database's address does not begin with postgres://; write it like postgres://user:password@host:5432/database"
        );
        assert_eq!(
            refused("postgres://a@b/c?sslmode=maybe"),
            "sslmode=maybe is not known; it may be disable, allow, prefer, require, verify-ca or verify-full"
        );
        assert!(refused("postgres://a@b:many/c").starts_with("the database's address cannot be read ("));
        assert!(refused("postgres:///c").starts_with("the database's address names no host"));
    }

    #[test]
    fn a_schema_is_taken_out_and_the_rest_is_left() {
        let url = "postgres://me:secret@db:5433/chats?schema=of%20bots&connect_timeout=3&sslmode=verify-full";
        let address = Address::of(&url.parse().unwrap()).unwrap();

        assert_eq!(address.schema.as_deref(), Some("of bots"));
        assert_eq!((address.place().as_str(), address.database(), address.user()), ("db:5433", "chats", "me"));
        assert_eq!(address.trust, Trust::Named(None));
        assert_eq!(address.servers[0].get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn several_servers_are_asked_one_by_one_for_the_one_that_writes() {
        let url = "postgres://me:secret@one:5433,two,[::1]:5434/chats?target_session_attrs=primary";
        let address = Address::of(&url.parse().unwrap()).unwrap();

        assert_eq!(address.place(), "one:5433,two:5432,[::1]:5434");
        assert_eq!((address.servers.len(), address.database(), address.user()), (3, "chats", "me"));
        assert!(address.servers.iter().all(|one| one.get_target_session_attrs() == TargetSessionAttrs::ReadWrite));
        assert_eq!(
            refused("postgres://me@one,two/chats?target_session_attrs=standby"),
            "target_session_attrs=standby would find a server that only reads; leave it out"
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: DatabaseUrl = "postgres://me:secret@db/chats".parse().unwrap();
        assert_eq!(format!("{url:?}"), "…");
    }
}
