//! Files of messages.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AttachmentId, ConversationId, MessageId};
use crate::limits::TEXT_CHARS;

/// What kind of thing a file is, from its MIME type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AttachmentType {
    /// `image/*`
    Image,
    /// `audio/*`
    Audio,
    /// `video/*`
    Video,
    /// `text/*`
    Text,
    /// Everything else.
    Document,
}

impl AttachmentType {
    /// The type of a MIME type.
    #[must_use]
    pub fn of_mime(mime_type: &str) -> Self {
        let class = mime_type.split('/').next().unwrap_or_default().trim();
        if class.eq_ignore_ascii_case("image") {
            Self::Image
        } else if class.eq_ignore_ascii_case("audio") {
            Self::Audio
        } else if class.eq_ignore_ascii_case("video") {
            Self::Video
        } else if class.eq_ignore_ascii_case("text") {
            Self::Text
        } else {
            Self::Document
        }
    }
}

/// A file as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attachment {
    /// Our key.
    pub id: AttachmentId,
    /// The message that it hangs on.
    pub message: MessageId,
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub kind: AttachmentType,
    /// The sender's name for it; data, never a path.
    pub filename: String,
    /// As given, or guessed.
    pub mime_type: String,
    /// Decoded size in bytes.
    pub size_bytes: u64,
    /// Absolute and signed, valid for one hour, works without any header.
    pub file_url: String,
}

/// Answer of `POST /api/attachments/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttachmentsStored {
    /// Id of the first file.
    pub id: AttachmentId,
    /// The message that the files hang on.
    pub message: MessageId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The sender's name for it.
    pub conversation_id: String,
    /// All files of the request.
    pub attachments: Vec<Attachment>,
}

/// SHA-256 of a file's bytes: its name in the blob store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// In hexadecimal digits, as in the name of its file.
impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The MIME type of a file whose sender named none: from the name, then from the first bytes.
#[must_use]
pub fn guess_mime(filename: &str, bytes: &[u8]) -> String {
    const MAGIC: [(&[u8], &str); 7] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"%PDF-", "application/pdf"),
        (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b", "application/gzip"),
        (b"OggS", "audio/ogg"),
    ];
    if let Some(mime) = mime_guess::from_path(filename).first_raw() {
        return mime.to_owned();
    }
    MAGIC
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map_or("application/octet-stream", |(_, mime)| mime)
        .to_owned()
}

/// A file name that fits: shortened to 255 characters with its extension kept, control characters
/// dropped, never empty.
#[must_use]
pub fn fit_filename(given: &str, index: usize) -> String {
    let name: String = given.chars().filter(|c| !c.is_control()).collect();
    let name = name.trim();
    if name.is_empty() {
        return format!("attachment_{index}");
    }
    if name.chars().count() <= TEXT_CHARS {
        return name.to_owned();
    }
    let extension: String = match name.rsplit_once('.') {
        Some((_, extension)) if extension.chars().count() <= 16 => format!(".{extension}"),
        _ => String::new(),
    };
    let stem = TEXT_CHARS - extension.chars().count();
    name.chars().take(stem).collect::<String>() + &extension
}

/// A MIME type that can be sent as a header: `type/subtype` of visible characters, else `None`.
#[must_use]
pub fn clean_mime(given: &str) -> Option<String> {
    let given = given.trim();
    let (kind, subtype) = given.split_once('/')?;
    let visible = given.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    (visible && !kind.is_empty() && !subtype.is_empty() && given.len() <= TEXT_CHARS)
        .then(|| given.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_extension() {
        let name = fit_filename(&format!("{}.pdf", "ä".repeat(400)), 0);
        assert_eq!(name.chars().count(), 255);
        assert!(name.ends_with("ä.pdf"));
        assert_eq!(fit_filename(" \r\n", 3), "attachment_3");
        assert_eq!(fit_filename("../../etc/passwd", 0), "../../etc/passwd");
    }

    #[test]
    fn the_type_follows_the_mime_type() {
        assert_eq!(AttachmentType::of_mime("image/png"), AttachmentType::Image);
        assert_eq!(AttachmentType::of_mime("Text/CSV; charset=utf-8"), AttachmentType::Text);
        assert_eq!(AttachmentType::of_mime("application/pdf"), AttachmentType::Document);
        assert_eq!(guess_mime("x.PNG", b""), "image/png");
        assert_eq!(guess_mime("noname", b"%PDF-1.7"), "application/pdf");
        assert_eq!(guess_mime("noname", b"?"), "application/octet-stream");
        assert_eq!(clean_mime("text/html\r\nX: y"), None);
    }
}
