//! Files to be sent, in JSON or as multipart.

use std::fmt::Write as _;
use std::path::Path;

use agentsight_model::attachment::guess_mime;
use agentsight_model::ids::MessageId;
use agentsight_model::message::Sender;
use agentsight_model::time::Timestamp;
use base64::Engine as _;
use bytes::Bytes;
use serde::Serialize;

use crate::document::Document;
use crate::{Error, Result};

/// A file to be sent: a name, a MIME type and its bytes.
#[derive(Clone, Debug)]
pub struct File {
    pub(crate) filename: String,
    pub(crate) mime_type: String,
    pub(crate) bytes: Bytes,
}

impl File {
    /// A file from memory. Its MIME type is guessed from the name, then from the bytes.
    pub fn from_bytes(filename: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let (filename, bytes) = (filename.into(), bytes.into());
        Self { mime_type: guess_mime(&filename, &bytes), filename, bytes }
    }

    /// A file from disk, read as a whole at once. The last part of the path becomes its name.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let filename = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::from_bytes(filename, bytes))
    }

    /// The MIME type, instead of the guessed one.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = mime_type.into();
        self
    }
}

/// Files for [`OneConversation::track_attachments`](crate::OneConversation::track_attachments).
///
/// Without a message they become one of their own, `[Attachments]`.
#[derive(Clone, Debug)]
pub struct Files {
    pub(crate) files: Vec<File>,
    pub(crate) message: Option<MessageId>,
    pub(crate) sender: Sender,
    pub(crate) metadata: Document,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) form_data: bool,
}

impl Files {
    /// These files, from the end user.
    pub fn new(files: impl IntoIterator<Item = File>) -> Self {
        Self {
            files: files.into_iter().collect(),
            message: None,
            sender: Sender::EndUser,
            metadata: Document::EMPTY,
            timestamp: None,
            form_data: false,
        }
    }

    /// The message that they belong to.
    #[must_use]
    pub fn message(mut self, message: MessageId) -> Self {
        self.message = Some(message);
        self
    }

    /// Who sends them. Default: the end user.
    #[must_use]
    pub fn sender(mut self, sender: Sender) -> Self {
        self.sender = sender;
        self
    }

    /// Data of your own, anything that becomes a JSON object.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.metadata = Document::of("metadata", &metadata);
        self
    }

    /// When they were sent. Default: now.
    #[must_use]
    pub fn timestamp(mut self, at: impl Into<Timestamp>) -> Self {
        self.timestamp = Some(at.into());
        self
    }

    /// As multipart instead of base64 in JSON: a third less on the wire, which large files are worth.
    #[must_use]
    pub fn form_data(mut self) -> Self {
        self.form_data = true;
        self
    }
}

impl From<File> for Files {
    fn from(file: File) -> Self {
        Self::new([file])
    }
}

impl From<Vec<File>> for Files {
    fn from(files: Vec<File>) -> Self {
        Self::new(files)
    }
}

/// One entry of `attachments`.
#[derive(Serialize)]
pub(crate) struct Encoded<'a> {
    filename: &'a str,
    mime_type: &'a str,
    data: String,
}

/// The files as they stand in a JSON body.
pub(crate) fn encoded(files: &[File]) -> Vec<Encoded<'_>> {
    let encode = |file: &File| base64::engine::general_purpose::STANDARD.encode(&file.bytes);
    files
        .iter()
        .map(|file| Encoded { filename: &file.filename, mime_type: &file.mime_type, data: encode(file) })
        .collect()
}

/// A multipart body and its boundary. It is written out once, so that a repeat sends the same bytes.
///
/// Parts in the order of the original SDK: fields, files, and a `message` after them.
pub(crate) fn multipart(fields: &[(&str, String)], files: &[File], message: Option<MessageId>) -> (String, Bytes) {
    let boundary = boundary(fields, files);
    let size: usize = files.iter().map(|file| file.bytes.len() + 512).sum();
    let mut body = Vec::with_capacity(size + 1024);
    let mut part = |head: &str, content: &[u8]| {
        for piece in [b"--".as_slice(), boundary.as_bytes(), b"\r\n", head.as_bytes(), b"\r\n\r\n", content, b"\r\n"] {
            body.extend_from_slice(piece);
        }
    };
    let text = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"");
    for (name, value) in fields {
        part(&text(name), value.as_bytes());
    }
    for (index, file) in files.iter().enumerate() {
        let mut head = text(&format!("attachment_{index}"));
        // Writing to a string does not fail.
        let _ =
            write!(head, "; filename=\"{}\"\r\nContent-Type: {}", quoted(&file.filename), one_line(&file.mime_type));
        part(&head, &file.bytes);
    }
    if let Some(message) = message {
        part(&text("message"), message.to_string().as_bytes());
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (boundary, body.into())
}

/// A text that occurs in no part.
fn boundary(fields: &[(&str, String)], files: &[File]) -> String {
    let mut boundary = "agentsight-part".to_owned();
    let occurs = |boundary: &str| {
        let finder = memchr::memmem::Finder::new(boundary.as_bytes());
        let parts =
            fields.iter().map(|(_, value)| value.as_bytes()).chain(files.iter().map(|file| file.bytes.as_ref()));
        parts.into_iter().any(|part| finder.find(part).is_some())
    };
    let mut number = 0_u32;
    while occurs(&boundary) {
        number += 1;
        boundary = format!("agentsight-part-{number}");
    }
    boundary
}

/// As browsers write the name of a file in a form.
fn quoted(filename: &str) -> String {
    filename.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_occurs_in_no_part() {
        let file = |text: &'static str| File::from_bytes("a.txt", text);
        assert_eq!(boundary(&[], &[file("x")]), "agentsight-part");
        assert_eq!(boundary(&[], &[file("--agentsight-part"), file("agentsight-part-1")]), "agentsight-part-2");
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let file = File::from_bytes("a\"\r\nX: y", "").mime_type("text/plain\r\nX: y");
        let (_, body) = multipart(&[], &[file], None);
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("filename=\"a%22%0D%0AX: y\"\r\nContent-Type: text/plainX: y\r\n\r\n"), "{body}");
    }
}
