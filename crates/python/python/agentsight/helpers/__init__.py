"""Small things that users of the 0.0.x generation import."""

import json
import uuid
from datetime import datetime, timezone
from enum import Enum
from typing import Any


def generate_conversation_id() -> str:
    """A new id: ``conv_`` and twelve hex digits."""
    return f"conv_{uuid.uuid4().hex[:12]}"


def get_iso_timestamp() -> str:
    """The present in UTC with microseconds and offset."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


class AgentSightJSONEncoder(json.JSONEncoder):
    """Writes members of enums as their values."""

    def default(self, o: Any) -> Any:
        """The value of a member; anything else is a TypeError."""
        return o.value if isinstance(o, Enum) else super().default(o)


__all__ = ["AgentSightJSONEncoder", "generate_conversation_id", "get_iso_timestamp"]
