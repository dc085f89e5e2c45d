//! API keys: their shape, their role, and what is kept of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Every GET.
    Read,
    /// Every GET, and every write of the API.
    Write,
}

impl Role {
    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(UnknownRole),
        }
    }
}

/// Neither `read` nor `write`.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a role is read or write")]
pub struct UnknownRole;

/// An API key in clear: `ags_`, 32 hex digits, `_`, 6 hex digits (contract: README §1.1).
///
/// It is shown once, when it is made. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// The text has not the shape of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an API key is ags_, 32 hex digits, an underscore and 6 hex digits")]
pub struct MalformedKey;

/// What is stored of a key: its SHA-256.
pub type KeyHash = [u8; 32];

impl ApiKey {
    /// Makes a key of 16 random bytes. The last six digits are the beginning of their SHA-256,
    /// which nobody checks.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        let mut text = String::with_capacity(43);
        text.push_str("ags_");
        push_hex(&mut text, &random);
        text.push('_');
        push_hex(&mut text, Sha256::digest(random).get(..3).unwrap_or_default());
        Self(text)
    }

    /// The key in clear, to be shown once or sent.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it. Letter case does not matter, as in the SDKs' own check.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The last six digits, by which a person can tell keys apart.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.0.get(37..).unwrap_or_default()
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.extend(DIGITS.get(usize::from(nibble)));
        }
    }
}

impl FromStr for ApiKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.strip_prefix("ags_").and_then(|rest| rest.split_once('_')).ok_or(MalformedKey)?;
        let hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
        if hex(digits.0, 32) && hex(digits.1, 6) { Ok(Self(text)) } else { Err(MalformedKey) }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_has_the_shape_that_the_sdks_check() {
        let key = ApiKey::from_random([0xAB; 16]);
        assert_eq!(key.reveal().parse(), Ok(key.clone()));
        assert_eq!(key.reveal().len(), 43);
        assert_eq!(key.hint().len(), 6);
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
    }

    #[test]
    fn case_does_not_matter_and_other_shapes_are_refused() {
        let lower: ApiKey = "ags_0123456789abcdef0123456789abcdef_00ff00".parse().unwrap();
        let upper: ApiKey = "AGS_0123456789ABCDEF0123456789ABCDEF_00FF00".parse().unwrap();
        assert_eq!(lower.hash(), upper.hash());
        for text in [
            "",
            "ags_",
            "ags_xyz_00ff00",
            "agse_0123456789abcdef0123456789abcdef_00ff00",
            "ags_0123456789abcdef0123456789abcdef_00ff0",
        ] {
            assert_eq!(text.parse::<ApiKey>(), Err(MalformedKey), "{text}");
        }
    }
}
