"""Requests and answers, and how they are driven.

A method of a client is written once, as a *plan*: a generator that yields requests and is given their answers. ``run``
drives a plan on this thread, ``arun`` awaits it. A plan yields one :class:`Call`, or a list of them to be sent at once.
"""

import asyncio
import atexit
import json
import os
import threading
import weakref
from contextlib import suppress
from typing import Any, Dict, Generator, Iterable, List, NamedTuple, Optional, Tuple, TypeVar, Union
from urllib.parse import urlencode

from agentsight._native import CannotOpen, NoAnswer, Transport
from agentsight.config import Config
from agentsight.exceptions import (
    CannotOpenException,
    ConversationApiException,
    ConversationNetworkException,
    ForbiddenException,
    InvalidConversationDataException,
    NotFoundException,
    UnauthorizedException,
)
from agentsight.helpers import AgentSightJSONEncoder

T = TypeVar("T")
JSON = "application/json"
EXIT_PATIENCE_S = 1.0
"""Seconds that the end of Python waits for answers to requests that were awaited."""


class Call(NamedTuple):
    """One request, complete, so that a repeat sends the same bytes."""

    method: str
    path: str
    content_type: Optional[str] = None
    body: Optional[bytes] = None
    patience: int = 1


Answer = Union[Tuple[int, Any, Optional[str]], str]
"""Status, JSON and text of an answer; or a sentence that says why there was none."""

Plan = Generator[Any, Any, T]


def get(path: str, params: Optional[Dict[str, Any]] = None) -> Call:
    """A read. ``None`` leaves a parameter out, a list repeats it; all else is sent as Python prints it."""
    given = [(name, value) for name, value in (params or {}).items() if value is not None]
    return Call("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path)


def write(method: str, path: str, data: Dict[str, Any], patience: int = 1) -> Call:
    """A write with a JSON body."""
    return Call(method, path, JSON, encode(data), patience)


def encode(data: Any) -> bytes:
    """JSON as bytes.

    Raises:
        InvalidConversationDataException: something in it has no form in JSON.
    """
    try:
        return json.dumps(data, cls=AgentSightJSONEncoder, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidConversationDataException(f"The data cannot be written as JSON: {error}") from error


# ── Driving plans ──


def run(transport: Transport, plan: Plan[T]) -> T:
    """Drives a plan to its end on this thread; other threads of Python go on meanwhile."""
    try:
        step = next(plan)
        while True:
            if type(step) is Call:
                try:
                    answers: Any = transport.request(*step)
                except NoAnswer as error:
                    answers = str(error)
            else:
                answers = transport.request_many(step)
            step = plan.send(answers)
    except StopIteration as ended:
        result: T = ended.value
        return result
    finally:
        # A plan that was left in the middle tidies up now, and not when its traceback is forgotten.
        plan.close()


async def arun(transport: Transport, plan: Plan[T]) -> T:
    """Awaits a plan to its end."""
    try:
        step = next(plan)
        while True:
            if type(step) is Call:
                answers: Any = (await _send(transport, [step]))[0]
            else:
                answers = await _send(transport, step)
            step = plan.send(answers)
    except StopIteration as ended:
        result: T = ended.value
        return result
    finally:
        plan.close()


async def _send(transport: Transport, calls: List[Call]) -> List[Answer]:
    loop = asyncio.get_running_loop()
    future: "asyncio.Future[List[Answer]]" = loop.create_future()

    def settle(answers: List[Answer]) -> None:
        if not future.done():
            future.set_result(answers)

    def done(answers: List[Answer]) -> None:
        # The loop may have been closed; then nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, answers)
        _count_deliveries(-1)

    _count_deliveries(1)
    transport.start_many(calls, done)
    return await future


_deliveries = 0
"""Answers that a thread of the transport has yet to deliver."""
_delivered = threading.Condition()


def _count_deliveries(more: int) -> None:
    global _deliveries
    with _delivered:
        _deliveries += more
        if not _deliveries:
            _delivered.notify_all()


@atexit.register
def _await_deliveries() -> None:
    """A thread that comes with an answer while Python ends would end the process with it."""
    with _delivered:
        _delivered.wait_for(lambda: not _deliveries, EXIT_PATIENCE_S)


# ── Answers ──


def read(answer: Answer) -> Any:
    """The JSON of an answer to a read or a managing write.

    Raises:
        NotFoundException, UnauthorizedException, ForbiddenException: 404, 401, 403.
        ConversationApiException: any other refusal.
        ConversationNetworkException: no answer.
    """
    if isinstance(answer, str):
        raise ConversationNetworkException(f"Network error: {answer}")
    status, value, _ = answer
    if status < 300:
        return {} if value is None else value
    detail = value.get("detail") if isinstance(value, dict) else None
    if status == 404:
        raise NotFoundException(str(detail) if detail else "Resource not found")
    if status == 401:
        raise UnauthorizedException(str(detail) if detail else "Invalid or missing API key")
    if status == 403:
        raise ForbiddenException(
            str(detail) if detail else "Access forbidden - not authorized to access this resource"
        )
    raise ConversationApiException(f"API error ({status}): {reason(answer)}", status, value if value else {})


def tracked(kind: str, answer: Answer) -> Any:
    """The JSON of an answer to a tracking write.

    Raises:
        ConversationApiException: any refusal, whatever its status.
        ConversationNetworkException: no answer.
    """
    if isinstance(answer, str):
        raise ConversationNetworkException(f"Network error for {kind}: {answer}")
    status, value, _ = answer
    if status < 300:
        return {} if value is None else value
    said = reason(answer)
    raise ConversationApiException(f"API error for {kind} ({status}): {said}", status, value if value else {})


def is_away(answer: Answer) -> bool:
    """Whether the same request may be taken later: no answer, too many requests, or a server that failed."""
    return isinstance(answer, str) or answer[0] == 429 or answer[0] >= 500


def reason(answer: Tuple[int, Any, Optional[str]]) -> str:
    """What a refusal says, in one line."""
    status, value, text = answer
    if 300 <= status < 400:
        return "the endpoint redirects; name the address that it leads to"
    if isinstance(value, dict) and value:
        if "detail" in value:
            return str(value["detail"])
        return "; ".join(f"{field}: {_joined(errors)}" for field, errors in value.items())
    return str(value) if value else " ".join((text or "Unknown error").split())


def _joined(errors: Any) -> str:
    return ", ".join(map(str, errors)) if isinstance(errors, list) else str(errors)


# ── Transports ──

_open: "weakref.WeakValueDictionary[Tuple[Any, ...], Transport]" = weakref.WeakValueDictionary()
_opening = threading.Lock()
generation = 0
"""Grows in a forked child, whose transports are its parent's."""


def transport_for(config: Config) -> Transport:
    """The transport that a configuration means; the same one for the same settings.

    Raises:
        NoApiKeyException: a server is meant and there is no key.
        CannotOpenException: the endpoint is no address, or the folder's store cannot be opened.
    """
    local = config.in_process
    config.check_key()
    key: Tuple[Any, ...] = local or (
        config.endpoint, config.api_key, config.timeout_s, config.retries, config.backoff_s,
    )  # fmt: skip
    with _opening:
        known = _open.get(key)
        if known is None:
            try:
                known = _opened(config, local)
            except CannotOpen as error:
                raise CannotOpenException(f"{config.endpoint}: {error}" if local else str(error)) from None
            _open[key] = known
        return known


def _opened(config: Config, local: Optional[Tuple[str, str]]) -> Transport:
    if local:
        return Transport.local(*local)
    return Transport.http(
        config.endpoint, config.api_key or "", config.timeout_s, config.retries, config.backoff_s
    )


_paused: List[Transport] = []
"""While this process forks."""


def _before_fork() -> None:
    _opening.acquire()
    _paused.extend(_open.values())
    for transport in _paused:
        transport.pause()


def _after_fork() -> None:
    while _paused:
        _paused.pop().go_on()
    _opening.release()


def _forked() -> None:
    global generation, _opening, _deliveries, _delivered
    generation += 1
    _opening, _delivered, _deliveries = threading.Lock(), threading.Condition(), 0
    _paused.clear()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forked)


def form(fields: Iterable[Tuple[str, str]], files: Iterable[Tuple[str, str, str, bytes]], boundary: str) -> bytes:
    """A multipart body: text fields, then files as (field, filename, content type, bytes)."""
    parts: List[bytes] = []
    for name, text in fields:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode())
    for name, filename, mime_type, data in files:
        safe = "".join({'"': "%22", "\r": "%0D", "\n": "%0A"}.get(c, c) for c in filename)
        kind = mime_type.replace("\r", " ").replace("\n", " ")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{safe}"\r\n'
        parts.append(f"{head}Content-Type: {kind}\r\n\r\n".encode() + data + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts)
