"""What is tracked, as the requests that it becomes; and the spool that keeps them on disk.

A request is written once, when it is first to be sent: the server knows a resend by its bytes (within ten minutes).
"""

import base64
import itertools
import json
import mimetypes
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from agentsight._wire import Answer, Call, Plan, encode, form, is_away, reason, write
from agentsight.exceptions import (
    InvalidConversationDataException,
    MissingConversationIdException,
    SpoolException,
)
from agentsight.logging import logger
from agentsight.types import Replayed

ATTACHMENTS = "/api/attachments/"
PATHS = {
    "conversation": "/api/conversations/",
    "question": "/api/track/",
    "answer": "/api/track/",
    "attachments": ATTACHMENTS,
    "action": "/api/action_logs/",
    "button": "/api/buttons/",
}
NEEDED = {"question": ["content"], "answer": ["content"], "action": ["action_name"], "button": ["button_event", "label", "value"]}
JSON_PATIENCE, FORM_PATIENCE = 2, 3
BOUNDARY = "agentsight-5f1c0a7be2d94e3b"
MARKS: List[Tuple[bytes, str]] = [
    (b"%PDF-", "application/pdf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
]


class Entry:
    """One tracked item on its way: its request, and the files that follow once the message has an id."""

    def __init__(self, kind: str, timestamp: str, call: Optional[Call], files: Optional[Dict[str, Any]]) -> None:
        self.kind = kind
        self.timestamp = timestamp
        self.call = call
        """None where the message is stored and only its files wait."""
        self.files = files
        self.message: Optional[int] = None
        self.name = ""
        """Of the file in the spool."""

    @classmethod
    def of(cls, item: Dict[str, Any]) -> "Entry":
        """The entry of a tracked item.

        Raises:
            MissingConversationIdException, InvalidConversationDataException: it lacks what it needs.
        """
        kind, timestamp = item["type"], item["timestamp"]
        data = {**item["data"], "timestamp": timestamp}
        if kind not in PATHS:
            raise ValueError(f"Unknown item type: {kind}")
        if not str(data.get("conversation_id") or "").strip():
            raise MissingConversationIdException()
        for field in NEEDED.get(kind, ()):
            if not str(data.get(field) or "").strip():
                raise InvalidConversationDataException(f"Invalid {kind} data provided: '{field}' is missing.")
        if kind == "attachments":
            return cls(kind, timestamp, upload(data, None), None)
        attachments, mode = data.pop("attachments", None), data.pop("attachment_mode", None)
        files = None
        if attachments:
            names = ("timestamp", "conversation_id", "sender", "metadata")
            files = {name: data.get(name) for name in names}
            files.update(attachments=attachments, mode=mode)
        return cls(kind, timestamp, write("POST", PATHS[kind], data), files)

    def stored(self, answer: Any) -> None:
        """Notes what was answered; the files then wait, if there are any."""
        self.call = None
        self.message = answer.get("id") if isinstance(answer, dict) else None

    def upload(self) -> Optional[Call]:
        """The request for the files of a stored message."""
        return upload(self.files, self.message) if self.files and self.message else None

    def dump(self) -> bytes:
        """The entry as its file in the spool."""
        call = self.call and {**self.call._asdict(), "body": (self.call.body or b"").decode("latin-1")}
        files = self.files and {**self.files, "attachments": [_text(one) for one in self.files["attachments"]]}
        kept = {"kind": self.kind, "timestamp": self.timestamp, "call": call, "files": files, "message": self.message}
        return encode(kept)

    @classmethod
    def load(cls, kept: Dict[str, Any]) -> "Entry":
        """The entry of a file in the spool; any exception where it is not what was put there."""
        call = kept["call"] and Call(**{**kept["call"], "body": kept["call"]["body"].encode("latin-1")})
        files = kept["files"] and {
            **kept["files"], "attachments": [_bytes(one) for one in kept["files"]["attachments"]]
        }  # fmt: skip
        texts = [kept["kind"], kept["timestamp"], *([call.method, call.path, call.content_type] if call else [])]
        numbers = [kept["message"] or 0, call.patience if call else 0]
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(n, int) for n in numbers):
            raise ValueError("a field is of another type")
        entry = cls(kept["kind"], kept["timestamp"], call, files)
        entry.message = kept["message"]
        if files:
            # That they cannot be sent must be known before their message is.
            upload(files, 0)
        return entry


def _text(attachment: Dict[str, Any]) -> Dict[str, Any]:
    data = attachment["data"]
    return attachment if isinstance(data, str) else {**attachment, "data": {"base64": base64.b64encode(data).decode()}}


def _bytes(attachment: Dict[str, Any]) -> Dict[str, Any]:
    data = attachment["data"]
    return attachment if isinstance(data, str) else {**attachment, "data": base64.b64decode(data["base64"])}


def upload(data: Dict[str, Any], message: Optional[int]) -> Call:
    """The request that uploads files: in JSON or as a form, for a message or for one of their own."""
    linked = {} if message is None else {"message": message}
    if data["mode"] == "base64":
        return write("POST", ATTACHMENTS, {**data, **linked}, JSON_PATIENCE)
    fields = [(name, str(data[name])) for name in ("timestamp", "conversation_id", "sender", "mode")]
    fields.append(("metadata", encode(data["metadata"]).decode()))
    fields.extend((name, str(value)) for name, value in linked.items())
    files = [_part(number, one) for number, one in enumerate(data["attachments"])]
    boundary = next(
        mark
        for number in itertools.count()
        for mark in (f"{BOUNDARY}{number}",)
        if not any(mark.encode() in file[3] for file in files)
    )
    body = form(fields, files, boundary)
    return Call("POST", ATTACHMENTS, f"multipart/form-data; boundary={boundary}", body, FORM_PATIENCE)


def _part(number: int, attachment: Dict[str, Any]) -> Tuple[str, str, str, bytes]:
    data: bytes = attachment["data"]
    filename, kind = attachment.get("filename"), attachment.get("mime_type")
    if not kind:
        kind = (mimetypes.guess_type(filename)[0] if filename else None) or sniffed(data)
    if not filename:
        filename = f"attachment_{number}{mimetypes.guess_extension(kind.split(';')[0].strip()) or '.bin'}"
    return f"attachment_{number}", filename, kind, data


def sniffed(data: bytes) -> str:
    """What the first bytes look like."""
    for mark, kind in MARKS:
        if data.startswith(mark):
            return kind
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain" if text.strip() and "\0" not in text else "application/octet-stream"


class Spool:
    """A folder with one file per item that waits for its server, in the order in which they were tracked.

    What the server refuses is set aside in ``refused/`` with the reason, and not tried again. A folder belongs to one
    agent of one server; several processes may share it, of which one replays at a time.
    """

    _numbers = itertools.count()

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        try:
            (self.folder / "refused").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolException(f"spool folder {folder} cannot be made: {error.strerror}") from error

    def keep(self, entry: Entry) -> None:
        """Writes an entry durably, after all that wait."""
        if not entry.name:
            entry.name = f"{time.time_ns():020d}-{next(self._numbers):08d}-{os.getpid()}.json"
        draft = self.folder / f".{entry.name}"
        try:
            with open(draft, "wb") as file:
                file.write(entry.dump())
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.folder / entry.name)
            self._sync()
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise SpoolException(f"spool folder {self.folder} cannot be written: {error.strerror}") from error

    def waiting(self) -> List[Path]:
        """The files that wait, in order."""
        try:
            return sorted(path for path in self.folder.glob("[0-9]*.json"))
        except OSError as error:
            raise SpoolException(f"spool folder {self.folder} cannot be read: {error.strerror}") from error

    def replay(self) -> Plan[Replayed]:
        """Sends what waits, in order, until the server is away again."""
        done: Replayed = {"sent": 0, "refused": 0, "waiting": 0}
        with self._alone() as alone:
            for path in self.waiting() if alone else []:
                try:
                    kept = path.read_bytes()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise SpoolException(f"spool file {path} cannot be read: {error.strerror}") from error
                try:
                    entry = Entry.load(json.loads(kept))
                except Exception as error:
                    # Anything may lie in the folder, and nothing of it keeps the rest from being sent.
                    self._set_aside(path, f"the file is not what was kept: {type(error).__name__}: {error}")
                    done["refused"] += 1
                    continue
                entry.name = path.name
                why = yield from self._send(entry)
                if why is None:
                    self._remove(path)
                    done["sent"] += 1
                elif why:
                    self._set_aside(path, why)
                    done["refused"] += 1
                else:
                    break
        done["waiting"] = len(self.waiting())
        return done

    def _send(self, entry: Entry) -> Plan[Optional[str]]:
        """None where it is stored, "" where the server is away, else why it was refused."""
        if entry.call is not None:
            answer: Answer = yield entry.call
            if isinstance(answer, str) or is_away(answer):
                return ""
            if answer[0] >= 300:
                return f"{answer[0]}: {reason(answer)}"
            entry.stored(answer[1])
        call = entry.upload()
        if call is not None:
            answer = yield call
            if isinstance(answer, str) or is_away(answer):
                # The message must not come again after the ten minutes in which it would be known.
                self.keep(entry)
                return ""
            if answer[0] >= 300:
                return f"{answer[0]}: {reason(answer)}"
        return None

    def _remove(self, path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise SpoolException(f"spool folder {self.folder} cannot be written: {error.strerror}") from error

    def _set_aside(self, path: Path, why: str) -> None:
        logger.error("%s was refused and is set aside in %s/refused: %s", path.name, self.folder, why)
        try:
            (self.folder / "refused" / f"{path.name}.reason").write_text(why + "\n")
            os.replace(path, self.folder / "refused" / path.name)
        except OSError as error:
            raise SpoolException(f"spool folder {self.folder} cannot be written: {error.strerror}") from error

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """True for one process at a time."""
        try:
            import fcntl
        except ImportError:
            yield True
            return
        try:
            lock = open(self.folder / ".lock", "ab")
        except OSError as error:
            raise SpoolException(f"spool folder {self.folder} cannot be written: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _sync(self) -> None:
        if os.name == "posix":
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
