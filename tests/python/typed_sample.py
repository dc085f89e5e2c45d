"""What `mypy --strict` must accept: the package as a typed program uses it."""

import asyncio
from typing import List, Optional

from agentsight import agentsight_api, conversation_manager, conversation_tracker
from agentsight.exceptions import ConversationApiException
from agentsight.types import Conversation, Sent


def texts(conversation_id: str) -> List[str]:
    conversation: Conversation = agentsight_api.fetch_conversation(conversation_id)
    country: Optional[str] = conversation["geo_location"]["country"] if conversation["geo_location"] else None
    return [message["content"] for message in conversation["messages"]] + [country or "nowhere"]


def record(text: str) -> Sent:
    conversation_tracker.get_or_create_conversation("typed-1", device="mobile")
    conversation_tracker.track_human_message(text)
    try:
        return conversation_tracker.send_tracked_data()
    except ConversationApiException as error:
        status: Optional[int] = error.status_code
        raise SystemExit(str(status)) from error


async def walk() -> int:
    count = 0
    async for conversation in agentsight_api.aiter_conversations(language="en"):
        count += len(conversation["messages"])
    marked = await conversation_manager.amark_conversation("typed-1", True)
    return count + int(marked["is_marked"])


def main() -> None:
    print(texts("typed-1"), record("hello")["summary"]["questions"], asyncio.run(walk()))
