"""The rows that spans leave, as they look when nothing special was recorded; tests name what differs."""

from datetime import datetime

from expect import ID, TIME, Placeholder

DURATION = Placeholder("milliseconds", lambda value: type(value) is float and value >= 0)


def usage(conversation_id, **differing):
    """The usage row of one call in a turn that ended well."""
    return {
        "id": ID,
        "conversation": ID,
        "conversation_id": conversation_id,
        "environment": "production",
        "turn_id": None,
        "model": None,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "embedding_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "audio_input_tokens": 0,
        "audio_output_tokens": 0,
        "total_tokens": 0,
        "cost_usd": "0.00000000",
        "cost_usd_reported": "0.00000000",
        "cost_source": "unpriced",
        "calls": 1,
        "unreported_calls": 0,
        "incomplete": False,
        "incomplete_reason": None,
        "started_at": TIME,
        "ended_at": TIME,
    } | differing


def span(of, **differing):
    """A span of the same conversation and trace as the span `of`."""
    return {
        "id": ID,
        "conversation": of["conversation"],
        "conversation_id": of["conversation_id"],
        "trace_id": of["trace_id"],
        "span_id": None,
        "parent_span_id": None,
        "kind": None,
        "name": None,
        "started_at": TIME,
        "ended_at": TIME,
        "duration_ms": DURATION,
        "status": "unset",
        "attributes": {},
        "events": [],
    } | differing


def in_utc(sent):
    """A time as the SDK writes it, in the server's writing."""
    return datetime.fromisoformat(sent).isoformat().removesuffix("+00:00") + "Z"
