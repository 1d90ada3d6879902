"""Logging: constant messages with keys and values, on standard error, as JSON, logfmt or text.

Import it before anything that logs: structlog imports rich where it is installed, for tracebacks with the variables of
frames, which may be secrets. Without it driftd starts sooner and takes less memory, too.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO
from urllib.parse import quote

from driftd.process.imports import module_hidden

with module_hidden("rich"):
    import structlog

from structlog.typing import EventDict, Processor, WrappedLogger

from driftd.config.logs import LogFormat, LogLevel
from driftd.model.errors import DriftdError
from driftd.model.text import visible

REDACTED = "<redacted>"
OWN_LOGGERS = "driftd"
"""The parent of all loggers that a level applies to. Libraries log what they send and read: rows, bodies, command lines
with tokens. Of theirs only warnings are logged, at any level.
"""

_MIN_SECRET_LENGTH = 6
"""Minimum characters of a redacted secret: shorter ones would redact ordinary words."""

_secrets: set[str] = set()


def register_secret(value: str) -> None:
    """Redacts a value in all later log lines, exceptions and tracebacks included.

    A second line of defence: code with access to a secret must not log it.
    """
    for form in {value, value.strip(), *value.splitlines(), quote(value, safe="", errors="backslashreplace")}:
        if len(form) >= _MIN_SECRET_LENGTH:
            _secrets.add(form)


def set_up_logging(level: LogLevel, log_format: LogFormat | None = None, stream: TextIO | None = None) -> None:
    """Sends the logs of structlog and of the standard library to `stream` (standard error by default) in one format.

    A `log_format` of None is text on a terminal, else JSON. A later call replaces an earlier one.
    """
    stream = stream or sys.stderr
    on_terminal = stream.isatty()
    chosen = log_format or (LogFormat.TEXT if on_terminal else LogFormat.JSON)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _explain_error,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(chosen, on_terminal)],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(logging.WARNING, chosen_level := logging.getLevelNamesMapping()[level.upper()]))
    logging.getLogger(OWN_LOGGERS).setLevel(chosen_level)


def _renderers(log_format: LogFormat, on_terminal: bool) -> list[Processor]:
    if log_format is LogFormat.TEXT:
        return [
            structlog.processors.format_exc_info,
            _redact,
            structlog.dev.ConsoleRenderer(
                colors=on_terminal,
                event_key="event",
                timestamp_key="time",
                pad_event_to=32,
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    ordered = ["time", "level", "event", "logger"]
    rename = structlog.processors.EventRenamer("message")
    if log_format is LogFormat.LOGFMT:
        keys = [key if key != "event" else "message" for key in ordered]
        return [
            structlog.processors.format_exc_info,
            _redact,
            rename,
            _flat,
            structlog.processors.LogfmtRenderer(key_order=keys, drop_missing=True, bool_as_flag=False),
        ]
    return [structlog.processors.format_exc_info, _redact, rename, structlog.processors.JSONRenderer(serializer=_json)]


def _explain_error(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replaces the traceback of driftd's own errors, whose texts are for users, by their text, unless debugging."""
    error = event.get("exc_info")
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, DriftdError) and not logging.getLogger(OWN_LOGGERS).isEnabledFor(logging.DEBUG):
        del event["exc_info"]
        event.setdefault("error", str(error))
    return event


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    """The value with registered secrets redacted, and safe to show."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, MutableMapping):
        return {_clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    text = str(value)
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return visible(text)


def _flat(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """logfmt has flat values only: nested ones become JSON."""
    return {
        key: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for key, value in event.items()
    }


def _json(event: EventDict, **_: Any) -> str:
    first = {key: event[key] for key in ("time", "level", "message", "logger") if key in event}
    # Not orjson: it refuses integers past 64 bits, and a log line must never fail.
    return json.dumps({**first, **event}, ensure_ascii=False, separators=(",", ":"))
