//! Which bucket holds the attachments, as an operator writes it.

use std::fmt;
use std::str::FromStr;

/// A text that nobody sees: its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for whoever must send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Whose protocol a bucket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Amazon S3 and all that speak like it: MinIO, Garage, Ceph, …
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Kind {
    /// What to do where nobody says who we are.
    pub(super) fn where_credentials_are_set(self) -> &'static str {
        match self {
            Self::S3 => {
                "set AGENTSIGHT_S3_ACCESS_KEY and AGENTSIGHT_S3_SECRET_KEY (s3_access_key and s3_secret_key in agentsight.toml), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Self::Google => "set GOOGLE_SERVICE_ACCOUNT to the file of a service account's key",
            Self::Azure => "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        }
    }
}

/// `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; the prefix may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    pub(super) kind: Kind,
    pub(super) bucket: String,
    /// Without slashes at its ends.
    pub(super) prefix: String,
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::S3 => "s3",
            Kind::Google => "gs",
            Kind::Azure => "az",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl FromStr for BucketUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape =
            || format!("\"{text}\" is no bucket, try s3://bucket/prefix, gs://bucket/prefix or az://container/prefix");
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(shape)?;
        let kind = match scheme {
            "s3" => Kind::S3,
            "gs" => Kind::Google,
            "az" => Kind::Azure,
            _ => return Err(shape()),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if bucket.is_empty() || !bucket.chars().all(plain) {
            // Also what a URL with a password in it looks like; it is not said again.
            return Err("the name of a bucket has letters, digits, dots and dashes, and nothing before or after it but a prefix".to_owned());
        }
        let prefix = prefix.trim_matches('/');
        object_store::path::Path::parse(prefix)
            .map_err(|_| format!("\"{prefix}\" cannot be the beginning of a key"))?;
        Ok(Self { kind, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// A bucket that takes the place of the data folder for the bytes of attachments, shared by any number of nodes.
///
/// What is not said here is taken from the usual variables: `AWS_…`, `GOOGLE_…`, `AZURE_…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketConfig {
    /// Where it is.
    pub url: BucketUrl,
    /// Address of an S3 server that is not Amazon's.
    pub endpoint: Option<String>,
    /// Region of the bucket, where S3 wants one.
    pub region: Option<String>,
    /// Whether S3 may be spoken without TLS.
    pub allow_http: bool,
    /// Who we are to S3.
    pub access_key: Option<Secret>,
    /// Its proof.
    pub secret_key: Option<Secret>,
}

impl BucketConfig {
    /// A bucket about which the usual variables say the rest.
    #[must_use]
    pub fn new(url: BucketUrl) -> Self {
        Self { url, endpoint: None, region: None, allow_http: false, access_key: None, secret_key: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_with_its_prefix() {
        for (text, shown) in [
            ("s3://files", "s3://files"),
            ("s3://files/", "s3://files"),
            ("gs://files/agentsight/prod/", "gs://files/agentsight/prod"),
            ("az://container/a", "az://container/a"),
        ] {
            assert_eq!(text.parse::<BucketUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_bucket_is_refused_in_a_sentence() {
        for text in ["", "files", "/srv/files", "http://files", "s3:files"] {
            let problem = text.parse::<BucketUrl>().unwrap_err();
            assert!(
                problem.ends_with("try s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"),
                "{problem}"
            );
        }
        for text in ["s3://", "s3:///prefix", "s3://key:secret@files", "s3://files/../other"] {
            let problem = text.parse::<BucketUrl>().unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let config = BucketConfig {
            secret_key: Some("hunter2".to_owned().into()),
            ..BucketConfig::new("s3://files".parse().unwrap())
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
