"""The rows of the contract as they look when nothing special was recorded; tests name what differs."""

from expect import ID, TIME, URL


def conversation(conversation_id, **differing):
    """The whole conversation of a tracking post without details."""
    return {
        "id": ID,
        "agent": ID,
        "conversation_id": conversation_id,
        "name": None,
        "customer_id": None,
        "customer_ip_address": None,
        "device": None,
        "source": None,
        "language": None,
        "environment": "development",
        "environment_id": ID,
        "is_marked": False,
        "is_deleted": False,
        "is_used": True,
        "started_at": TIME,
        "ended_at": TIME,
        "deleted_at": None,
        "metadata": {},
        "geo_location": None,
        "message_count": 0,
        "feedback_count": 0,
        "messages": [],
        "feedbacks": [],
        "tickets": [],
        "token_usage": None,
    } | differing


def as_listed(row):
    """The same conversation as a list shows it in full: without tickets and usage."""
    return {key: value for key, value in row.items() if key not in ("tickets", "token_usage")}


def lean(conversation_id, **differing):
    """The conversation row without its transcript."""
    row = as_listed(conversation(conversation_id))
    del row["messages"], row["feedbacks"]
    return row | differing


def message(sender, content, **differing):
    return {
        "id": ID,
        "conversation": ID,
        "timestamp": TIME,
        "sender": sender,
        "content": content,
        "action_name": None,
        "metadata": {},
        "attachments": [],
        "action_logs": [],
        "button": None,
        "feedback": None,
    } | differing


def action_message(name, *, metadata=None, **log):
    """The line that a tool call leaves in the transcript, with its log."""
    metadata = metadata or {}
    return message(
        "agent",
        f"Action {name} performed",
        action_name=name,
        metadata=metadata,
        action_logs=[
            {
                "id": ID,
                "action": ID,
                "message": ID,
                "started_at": TIME,
                "ended_at": TIME,
                "duration_ms": None,
                "tools_used": {},
                "response": "",
                "error_message": "",
                "metadata": metadata,
            }
            | log
        ],
    )


def attachment(filename, mime_type, size_bytes, kind):
    return {
        "id": ID,
        "message": ID,
        "type": kind,
        "filename": filename,
        "mime_type": mime_type,
        "size_bytes": size_bytes,
        "file_url": URL,
    }


def feedback(conversation_id, sentiment, **differing):
    """A customer's feedback on a conversation."""
    return {
        "id": ID,
        "kind": "conversation",
        "agent": ID,
        "conversation": ID,
        "conversation_id": conversation_id,
        "message": None,
        "user": None,
        "environment": "development",
        "environment_id": ID,
        "sentiment": sentiment,
        "category": None,
        "comment": None,
        "topic": None,
        "reason": None,
        "source": "customer",
        "metadata": {},
        "created_at": TIME,
    } | differing
