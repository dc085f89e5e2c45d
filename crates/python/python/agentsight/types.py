"""The shapes that answers have, and those of what is given."""

import sys
from io import BytesIO
from typing import Any, BinaryIO, Dict, List, Optional, TypedDict, Union

if sys.version_info >= (3, 11):
    from typing import NotRequired
else:
    try:
        from typing_extensions import NotRequired
    except ImportError:  # At run time the mark means nothing.
        NotRequired = Optional

FileData = Union[bytes, BinaryIO, BytesIO]
AttachmentInput = Dict[str, Any]
"""A file: ``filename``, ``mime_type``, and ``data`` as base64 text (mode base64) or bytes or a file (form_data)."""

Metadata = Dict[str, Any]


class TokenHandler:
    """Counts since the last send."""

    def __init__(self) -> None:
        self.reset_counts()

    def reset_counts(self) -> None:
        """Begins anew."""
        self.prompt_llm_token_count = 0
        self.completion_llm_token_count = 0
        self.total_llm_token_count = 0
        self.total_embedding_token_count = 0


class GeoLocation(TypedDict):
    """Where an address is."""

    ip_address: str
    city: Optional[str]
    country: Optional[str]
    timezone_name: Optional[str]


class Attachment(TypedDict):
    """A file of a message; ``file_url`` works for an hour and without a key."""

    id: int
    message: int
    type: str
    filename: str
    mime_type: str
    size_bytes: int
    file_url: str


class ActionLog(TypedDict):
    """One run of a tool. Times are ISO 8601, ``duration_ms`` milliseconds as sent."""

    id: int
    action: int
    message: int
    started_at: str
    ended_at: str
    duration_ms: Optional[float]
    tools_used: Dict[str, Any]
    response: str
    error_message: str
    metadata: Metadata


class Button(TypedDict):
    """A click."""

    id: int
    button_event: str
    label: str
    value: str
    metadata: Metadata


class Feedback(TypedDict):
    """What somebody thought of a conversation or of a message."""

    id: int
    kind: str
    agent: Optional[int]
    conversation: Optional[int]
    conversation_id: Optional[str]
    message: Optional[int]
    user: Optional[int]
    environment: Optional[str]
    environment_id: Optional[int]
    sentiment: str
    category: Optional[str]
    comment: str
    topic: Optional[str]
    reason: Optional[str]
    source: str
    metadata: Metadata
    created_at: str


class Message(TypedDict):
    """One message, or what stands for an action or a click."""

    id: int
    conversation: int
    timestamp: str
    sender: str
    content: str
    action_name: Optional[str]
    metadata: Metadata
    attachments: List[Attachment]
    action_logs: List[ActionLog]
    button: Optional[Button]
    feedback: Optional[Feedback]


class ConversationRow(TypedDict):
    """A conversation without what is in it."""

    id: int
    agent: int
    conversation_id: str
    name: Optional[str]
    customer_id: Optional[str]
    customer_ip_address: Optional[str]
    device: Optional[str]
    source: Optional[str]
    language: Optional[str]
    environment: str
    environment_id: int
    is_marked: bool
    is_deleted: bool
    is_used: bool
    started_at: str
    ended_at: str
    deleted_at: Optional[str]
    metadata: Metadata
    geo_location: Optional[GeoLocation]
    message_count: int
    feedback_count: int


class Conversation(ConversationRow):
    """A whole conversation. ``tickets`` and ``token_usage`` come with a fetch by integer."""

    messages: List[Message]
    feedbacks: List[Feedback]
    tickets: NotRequired[List[Dict[str, Any]]]
    token_usage: NotRequired[Optional[Dict[str, Any]]]


class ConversationPage(TypedDict):
    """A page of conversations; ``count`` is of all pages, ``next`` and ``previous`` are addresses."""

    count: int
    page_size: int
    total_pages: int
    current_page: int
    next: Optional[str]
    previous: Optional[str]
    results: List[Conversation]


class ConversationAttachments(TypedDict):
    """The files of a conversation, by message and in one list."""

    conversation_id: str
    total_attachments: int
    messages: List[Dict[str, Any]]
    attachment_count: int
    attachments: List[Attachment]


class Renamed(TypedDict):
    """What a rename answers."""

    id: int
    name: str


class Marked(TypedDict):
    """What a mark answers."""

    id: int
    is_marked: bool


class Deleted(TypedDict):
    """What a delete answers."""

    id: int
    is_deleted: bool
    deleted_at: str


class Updated(TypedDict):
    """What an update answers: the fields as they are now."""

    id: int
    updated_fields: List[str]


class SentItem(TypedDict):
    """What became of one tracked item."""

    index: int
    type: str
    timestamp: str
    success: bool
    response: NotRequired[Dict[str, Any]]
    error: NotRequired[str]
    kept: NotRequired[bool]
    """True where the item waits to be sent again."""
    attachments_error: NotRequired[str]
    """Why the files of a stored message are not stored."""


class SentSummary(TypedDict):
    """Numbers by kind."""

    questions: int
    answers: int
    attachments: int
    actions: int
    buttons: int
    errors: int


class Sent(TypedDict):
    """What ``send_tracked_data`` gives."""

    items: List[SentItem]
    summary: SentSummary


class Tracked(TypedDict):
    """What ``get_tracked_data_summary`` gives."""

    items: List[Dict[str, Any]]
    summary: Dict[str, int]
    conversation_id: Optional[str]


class TokenUsage(TypedDict, total=False):
    """Counts since the last send; empty where nothing was counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    embedding_tokens: int


class Replayed(TypedDict):
    """What ``replay`` gives: numbers of spooled items."""

    sent: int
    refused: int
    waiting: int
