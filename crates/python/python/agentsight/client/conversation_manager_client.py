"""Managing: ``conversation_manager``."""

from typing import Any, Dict, Optional, Union, cast

from agentsight._wire import Call, Plan, get, read, write
from agentsight.client._base import Client
from agentsight.enums import Sentiment
from agentsight.exceptions import InvalidConversationDataException
from agentsight.types import Deleted, Feedback, Marked, Renamed, Updated

NAME_CHARS = 255
COMMENT_CHARS = 5000


class ConversationManager(Client):
    """Changes conversations. Every method has a twin that is awaited, with an ``a`` before its name.

    A conversation is given by the application's id (a text) or the database's (an integer). Each method may raise what
    ``AgentSightAPI`` may, and ``ValueError`` for an empty id, ``NotFoundException`` for an unknown one.
    """

    def submit_feedback(
        self,
        conversation_id: Union[int, str],
        sentiment: Union[Sentiment, str],
        comment: Optional[str] = None,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> Feedback:
        """Records what the end user thought; each call is a new row.

        Args:
            conversation_id: which conversation
            sentiment: positive, neutral or negative
            comment: at most 5000 characters
            metadata: anything to keep with it

        Raises:
            InvalidConversationDataException: no such sentiment, or a comment that is too long or no text.
        """
        return self._run(self._feedback(conversation_id, sentiment, comment, metadata))

    async def asubmit_feedback(
        self,
        conversation_id: Union[int, str],
        sentiment: Union[Sentiment, str],
        comment: Optional[str] = None,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> Feedback:
        """As :meth:`submit_feedback`."""
        return await self._arun(self._feedback(conversation_id, sentiment, comment, metadata))

    def _feedback(
        self, conversation_id: Union[int, str], sentiment: Any, comment: Any, metadata: Optional[Dict[str, Any]]
    ) -> Plan[Feedback]:
        _required(conversation_id)
        word = sentiment.value if isinstance(sentiment, Sentiment) else sentiment
        words = [known.value for known in Sentiment]
        if word not in words:
            raise InvalidConversationDataException(f"Invalid sentiment: '{word}'. Must be one of: {', '.join(words)}")
        if comment is not None and not isinstance(comment, str):
            raise InvalidConversationDataException("Field 'comment' must be a string")
        if comment and len(comment) > COMMENT_CHARS:
            raise InvalidConversationDataException(
                f"Field 'comment' cannot exceed {COMMENT_CHARS} characters (got {len(comment)})"
            )
        data: Dict[str, Any] = {"sentiment": word}
        data["conversation_id" if isinstance(conversation_id, str) else "conversation"] = conversation_id
        if comment:
            data["comment"] = comment
        if metadata:
            data["metadata"] = metadata
        return cast(Feedback, read((yield write("POST", "/api/conversation-feedbacks/", data))))

    def rename_conversation(self, conversation_id: Union[int, str], name: str) -> Renamed:
        """Names a conversation.

        Args:
            conversation_id: which conversation
            name: 1 to 255 characters; blanks around it are dropped

        Raises:
            InvalidConversationDataException: no such name.
        """
        return self._run(self._rename(conversation_id, name))

    async def arename_conversation(self, conversation_id: Union[int, str], name: str) -> Renamed:
        """As :meth:`rename_conversation`."""
        return await self._arun(self._rename(conversation_id, name))

    def _rename(self, conversation_id: Union[int, str], name: Any) -> Plan[Renamed]:
        _required(conversation_id)
        if not name or not isinstance(name, str):
            raise InvalidConversationDataException("Field 'name' must be a non-empty string")
        data = {"name": _name(name)}
        pk = yield from _key(conversation_id)
        return cast(Renamed, read((yield write("PATCH", f"/api/conversations/{pk}/rename/", data))))

    def mark_conversation(self, conversation_id: Union[int, str], is_marked: bool) -> Marked:
        """Marks a conversation, or takes the mark away.

        Args:
            conversation_id: which conversation
            is_marked: True marks it
        """
        return self._run(self._mark(conversation_id, is_marked))

    async def amark_conversation(self, conversation_id: Union[int, str], is_marked: bool) -> Marked:
        """As :meth:`mark_conversation`."""
        return await self._arun(self._mark(conversation_id, is_marked))

    def _mark(self, conversation_id: Union[int, str], is_marked: bool) -> Plan[Marked]:
        _required(conversation_id)
        pk = yield from _key(conversation_id)
        data = {"is_marked": bool(is_marked)}
        return cast(Marked, read((yield write("POST", f"/api/conversations/{pk}/mark/", data))))

    def delete_conversation(self, conversation_id: Union[int, str]) -> Deleted:
        """Deletes a conversation softly: lists leave it out, a fetch by integer still finds it.

        Args:
            conversation_id: which conversation
        """
        return self._run(self._delete(conversation_id))

    async def adelete_conversation(self, conversation_id: Union[int, str]) -> Deleted:
        """As :meth:`delete_conversation`."""
        return await self._arun(self._delete(conversation_id))

    def _delete(self, conversation_id: Union[int, str]) -> Plan[Deleted]:
        _required(conversation_id)
        pk = yield from _key(conversation_id)
        return cast(Deleted, read((yield Call("DELETE", f"/api/conversations/{pk}/delete/"))))

    def update_conversation(
        self,
        conversation_id: Union[int, str],
        name: Optional[str] = None,
        is_marked: Optional[bool] = None,
        customer_id: Optional[str] = None,
        device: Optional[str] = None,
        language: Optional[str] = None,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> Updated:
        """Changes the fields that are given, in one request.

        Args:
            conversation_id: which conversation
            name: 1 to 255 characters
            is_marked: marked, or not
            customer_id: whose conversation
            device: device
            language: language
            metadata: replaces the whole of it

        Raises:
            ValueError: nothing is given.
            InvalidConversationDataException: no such name, or metadata that is no dictionary.
        """
        fields = {name: value for name, value in locals().items() if name not in ("self", "conversation_id")}
        return self._run(self._update(conversation_id, fields))

    async def aupdate_conversation(self, conversation_id: Union[int, str], **fields: Any) -> Updated:
        """As :meth:`update_conversation`, with the same arguments by name."""
        return await self._arun(self._update(conversation_id, fields))

    def _update(self, conversation_id: Union[int, str], fields: Dict[str, Any]) -> Plan[Updated]:
        _required(conversation_id)
        data: Dict[str, Any] = {}
        for field, value in fields.items():
            if value is None:
                continue
            if field == "name":
                if not isinstance(value, str):
                    raise InvalidConversationDataException(
                        f"Field 'name' must be a string, got {type(value).__name__}"
                    )
                data[field] = _name(value)
            elif field == "is_marked":
                data[field] = bool(value)
            elif field == "metadata":
                if not isinstance(value, dict):
                    raise InvalidConversationDataException("Field 'metadata' must be a dictionary")
                data[field] = value
            elif field in ("customer_id", "device", "language"):
                data[field] = str(value)
            else:
                raise TypeError(f"update_conversation() got an unexpected keyword argument '{field}'")
        if not data:
            raise ValueError("At least one field must be provided for update")
        pk = yield from _key(conversation_id)
        return cast(Updated, read((yield write("PATCH", f"/api/conversations/{pk}/update/", data))))


def _required(conversation_id: Any) -> None:
    if not conversation_id:
        raise ValueError("conversation_id is required")


def _name(name: str) -> str:
    if not name.strip():
        raise InvalidConversationDataException("Field 'name' cannot be empty")
    if len(name) > NAME_CHARS:
        raise InvalidConversationDataException(f"Field 'name' cannot exceed {NAME_CHARS} characters (got {len(name)})")
    return name.strip()


def _key(conversation_id: Any) -> Plan[int]:
    """The database's id of a conversation."""
    if isinstance(conversation_id, int):
        return conversation_id
    if not isinstance(conversation_id, str):
        raise ValueError(f"conversation_id must be int or str, got {type(conversation_id).__name__}")
    return int(read((yield get("/api/conversations/lookup/", {"conversation_id": conversation_id})))["id"])


conversation_manager = ConversationManager._on_import()
