"""The closed lists of words, as the 0.0.x generation has them."""

from enum import Enum
from logging import getLevelName
from typing import Optional, Union


class LogLevel(str, Enum):
    """How much is logged; an unknown word counts as INFO."""

    CRITICAL = "CRITICAL"
    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"
    DEBUG = "DEBUG"

    @classmethod
    def from_string(cls, level: Optional[Union[str, int]]) -> "LogLevel":
        """The level of this name in any case, or of this number as ``logging`` has it; INFO for any other."""
        if isinstance(level, cls):
            return level
        if isinstance(level, int):
            level = getLevelName(level)
        try:
            return cls((level or "INFO").upper())
        except ValueError:
            return cls.INFO


class AgentType(Enum):
    """Kinds of agents."""

    CHATBOT = "chatbot"
    AGENT = "agent"
    VOICE = "voice"
    CUSTOM = "custom"


class AttachmentMode(Enum):
    """How files travel: in JSON as base64, or as a form."""

    BASE64 = "base64"
    FORM_DATA = "form_data"


class Sender(str, Enum):
    """Who says a message."""

    USER = "end_user"
    AGENT = "agent"
    SYSTEM = "system"


class Environment(Enum):
    """Stages that every agent has; an agent may have others, which are given as texts."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"

    @classmethod
    def from_env(cls, value: Optional[str]) -> Optional["Environment"]:
        """The member of this value, None for nothing; anything else is a ValueError."""
        if not value:
            return None
        try:
            return cls(value)
        except ValueError:
            raise ValueError(_expected("environment", value, cls)) from None


class TokenHandlerType(Enum):
    """Libraries whose token counts can be taken over."""

    LLAMAINDEX = "llamaindex"
    LANGCHAIN = "langchain"

    @classmethod
    def from_env(cls, value: Optional[str]) -> Optional["TokenHandlerType"]:
        """The member of this value, None for nothing; anything else is a ValueError."""
        if not value:
            return None
        try:
            return cls(value)
        except ValueError:
            raise ValueError(_expected("token handler", value, cls)) from None


class Sentiment(str, Enum):
    """What feedback says."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


def _expected(what: str, value: str, words: "type[Enum]") -> str:
    return f"Invalid {what} type '{value}'. Expected one of: {', '.join(str(word.value) for word in words)}"
