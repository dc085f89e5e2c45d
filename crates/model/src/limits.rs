//! Every limit on what comes in, by name (contract: README §8). Sizes are bytes unless said otherwise.

/// Characters of a short text: ids, names, devices, labels, file names.
pub const TEXT_CHARS: usize = 255;
/// Content of one message.
pub const CONTENT_BYTES: usize = 1024 * 1024;
/// One metadata document, as sent.
pub const METADATA_BYTES: usize = 256 * 1024;
/// `tools_used`, `response` and `error_msg` of an action log, each.
pub const ACTION_TEXT_BYTES: usize = 1024 * 1024;
/// Characters of a feedback comment.
pub const COMMENT_CHARS: usize = 5_000;
/// Characters of the topic and the reason of a vote.
pub const SLUG_CHARS: usize = 50;
/// What people write about a ticket or an action: a comment, a description.
pub const NOTE_BYTES: usize = 64 * 1024;
/// Labels of one ticket.
pub const TICKET_TAGS: usize = 100;
/// A JSON body of any route but attachments.
pub const JSON_BODY_BYTES: usize = 8 * 1024 * 1024;

/// A body of spans, decompressed.
pub const SPANS_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Characters of a span's id; SDK 0.1.x and OpenTelemetry send 16.
pub const SPAN_ID_CHARS: usize = 64;
/// Tokens of one count; what says more is no count. Sums over millions of rows stay integers of 64 bits.
pub const TOKENS: i64 = 1_000_000_000_000;
/// Cost of one call, in units of 0.00000001 US dollars: ten thousand dollars. What a sender says that is more is no cost, and
/// what is worked out is cut to it. Sums over millions of calls stay integers of 64 bits.
pub const CALL_COST: i64 = 1_000_000_000_000;
/// Blocks that a refused batch names (contract: ingest-v1 §3.1).
pub const BLOCKS_NAMED: usize = 20;
/// Spans that a refused block names.
pub const SPAN_PROBLEMS_NAMED: usize = 20;
/// Spans that one trace shows, the oldest of them (contract: reading §11.3).
pub const TRACE_SPANS: usize = 5_000;

/// Rows of one page at most; more is clamped, not refused.
pub const PAGE_ROWS: u32 = 100;
/// Rows of one page when none are asked for (contract: open-questions row 1).
pub const PAGE_ROWS_DEFAULT: u32 = 10;
/// Words of a search, and pairs of a metadata filter: each is a condition, and an engine takes only so many.
pub const FILTER_TERMS: usize = 32;
/// Rows that `paginate=false` answers at most.
pub const UNPAGED_ROWS: u64 = 10_000;
/// Bytes of texts of a list without pages; what goes past them is cut.
pub const UNPAGED_BYTES: usize = 32 * 1024 * 1024;
/// Entries of a list of metadata keys or values.
pub const METADATA_LIST: usize = 200;
/// Newest conversations that a list of metadata keys looks at.
pub const METADATA_LIST_CONVERSATIONS: u32 = 5_000;

/// Entries of a price list.
pub const PRICE_LIST_ENTRIES: usize = 50_000;
/// A price list, as a file.
pub const PRICE_LIST_BYTES: u64 = 32 * 1024 * 1024;
/// A file of currency rates: all that the European Central Bank ever gave is 0.6 MB.
pub const CURRENCY_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Files of a request, and their sizes; each may be set by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachmentLimits {
    /// One file, decoded.
    pub file_bytes: usize,
    /// Files of one request.
    pub files: usize,
    /// The whole request as it comes over the wire, base64 counted as sent.
    pub request_bytes: usize,
}

impl Default for AttachmentLimits {
    fn default() -> Self {
        Self { file_bytes: 25 * 1024 * 1024, files: 10, request_bytes: 40 * 1024 * 1024 }
    }
}
