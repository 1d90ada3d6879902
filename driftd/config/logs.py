"""What can be chosen of logs: every command logs, and not every one has a configuration."""

from __future__ import annotations

from enum import StrEnum


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    JSON = "json"
    LOGFMT = "logfmt"
    TEXT = "text"
