"""The logger ``agentsight``: to standard error, at the level of ``AGENTSIGHT_LOG_LEVEL`` (INFO without it)."""

import logging as _logging
import os
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from agentsight.config import Config

try:
    from dotenv import load_dotenv  # type: ignore[import-not-found, unused-ignore]

    load_dotenv()
except ImportError:
    pass

logger = _logging.getLogger("agentsight")
logger.propagate = False


class _Formatter(_logging.Formatter):
    def format(self, record: _logging.LogRecord) -> str:
        text = f"AgentSight: {super().format(record)}"
        if record.levelno == _logging.DEBUG:
            return f"(DEBUG) {text}"
        return f"\x1b[31;1m{text}\x1b[0m" if record.levelno >= _logging.ERROR else text


def configure_logging(config: Optional["Config"] = None) -> _logging.Logger:
    """Sets the logger up; the variable wins over ``config.log_level``."""
    name = os.environ.get("AGENTSIGHT_LOG_LEVEL") or (config.log_level.value if config else "INFO")
    level = _logging.getLevelName(name.upper())
    logger.setLevel(level if isinstance(level, int) else _logging.INFO)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    handler = _logging.StreamHandler()
    handler.setFormatter(_Formatter())
    logger.addHandler(handler)
    return logger


configure_logging()

__all__ = ["configure_logging", "logger"]
