"""Tracking: ``conversation_tracker``."""

import base64
import binascii
import copy
from datetime import datetime, timedelta, timezone
from threading import Lock
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union, cast

from agentsight._outbox import Entry, Spool
from agentsight._wire import Answer, Plan, is_away, tracked
from agentsight.client._base import _UNSET, Client
from agentsight.config import Config
from agentsight.enums import AttachmentMode, Environment, LogLevel, Sender, TokenHandlerType
from agentsight.exceptions import (
    ConversationTrackingException,
    InvalidAnswerDataException,
    InvalidAttachmentException,
    InvalidConversationDataException,
    InvalidQuestionDataException,
    NoDataToSendException,
    SpoolException,
)
from agentsight.helpers import generate_conversation_id
from agentsight.logging import logger
from agentsight.types import AttachmentInput, Replayed, Sent, TokenHandler, TokenUsage, Tracked

COUNTED = {"question": "questions", "answer": "answers", "attachments": "attachments", "action": "actions", "button": "buttons"}
PREVIEW_CHARS = 100
PREVIEW_FILES = 3
COUNTERS = (
    ("prompt_tokens", "prompt_llm_token_count"),
    ("completion_tokens", "completion_llm_token_count"),
    ("total_tokens", "total_llm_token_count"),
    ("embedding_tokens", "total_embedding_token_count"),
)


class ConversationTracker(Client):
    """Records what happens in conversations: ``track_*`` keeps it in memory, ``send_tracked_data`` sends it.

    What cannot be sent because the server is away is kept, in memory or in the spool folder, and sent by the next send.
    Safe to share between threads.
    """

    def __init__(
        self,
        api_key: Optional[str] = None,
        conversation_id: Optional[str] = None,
        endpoint: Optional[str] = None,
        log_level: Optional[Union[LogLevel, str]] = None,
        config: Optional[Config] = None,
        **kwargs: Any,
    ) -> None:
        """As :meth:`Client.__init__`.

        Args:
            api_key: the key
            conversation_id: the conversation that is tracked until another is named
            endpoint: where to send to
            log_level: how much is logged
            config: settings to begin with
            **kwargs: other fields of ``Config``, such as ``spool_dir``
        """
        super().__init__(
            api_key=api_key, endpoint=endpoint, config=config, conversation_id=conversation_id, log_level=log_level, **kwargs
        )

    def _prepare(self) -> None:
        super()._prepare()
        self._lock = Lock()
        self._tracked_data: Dict[Optional[str], Dict[str, List[Dict[str, Any]]]] = {}
        self._kept: Dict[str, List[Entry]] = {}
        self._last_stamp = datetime.min.replace(tzinfo=timezone.utc)
        self._token_handler: Optional[Any] = None
        self._tokens_sent = [0, 0, 0, 0]
        self._spool: Optional[Spool] = None

    def _take(self, settings: Config) -> None:
        super()._take(settings)
        self._spool = Spool(settings.spool_dir) if settings.spool_dir else None
        if settings.token_handler is TokenHandlerType.LLAMAINDEX:
            self._token_handler = _llama_index(settings.log_level) or self._token_handler

    def _ready(self) -> None:
        """Makes the object of the import obey its variables, once."""
        if not self._initialized:
            with self._setting_up:
                if not self._initialized:
                    settings = self.config
                    settings.check_key()
                    self._take(settings)

    def configure(  # type: ignore[override]
        self,
        api_key: Optional[str] = _UNSET,
        conversation_id: Optional[str] = _UNSET,
        endpoint: Optional[str] = _UNSET,
        log_level: Optional[Union[LogLevel, str]] = _UNSET,
        **kwargs: Any,
    ) -> None:
        """As :meth:`Client.configure`.

        Args:
            api_key: the new key
            conversation_id: the conversation that is tracked from now on
            endpoint: the new endpoint
            log_level: how much is logged
            **kwargs: other fields of ``Config``
        """
        given = {"conversation_id": conversation_id, "log_level": log_level}
        super().configure(api_key, endpoint, **{k: v for k, v in given.items() if v is not _UNSET}, **kwargs)

    # ── Tracking ──

    def track_human_message(
        self,
        message: str,
        attachments: Optional[List[AttachmentInput]] = None,
        attachment_mode: Union[str, AttachmentMode] = AttachmentMode.BASE64.value,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Keeps what the end user said.

        Args:
            message: not blank
            attachments: files: ``filename``, ``mime_type``, ``data``
            attachment_mode: ``base64`` (``data`` is base64 text) or ``form_data`` (bytes, or a file)
            metadata: anything to keep with it

        Raises:
            InvalidQuestionDataException: the message is blank.
            InvalidAttachmentException: a file cannot be sent as it is given.
            ValueError: no such mode.
        """
        if not str(message or "").strip():
            raise InvalidQuestionDataException("Invalid question data provided.")
        self._message("question", Sender.USER, message, attachments, attachment_mode, metadata)

    def track_agent_message(
        self,
        message: str,
        attachments: Optional[List[AttachmentInput]] = None,
        attachment_mode: Union[str, AttachmentMode] = AttachmentMode.BASE64.value,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Keeps what the agent said; as :meth:`track_human_message`.

        Args:
            message: not blank
            attachments: files
            attachment_mode: how they travel
            metadata: anything to keep with it

        Raises:
            InvalidAnswerDataException: the message is blank.
        """
        if not str(message or "").strip():
            raise InvalidAnswerDataException("Invalid answer data provided.")
        self._message("answer", Sender.AGENT, message, attachments, attachment_mode, metadata)

    def _message(
        self, kind: str, sender: Sender, message: str, attachments: Any, mode: Any, metadata: Optional[Dict[str, Any]]
    ) -> None:
        data: Dict[str, Any] = {
            "content": message,
            "sender": sender.value,
            "conversation_id": self.config.conversation_id,
            "metadata": metadata or {},
        }
        if attachments:
            mode = _mode(mode)
            data["attachments"] = _files(attachments, mode)
            data["attachment_mode"] = mode.value
        self._add(kind, data)

    def track_attachments(
        self,
        attachments: List[AttachmentInput],
        sender: Optional[Union[str, Sender]] = None,
        metadata: Optional[Dict[str, Any]] = None,
        mode: Union[str, AttachmentMode] = AttachmentMode.BASE64.value,
    ) -> None:
        """Keeps files that come without a message.

        Args:
            attachments: files, as for :meth:`track_human_message`
            sender: ``end_user`` (without it) or ``agent``
            metadata: anything to keep with them
            mode: ``base64`` or ``form_data``

        Raises:
            InvalidAttachmentException: a file cannot be sent as it is given.
            ValueError: no such mode.
        """
        how = _mode(mode)
        data = {
            "attachments": _files(attachments, how),
            "metadata": metadata or {},
            "mode": how.value,
            "sender": (sender.value if isinstance(sender, Sender) else sender) or Sender.USER.value,
            "conversation_id": self.config.conversation_id,
        }
        self._add("attachments", data)

    def track_action(
        self,
        action_name: str,
        started_at: Optional[str] = None,
        ended_at: Optional[str] = None,
        duration_ms: Optional[float] = None,
        tools_used: Optional[Dict[str, Any]] = None,
        response: Optional[str] = None,
        error_msg: Optional[str] = None,
        metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Keeps one run of a tool.

        Args:
            action_name: not blank
            started_at: ISO 8601
            ended_at: ISO 8601
            duration_ms: milliseconds
            tools_used: what it was called with
            response: what it gave
            error_msg: why it failed
            metadata: anything to keep with it

        Raises:
            InvalidConversationDataException: the name is blank, or no text.
        """
        _filled("Action name", action_name)
        given = {
            "started_at": started_at,
            "ended_at": ended_at,
            "duration_ms": duration_ms,
            "tools_used": tools_used,
            "response": response,
            "error_msg": error_msg,
        }
        data: Dict[str, Any] = {
            "action_name": action_name,
            "conversation_id": self.config.conversation_id,
            "metadata": metadata or {},
        }
        data.update({name: value for name, value in given.items() if value is not None})
        self._add("action", data)

    def track_button(
        self, button_event: str, label: str, value: str, metadata: Optional[Dict[str, Any]] = None
    ) -> None:
        """Keeps a click.

        Args:
            button_event: what the buttons are for
            label: what the button says
            value: what it means
            metadata: anything to keep with it

        Raises:
            InvalidConversationDataException: one of the three is blank, or no text.
        """
        for what, text in (("event", button_event), ("label", label), ("value", value)):
            _filled(f"Button {what}", text)
        data = {
            "button_event": button_event,
            "label": label,
            "value": value,
            "conversation_id": self.config.conversation_id,
            "metadata": metadata or {},
        }
        self._add("button", data)

    def track_token_usage(
        self,
        prompt_tokens: Optional[int] = 0,
        completion_tokens: Optional[int] = 0,
        total_tokens: Optional[int] = 0,
        embedding_tokens: Optional[int] = 0,
    ) -> None:
        """Adds to the counts that the next send carries.

        Args:
            prompt_tokens: of the input
            completion_tokens: of the output
            total_tokens: of both
            embedding_tokens: of embeddings

        Raises:
            InvalidConversationDataException: no number; nothing is added then.
        """
        given = (prompt_tokens, completion_tokens, total_tokens, embedding_tokens)
        try:
            counts = [int(more or 0) for more in given]
        except (TypeError, ValueError, OverflowError):
            raise InvalidConversationDataException(f"Token counts must be whole numbers, got {given}") from None
        with self._lock:
            if self._token_handler is None:
                self._token_handler = TokenHandler()
            for (_, name), more in zip(COUNTERS, counts):
                setattr(self._token_handler, name, getattr(self._token_handler, name) + more)

    def get_token_usage(self) -> TokenUsage:
        """The counts since the last send; empty where nothing was ever counted."""
        handler = self._token_handler
        if handler is None:
            return {}
        return {name: int(getattr(handler, counter)) for name, counter in COUNTERS}  # type: ignore[return-value]

    def get_or_create_conversation(
        self,
        conversation_id: str,
        customer_id: Optional[str] = None,
        customer_ip_address: Optional[str] = None,
        device: Optional[str] = None,
        source: Optional[str] = None,
        language: Optional[str] = None,
        name: Optional[str] = None,
        environment: Union[str, Environment] = "development",
        metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Names the conversation that is tracked from now on, and keeps what is known of it.

        Args:
            conversation_id: 1 to 255 characters of the application's choice
            customer_id: whose it is
            customer_ip_address: where they are
            device: such as desktop or mobile
            source: such as web or whatsapp
            language: such as en
            name: a title
            environment: ``AGENTSIGHT_ENVIRONMENT`` wins over it
            metadata: anything to keep with it
        """
        fields = (customer_id, customer_ip_address, device, source, language, name)
        data = self._conversation(conversation_id, fields, environment, metadata, True)
        self.config.conversation_id = conversation_id
        self._add("conversation", data)

    def initialize_conversation(
        self,
        conversation_id: str,
        customer_id: Optional[str] = None,
        customer_ip_address: Optional[str] = None,
        device: Optional[str] = None,
        source: Optional[str] = None,
        language: Optional[str] = None,
        name: Optional[str] = None,
        environment: Union[str, Environment] = "development",
        metadata: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Makes a conversation at once, as one that nobody has used yet: a chat widget that was loaded.

        Args:
            conversation_id: as for :meth:`get_or_create_conversation`, like all others
            customer_id: whose it is
            customer_ip_address: where they are
            device: such as desktop or mobile
            source: such as web or whatsapp
            language: such as en
            name: a title
            environment: ``AGENTSIGHT_ENVIRONMENT`` wins over it
            metadata: anything to keep with it

        Raises:
            MissingConversationIdException: the id is empty.
            ConversationApiException: the server refused.
            ConversationNetworkException: no answer, and there is no spool to keep it.
        """
        self._ready()
        fields = (customer_id, customer_ip_address, device, source, language, name)
        self._run(self._initialize(self._conversation(conversation_id, fields, environment, metadata, False)))

    async def ainitialize_conversation(self, conversation_id: str, **details: Any) -> None:
        """As :meth:`initialize_conversation`, with the same arguments by name."""
        self._ready()
        environment, metadata = details.pop("environment", "development"), details.pop("metadata", None)
        names = ("customer_id", "customer_ip_address", "device", "source", "language", "name")
        fields = tuple(details.pop(name, None) for name in names)
        if details:
            raise TypeError(f"ainitialize_conversation() got an unexpected keyword argument '{next(iter(details))}'")
        await self._arun(self._initialize(self._conversation(conversation_id, fields, environment, metadata, False)))

    def _conversation(
        self, conversation_id: str, fields: Sequence[Any], environment: Any, metadata: Any, is_used: bool
    ) -> Dict[str, Any]:
        customer_id, customer_ip_address, device, source, language, name = fields
        return {
            "conversation_id": conversation_id,
            "customer_id": customer_id,
            "customer_ip_address": customer_ip_address,
            "device": device,
            "source": source,
            "language": language,
            "name": name,
            "is_used": is_used,
            "environment": self.config.environment or environment,
            "metadata": metadata,
        }

    def _initialize(self, data: Dict[str, Any]) -> Plan[None]:
        entry = Entry.of({"type": "conversation", "timestamp": self._stamp(), "data": data})
        if self._spool is not None and (yield from self._spool.replay())["waiting"]:
            self._spool.keep(entry)
            return
        answer: Answer = yield entry.call
        if self._spool is not None and is_away(answer):
            self._spool.keep(entry)
            return
        tracked("conversation", answer)

    # ── Sending ──

    def send_tracked_data(self) -> Sent:
        """Sends what was tracked for the current conversation, and what an earlier send had to keep.

        The conversation goes first, then everything else at once, then the files of messages: three round trips at most,
        however many items there are. The token counts begin anew.

        Returns:
            ``items`` in the order in which they were tracked, each with its ``response`` or its ``error`` (and ``kept``
            where it waits to be sent again), and a ``summary`` with numbers by kind. A refused item does not keep the
            others from being sent.

        Raises:
            NoDataToSendException: nothing was tracked.
        """
        self._ready()
        return self._run(self._send())

    async def asend_tracked_data(self) -> Sent:
        """As :meth:`send_tracked_data`."""
        self._ready()
        return await self._arun(self._send())

    def replay(self) -> Replayed:
        """Sends what waits in the spool folder, in order, until the server is away again; gives numbers of items."""
        self._ready()
        return self._run(self._replay())

    async def areplay(self) -> Replayed:
        """As :meth:`replay`."""
        self._ready()
        return await self._arun(self._replay())

    def _replay(self) -> Plan[Replayed]:
        if self._spool is None:
            return {"sent": 0, "refused": 0, "waiting": 0}
        return (yield from self._spool.replay())

    def _send(self) -> Plan[Sent]:
        conversation, entries, results = self._taken()
        try:
            waiting = yield from self._deliver(entries, results)
        except BaseException:
            # Whatever ended this, such as Ctrl-C: what is not settled is sent next time.
            late = [entry for entry, result in zip(entries, results) if entry is not None and "success" not in result]
            self._keep(conversation, late)
            raise
        self._keep(conversation, waiting)
        summary = dict.fromkeys([*COUNTED.values(), "errors"], 0)
        for result in results:
            if not result["success"]:
                summary["errors"] += 1
            elif result["type"] in COUNTED:
                summary[COUNTED[result["type"]]] += 1
        return cast(Sent, {"items": results, "summary": summary})

    def _taken(self) -> Tuple[str, List[Optional[Entry]], List[Dict[str, Any]]]:
        """The conversation and what is to be sent: entries with the room for their results; None for what cannot become a request."""
        with self._lock:
            conversation = self.config.conversation_id
            if not conversation:
                conversation = self.config.conversation_id = generate_conversation_id()
            nameless = self._tracked_data.pop(None, {}).get("items", [])
            for item in nameless:
                item["data"]["conversation_id"] = conversation
            kept = self._kept.pop(conversation, [])
            known = self._tracked_data.pop(conversation, None)
            if known is None and not nameless and not kept:
                raise NoDataToSendException(f"No tracked data found for conversation: {conversation}")
            items = nameless + (known["items"] if known else [])
            self._add_tokens(conversation, items)
        entries: List[Optional[Entry]] = list(kept)
        results: List[Dict[str, Any]] = []
        for waited in kept:
            results.append({"index": len(results), "type": waited.kind, "timestamp": waited.timestamp})
        for item in items:
            result: Any = {"index": len(results), "type": item["type"], "timestamp": item["timestamp"]}
            try:
                entries.append(Entry.of(item))
            except Exception as error:
                entries.append(None)
                result.update(error=str(error), success=False)
                logger.error("%s cannot be sent: %s", item["type"], error)
            results.append(result)
        return conversation, entries, results

    def _deliver(self, entries: List[Optional[Entry]], results: List[Dict[str, Any]]) -> Plan[List[Entry]]:
        """Sends entries and notes their results; gives those that wait."""
        todo = [(entry, result) for entry, result in zip(entries, results) if entry is not None]
        if self._spool is not None and (yield from self._spool.replay())["waiting"]:
            return [_waits(entry, result, "earlier items wait in the spool") for entry, result in todo]
        first = [pair for place, pair in enumerate(todo) if place == 0 or pair[0].kind == "conversation"]
        rest = [pair for place, pair in enumerate(todo) if place > 0 and pair[0].kind != "conversation"]
        waiting: List[Entry] = []
        for place, (entry, result) in enumerate(first):
            if entry.call is None:
                result.update(response={"id": entry.message}, success=True)
                continue
            answer: Answer = yield entry.call
            if is_away(answer):
                # Nothing else would arrive, or it would make the conversation without its details.
                late = [*first[place:], *rest]
                return [_waits(entry, result, answer) for entry, result in sorted(late, key=lambda p: p[1]["index"])]
            _settle(entry, result, answer)
        ready = [pair for pair in rest if pair[0].call is not None]
        for entry, result in rest:
            if entry.call is None:
                result.update(response={"id": entry.message}, success=True)
        if ready:
            answers: List[Answer] = yield [entry.call for entry, _ in ready]
            for (entry, result), answer in zip(ready, answers):
                if is_away(answer):
                    waiting.append(_waits(entry, result, answer))
                else:
                    _settle(entry, result, answer)
        uploads = [(entry, result, call) for entry, result in todo for call in [entry.upload()] if call is not None]
        if uploads:
            answers = yield [call for _, _, call in uploads]
            for (entry, result, _), answer in zip(uploads, answers):
                try:
                    tracked("attachments", answer)
                except ConversationTrackingException as error:
                    result["attachments_error"] = str(error)
                    logger.error("files of message %s are not stored: %s", entry.message, error)
                    if is_away(answer):
                        waiting.append(entry)
        return waiting

    def _keep(self, conversation: str, late: List[Entry]) -> None:
        while late and self._spool is not None:
            try:
                self._spool.keep(late[0])
            except SpoolException as error:
                logger.error("%s; %s items wait in memory instead", error, len(late))
                break
            late = late[1:]
        if late:
            with self._lock:
                self._kept.setdefault(conversation, []).extend(late)

    def get_tracked_data_summary(self) -> Tracked:
        """What waits in memory for the current conversation: ``items`` with a preview each, and numbers by kind."""
        conversation = self.config.conversation_id
        with self._lock:
            items = copy.deepcopy(self._tracked_data.get(conversation, {}).get("items", []))
        summary = {name: 0 for name in ("conversation", "questions", "answers", "attachments", "actions", "buttons")}
        for index, item in enumerate(items):
            name = COUNTED.get(item["type"], item["type"])
            summary[name] = summary.get(name, 0) + 1
            item.update(index=index, preview=_preview(item["type"], item["data"]))
        return {"items": items, "summary": {**summary, "total": len(items)}, "conversation_id": conversation}

    # ── Within ──

    def _stamp(self) -> str:
        """The present; later than any before, because a transcript is read in the order of its times."""
        now = datetime.now(timezone.utc)
        self._last_stamp = max(now, self._last_stamp + timedelta(microseconds=1)) if now.year > 1 else now
        return self._last_stamp.isoformat(timespec="microseconds")

    def _add(self, kind: str, data: Dict[str, Any]) -> None:
        with self._lock:
            item = {"type": kind, "timestamp": self._stamp(), "data": data}
            self._tracked_data.setdefault(data["conversation_id"], {"items": []})["items"].append(item)
        logger.debug("kept %s for conversation %s", kind, data["conversation_id"])

    def _add_tokens(self, conversation: str, items: List[Dict[str, Any]]) -> None:
        """Puts the counts before the last item, and begins anew.

        On the wire they stay totals of this tracker, as the 0.0.x generation sends them: servers book the difference.
        """
        handler = self._token_handler
        if handler is None or not items:
            return
        counts = [int(getattr(handler, counter)) for _, counter in COUNTERS]
        if not any(counts):
            return
        self._tokens_sent = [sent + more for sent, more in zip(self._tokens_sent, counts)]
        handler.reset_counts()
        data = {
            "action_name": "token_usage",
            "conversation_id": conversation,
            "metadata": {name: total for (name, _), total in zip(COUNTERS, self._tokens_sent)},
        }
        place = len(items) - 1 if len(items) > 1 else len(items)
        items.insert(place, {"type": "action", "timestamp": self._stamp(), "data": data})


def _settle(entry: Entry, result: Dict[str, Any], answer: Answer) -> None:
    try:
        response = tracked(entry.kind, answer)
    except ConversationTrackingException as error:
        logger.error("%s", error)
        result.update(error=str(error), success=False)
        entry.files = None
    else:
        entry.stored(response)
        result.update(response=response, success=True)


def _waits(entry: Entry, result: Dict[str, Any], answer: Answer) -> Entry:
    try:
        tracked(entry.kind, answer)
    except ConversationTrackingException as error:
        result.update(error=str(error), success=False, kept=True)
        logger.warning("%s is kept to be sent again", error)
    return entry


def _preview(kind: str, data: Dict[str, Any]) -> Dict[str, Any]:
    if kind == "conversation":
        return {name: data.get(name) for name in ("conversation_id", "customer_id", "name", "environment")}
    if kind in ("question", "answer"):
        content = data.get("content", "")
        return {
            "content_preview": content[:PREVIEW_CHARS] + ("..." if len(content) > PREVIEW_CHARS else ""),
            "sender": data.get("sender"),
            "has_metadata": bool(data.get("metadata")),
        }
    if kind == "attachments":
        files = data.get("attachments", [])
        names = [one.get("filename", "unknown") for one in files[:PREVIEW_FILES]]
        if len(files) > PREVIEW_FILES:
            names.append(f"... and {len(files) - PREVIEW_FILES} more")
        return {"count": len(files), "mode": data.get("mode"), "sender": data.get("sender"), "files": names}
    if kind == "action":
        return {
            "action_name": data.get("action_name"),
            "duration_ms": data.get("duration_ms"),
            "has_error": bool(data.get("error_msg")),
            "has_response": bool(data.get("response")),
        }
    return {"label": data.get("label"), "value": data.get("value"), "event": data.get("button_event")}


def _filled(what: str, text: Any) -> None:
    if text and not isinstance(text, str):
        raise InvalidConversationDataException(f"{what} must be a string, got {type(text).__name__}")
    if not text or not text.strip():
        raise InvalidConversationDataException(f"{what} cannot be empty")


def _mode(given: Union[str, AttachmentMode]) -> AttachmentMode:
    if isinstance(given, AttachmentMode):
        return given
    try:
        return AttachmentMode(given.lower().replace("-", "_"))
    except (ValueError, AttributeError):
        raise ValueError(f"Invalid mode: {given}. Must be 'base64' or 'form_data'") from None


def _files(attachments: Any, mode: AttachmentMode) -> List[Dict[str, Any]]:
    if not attachments:
        raise InvalidAttachmentException("Attachments list cannot be empty")
    if not isinstance(attachments, list):
        raise InvalidAttachmentException("Attachments must be provided as a list")
    check = _base64_file if mode is AttachmentMode.BASE64 else _form_file
    return [check(f"Attachment {number}", one) for number, one in enumerate(attachments, 1)]


def _base64_file(which: str, one: Any) -> Dict[str, Any]:
    _keys(which, one, "filename", "mime_type", "data")
    for name in ("filename", "mime_type"):
        if not isinstance(one[name], str) or not one[name].strip():
            raise InvalidAttachmentException(f"{which} has invalid or empty {name}")
    if not isinstance(one["data"], str):
        raise InvalidAttachmentException(f"{which}: In base64 mode, 'data' must be a base64 string")
    try:
        base64.b64decode(one["data"], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidAttachmentException(f"{which} '{one['filename']}' has invalid base64 data") from None
    return {name: one[name] for name in ("filename", "mime_type", "data")}


def _form_file(which: str, one: Any) -> Dict[str, Any]:
    _keys(which, one, "data")
    data = one["data"]
    if hasattr(data, "read"):
        if hasattr(data, "seek"):
            data.seek(0)
        data = data.read()
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidAttachmentException(
            f"{which}: In form_data mode, 'data' must be bytes or file-like object, not string"
            if isinstance(data, str)
            else f"{which}: In form_data mode, 'data' must be bytes or file-like object"
        )
    given = {"filename": one.get("filename"), "mime_type": one.get("mime_type") or one.get("content_type")}
    return {"data": bytes(data), **{name: value for name, value in given.items() if value}}


def _keys(which: str, one: Any, *names: str) -> None:
    if not isinstance(one, dict):
        raise InvalidAttachmentException(f"{which}: Must be a dictionary with required keys")
    missing = [name for name in names if name not in one]
    if missing:
        what = f"'{missing[0]}'" if names == ("data",) else ", ".join(missing)
        raise InvalidAttachmentException(f"{which} missing required key{'s' if names != ('data',) else ''}: {what}")


def _llama_index(level: LogLevel) -> Optional[Any]:
    """LlamaIndex's own counters, where it is installed."""
    try:
        from llama_index.core import Settings  # type: ignore[import-not-found, unused-ignore]
        from llama_index.core.callbacks.base import CallbackManager  # type: ignore[import-not-found, unused-ignore]
        from llama_index.core.callbacks.token_counting import (  # type: ignore[import-not-found, unused-ignore]
            TokenCountingHandler,
        )
    except ImportError:
        logger.debug("llama-index is not installed; its tokens are not counted")
        return None
    handler = TokenCountingHandler(verbose=level is LogLevel.DEBUG)
    Settings.callback_manager = CallbackManager(handlers=[handler])
    return handler


conversation_tracker = ConversationTracker._on_import()
