"""Reading: ``agentsight_api``."""

from datetime import datetime
from typing import Any, AsyncIterator, Dict, Iterator, Optional, Union, cast
from urllib.parse import quote, urlsplit

from agentsight._native import NoAnswer
from agentsight._wire import Answer, Call, Plan, get, read
from agentsight.client._base import Client
from agentsight.exceptions import ConversationApiException, ConversationNetworkException, NotFoundException
from agentsight.logging import logger
from agentsight.types import Conversation, ConversationAttachments, ConversationPage

SENTIMENTS = ["positive", "neutral", "negative"]
SOURCES = ["customer", "platform"]
LIST = "/api/conversations/"


class AgentSightAPI(Client):
    """Fetches conversations. Every method has a twin that is awaited, with an ``a`` before its name.

    Each method may raise ``NoApiKeyException``, ``InvalidApiKeyException`` and ``CannotOpenException`` (the settings),
    ``UnauthorizedException`` (401), ``ForbiddenException`` (403), ``ConversationApiException`` (any other refusal;
    ``status_code``, ``response_data``) and ``ConversationNetworkException`` (no answer).
    """

    def fetch_conversation(self, conversation_id: Union[int, str]) -> Conversation:
        """One whole conversation, with messages, actions, files, clicks and feedback.

        Args:
            conversation_id: the application's id (a text), or the database's (an integer)

        Raises:
            NotFoundException: there is none.
            ValueError: neither a text nor an integer.
        """
        return self._run(self._fetch(conversation_id))

    async def afetch_conversation(self, conversation_id: Union[int, str]) -> Conversation:
        """As :meth:`fetch_conversation`."""
        return await self._arun(self._fetch(conversation_id))

    def _fetch(self, conversation_id: Union[int, str]) -> Plan[Conversation]:
        if isinstance(conversation_id, int):
            return cast(Conversation, read((yield Call("GET", f"{LIST}{int(conversation_id)}/"))))
        if not isinstance(conversation_id, str):
            raise ValueError(f"conversation_id must be int or str, got {type(conversation_id).__name__}")
        page = _page((yield Call("GET", f"{LIST}?conversation_id={quote(conversation_id, safe='')}")))
        for conversation in page["results"]:
            return conversation
        raise NotFoundException(f"Conversation with conversation_id '{conversation_id}' not found")

    def fetch_conversations(
        self,
        action_name: Optional[str] = None,
        conversation_id: Optional[str] = None,
        customer_id: Optional[str] = None,
        customer_ip_address: Optional[str] = None,
        device: Optional[str] = None,
        has_messages: Optional[bool] = None,
        language: Optional[str] = None,
        message_contains: Optional[str] = None,
        page: Optional[int] = None,
        page_size: Optional[int] = None,
        started_at_after: Optional[Union[str, datetime]] = None,
        started_at_before: Optional[Union[str, datetime]] = None,
        is_marked: Optional[bool] = None,
        name: Optional[str] = None,
        include_deleted: Optional[bool] = None,
        metadata: Optional[str] = None,
        has_feedback: Optional[bool] = None,
        feedback_sentiment: Optional[str] = None,
        feedback_source: Optional[str] = None,
        **extra_params: Any,
    ) -> ConversationPage:
        """A page of whole conversations, newest first; what is given must all hold.

        Args:
            action_name: an action whose name contains this was run
            conversation_id: exactly this id
            customer_id: exactly this customer
            customer_ip_address: exactly this address
            device: this device
            has_messages: with, or without, messages
            language: this language
            message_contains: a message contains this, in any case
            page: from 1 on
            page_size: at most 100; 10 without it
            started_at_after: not before this time; without an offset it is UTC
            started_at_before: not after this time
            is_marked: marked, or not
            name: the name contains this, in any case
            include_deleted: deleted ones too
            metadata: ``"key:value,key2:value2"``
            has_feedback: with, or without, feedback
            feedback_sentiment: positive, neutral or negative
            feedback_source: customer or platform
            **extra_params: further parameters of the API, sent as they are

        Raises:
            ValueError: no such sentiment or source.
            NotFoundException: no such page.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "extra_params")}
        return self._run(self._list(given, extra_params))

    async def afetch_conversations(self, **filters: Any) -> ConversationPage:
        """As :meth:`fetch_conversations`, with the same arguments by name."""
        return await self._arun(self._list(filters, {}))

    def _list(self, given: Dict[str, Any], extra: Dict[str, Any]) -> Plan[ConversationPage]:
        params = {name: _plain(value) for name, value in given.items() if value is not None}
        for field, words in (("feedback_sentiment", SENTIMENTS), ("feedback_source", SOURCES)):
            if field in params and params[field] not in words:
                raise ValueError(f"{field} must be one of {words}, got '{params[field]}'")
        page = _page((yield get(LIST, {**params, **extra})))
        logger.debug("fetched %s of %s conversations", len(page["results"]), page.get("count"))
        return page

    def iter_conversations(self, **filters: Any) -> Iterator[Conversation]:
        """All conversations that the filters hold for, page by page as they are asked for.

        Args:
            **filters: as for :meth:`fetch_conversations`; ``page_size`` says how many come at once (100 without it)
        """
        asked = _first_page(filters)
        while True:
            page = self._run(self._list(asked, {}))
            yield from page["results"]
            if not page["next"] or not page["results"]:
                return
            asked["page"] += 1

    async def aiter_conversations(self, **filters: Any) -> AsyncIterator[Conversation]:
        """As :meth:`iter_conversations`, for ``async for``."""
        asked = _first_page(filters)
        while True:
            page = await self._arun(self._list(asked, {}))
            for conversation in page["results"]:
                yield conversation
            if not page["next"] or not page["results"]:
                return
            asked["page"] += 1

    def fetch_conversation_attachments(self, conversation_id: Union[int, str]) -> ConversationAttachments:
        """The files of a conversation, by message.

        Args:
            conversation_id: the application's id (a text), or the database's (an integer)

        Raises:
            NotFoundException: there is no such conversation.
        """
        return self._run(self._attachments(conversation_id))

    async def afetch_conversation_attachments(self, conversation_id: Union[int, str]) -> ConversationAttachments:
        """As :meth:`fetch_conversation_attachments`."""
        return await self._arun(self._attachments(conversation_id))

    def _attachments(self, conversation_id: Union[int, str]) -> Plan[ConversationAttachments]:
        key = conversation_id
        if isinstance(key, str):
            key = (yield from self._fetch(key))["id"]
        return cast(ConversationAttachments, read((yield Call("GET", f"{LIST}{key}/attachments/"))))

    def download(self, file_url: str) -> bytes:
        """The bytes behind an attachment's ``file_url``, over HTTP or in process.

        Args:
            file_url: as an answer gave it, within its hour

        Raises:
            ForbiddenException: the link is too old.
            NotFoundException: the file is gone.
            ValueError: no text.
        """
        if not isinstance(file_url, str):
            raise ValueError(f"file_url must be str, got {type(file_url).__name__}")
        parts = urlsplit(file_url)
        path = parts.path
        if self.config.in_process is None:
            # Paths are sent below the endpoint's own.
            path = path.removeprefix(urlsplit(self.config.endpoint).path.rstrip("/"))
        path = f"{path}?{parts.query}" if parts.query else path
        try:
            status, data = self._door().download(path)
        except NoAnswer as error:
            raise ConversationNetworkException(f"Network error: {error}") from None
        if status >= 300:
            read((status, None, data.decode(errors="replace")))
            raise ConversationApiException(f"API error ({status})", status)
        return data


def _page(answer: Answer) -> ConversationPage:
    page = read(answer)
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise ConversationApiException("what answered is no AgentSight server: it sent no page of conversations", 200, page)
    return cast(ConversationPage, page)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else value


def _first_page(filters: Dict[str, Any]) -> Dict[str, Any]:
    return {"page_size": 100, **filters, "page": filters.get("page") or 1}


agentsight_api = AgentSightAPI._on_import()
