"""Settings, from the environment's variables or by hand."""

import json
import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Optional, Tuple, Union
from urllib.parse import parse_qs, unquote, urlsplit

from agentsight.enums import LogLevel, TokenHandlerType
from agentsight.exceptions import CannotOpenException, InvalidApiKeyException, NoApiKeyException
from agentsight.helpers import AgentSightJSONEncoder

API_KEY_PATTERN = re.compile(r"^ags_[a-f0-9]{32}_[a-f0-9]{6}\Z", re.IGNORECASE)
MOST_RETRIES = 10
MOST_S = 1e9


def _variable(name: str) -> Any:
    return field(default_factory=lambda: os.getenv(name))


@dataclass
class Config:
    """What a client is told; each field but the last three comes from a variable where it is not given."""

    api_key: Optional[str] = field(default_factory=lambda: os.getenv("AGENTSIGHT_API_KEY"), repr=False)
    endpoint: str = field(default_factory=lambda: os.getenv("AGENTSIGHT_API_ENDPOINT") or "https://api.agentsight.io")
    app_url: str = field(default_factory=lambda: os.getenv("AGENTSIGHT_APP_URL", "https://app.agentsight.io"))
    environment: Optional[str] = _variable("AGENTSIGHT_ENVIRONMENT")
    conversation_id: Optional[str] = _variable("AGENTSIGHT_CONVERSATION_ID")
    token_handler: Optional[TokenHandlerType] = field(
        default_factory=lambda: TokenHandlerType.from_env(os.getenv("AGENTSIGHT_TOKEN_HANDLER_TYPE"))
    )
    log_level: LogLevel = field(default_factory=lambda: LogLevel.from_string(os.getenv("AGENTSIGHT_LOG_LEVEL", "INFO")))
    spool_dir: Optional[str] = _variable("AGENTSIGHT_SPOOL_DIR")
    """Folder that keeps what cannot be sent; nothing is kept on disk without it."""
    timeout_s: float = 15.0
    """Seconds that each attempt waits for its answer; files get two to three times as long."""
    retries: int = 2
    """Repeats after the first attempt, where they are safe."""
    backoff_s: float = 0.5
    """Seconds before the first repeat; the next waits four times as long."""

    def __post_init__(self) -> None:
        """Checks and tidies.

        Raises:
            InvalidApiKeyException: the key has not the form of one.
            ValueError: a number that is none, or out of bounds.
        """
        if self.api_key is not None and not self.api_key.strip():
            self.api_key = None
        if self.api_key is not None and not API_KEY_PATTERN.match(self.api_key):
            raise InvalidApiKeyException(self.api_key, self.app_url)
        if not isinstance(self.timeout_s, (int, float)) or not 0 < self.timeout_s <= MOST_S:
            raise ValueError(f"timeout_s must be a number of seconds above 0, got {self.timeout_s!r}")
        if not isinstance(self.retries, int) or not 0 <= self.retries <= MOST_RETRIES:
            raise ValueError(f"retries must be a whole number from 0 to {MOST_RETRIES}, got {self.retries!r}")
        if not isinstance(self.backoff_s, (int, float)) or not 0 <= self.backoff_s <= MOST_S:
            raise ValueError(f"backoff_s must be a number of seconds from 0 on, got {self.backoff_s!r}")
        self.log_level = LogLevel.from_string(self.log_level)
        if isinstance(self.token_handler, str):
            self.token_handler = TokenHandlerType.from_env(self.token_handler)

    def configure(
        self,
        api_key: Optional[str] = None,
        endpoint: Optional[str] = None,
        app_url: Optional[str] = None,
        environment: Optional[Any] = None,
        conversation_id: Optional[str] = None,
        token_handler: Optional[Union[str, TokenHandlerType]] = None,
        log_level: Optional[Union[str, LogLevel]] = None,
        spool_dir: Optional[str] = None,
        timeout_s: Optional[float] = None,
        retries: Optional[int] = None,
        backoff_s: Optional[float] = None,
    ) -> None:
        """Sets what is given, or nothing where one of it is wrong; ``None`` leaves a field alone."""
        given = {name: value for name, value in locals().items() if name != "self"}
        vars(self).update(vars(self.changed(given)))

    def changed(self, given: "Dict[str, Any]") -> "Config":
        """A checked copy with these fields; ``None`` leaves a field alone."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def dict(self) -> "Dict[str, Any]":
        """The fields of the 0.0.x generation."""
        names = ("api_key", "endpoint", "app_url", "environment", "conversation_id", "token_handler", "log_level")
        return {name: getattr(self, name) for name in names}

    def json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.dict(), cls=AgentSightJSONEncoder)

    @property
    def in_process(self) -> "Optional[Tuple[str, str]]":
        """Folder and agent of an endpoint ``file:///path`` or ``sqlite:///path``; None for a server's address."""
        try:
            parts = urlsplit(self.endpoint)
        except ValueError as error:
            raise CannotOpenException(f"endpoint {self.endpoint!r} is not an address: {error}") from None
        if parts.scheme not in ("file", "sqlite"):
            return None
        folder = unquote(parts.path, errors="surrogateescape")
        if parts.netloc not in ("", "localhost") or folder in ("", "/") or "\0" in folder:
            raise CannotOpenException(
                f"endpoint {self.endpoint!r} names no folder of this machine; write {parts.scheme}:///path/to/folder"
            )
        asked = parse_qs(parts.query, keep_blank_values=True)
        agent = asked.pop("agent", ["default"])[0]
        if asked or not agent.strip() or parts.fragment:
            raise CannotOpenException(
                f"endpoint {self.endpoint!r}: after the folder comes ?agent=name or nothing;"
                " in the folder's name, ? is written %3F and # %23"
            )
        return folder, agent

    def check_key(self) -> None:
        """Raises ``NoApiKeyException`` where a key is needed and there is none."""
        if not self.api_key and self.in_process is None:
            raise NoApiKeyException()


ConfigDict = Dict[str, Any]
