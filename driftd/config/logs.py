"""Log levels and formats: apart from the settings, since commands without a configuration log too."""

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
