"""What is logged, in which form, and what never is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given, settings

from driftd.cli import logs
from driftd.cli.logs import register_secret, set_up_logging
from driftd.config.logs import LogFormat, LogLevel
from driftd.model.errors import GitError
from tests.cli_output.samples import texts


@pytest.fixture(autouse=True)
def secrets_as_they_were() -> Iterator[None]:
    secrets = set(logs._secrets)
    yield
    logs._secrets.clear()
    logs._secrets.update(secrets)


def set_up(log_format: LogFormat | None, level: LogLevel = LogLevel.INFO) -> io.StringIO:
    stream = io.StringIO()
    set_up_logging(level, log_format, stream)
    return stream


def fail(text: str) -> None:
    raise GitError(f"shop does not answer: {text}") from OSError(text)


def test_json_lines_have_constant_messages_and_keys():
    """One object a line; what one reads first comes first."""
    stream = set_up(LogFormat.JSON)
    structlog.get_logger("driftd.reconcile").info("pass ended", app="web", seconds=0.25, objects={"drifted": 1})
    line = json.loads(stream.getvalue())
    assert list(line)[:4] == ["time", "level", "message", "logger"]
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "message": "pass ended",
        "logger": "driftd.reconcile",
        "app": "web",
        "seconds": 0.25,
        "objects": {"drifted": 1},
    }


def test_logfmt_lines_are_flat_and_single():
    """Even with line breaks and mappings in the values."""
    stream = set_up(LogFormat.LOGFMT)
    structlog.get_logger("driftd.x").warning("fetch failed", source="shop", error="no\nroute", tried={"n": 2}, ok=False)
    (line,) = stream.getvalue().splitlines()
    assert 'level=warning message="fetch failed" logger=driftd.x source=shop' in line
    assert r"error=no\nroute" in line
    assert "ok=false" in line


def test_text_is_for_people_and_the_choice_without_a_terminal_is_json():
    """The same call serves both."""
    stream = set_up(LogFormat.TEXT)
    structlog.get_logger("driftd.x").info("pass ended", app="web")
    assert "pass ended" in stream.getvalue()
    assert "app=web" in stream.getvalue()
    stream = set_up(None)
    structlog.get_logger("driftd.x").info("pass ended")
    assert json.loads(stream.getvalue())["message"] == "pass ended"


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_an_error_of_our_own_is_a_sentence_and_a_bug_has_its_traceback(log_format):
    """At debug, every error has its traceback."""
    stream = set_up(log_format)
    try:
        fail("no route")
    except GitError:
        structlog.get_logger("driftd.x").exception("fetch failed")
        logging.getLogger("other").exception("fetch failed")
    assert "Traceback" not in stream.getvalue()
    assert stream.getvalue().count("shop does not answer") == 2
    try:
        _ = dict[str, int]()["nothing"]
    except KeyError:
        structlog.get_logger("driftd.x").exception("bug")
    assert "KeyError" in stream.getvalue()
    stream = set_up(log_format, LogLevel.DEBUG)
    try:
        fail("no route")
    except GitError:
        structlog.get_logger("driftd.x").exception("fetch failed")
    assert "OSError: no route" in stream.getvalue()


@pytest.mark.parametrize("log_format", list(LogFormat))
@pytest.mark.parametrize("level", [LogLevel.INFO, LogLevel.DEBUG])
def test_a_registered_secret_appears_in_no_line(log_format, level):
    """Neither in values, keys, nested ones, errors, tracebacks, nor in what other libraries log."""
    register_secret("xoxb-hunter2/canary\n")
    secret = "xoxb-hunter2/canary"
    stream = set_up(log_format, level)
    log = structlog.get_logger("driftd.x")
    log.info(f"token {secret}", token=secret, nested={"a": [secret, {secret: 1}]}, raw=secret.encode())  # noqa: G004 - the worst case
    log.info("quoted", url="https://h/?t=xoxb-hunter2%2Fcanary%0A")
    logging.getLogger("other").warning("sent %s", secret, extra={"header": f"Bearer {secret}"})
    try:
        fail(f"401 for {secret}")
    except GitError:
        log.exception("fetch failed", source=secret)
        logging.getLogger("other").exception("fetch failed")
    assert "hunter2" not in stream.getvalue()
    assert "<redacted>" in stream.getvalue()


def test_short_values_are_not_taken_for_secrets():
    """Redacting every "a" would leave nothing to read."""
    register_secret("a")
    register_secret("")
    stream = set_up(LogFormat.JSON)
    structlog.get_logger("driftd.x").info("pass ended", app="a")
    assert json.loads(stream.getvalue())["app"] == "a"


@pytest.mark.parametrize("level", list(LogLevel))
def test_libraries_log_only_warnings_at_any_level(level):
    """What they log below that is what they send and read: rows of the store, bodies, command lines."""
    stream = set_up(LogFormat.JSON, level)
    for library in (
        "sqlalchemy.engine.Engine",
        "git.cmd",
        "kubernetes.client.rest",
        "slack_sdk",
        "aiohttp",
        "any.other",
    ):
        logging.getLogger(library).debug("Row ('hunter2',)")
        logging.getLogger(library).info("INSERT 'hunter2'")
    assert stream.getvalue() == ""


def test_levels_hold_for_us_and_warnings_are_everybodys():
    """A missed run of a timer matters, an added one does not."""
    stream = set_up(LogFormat.JSON, LogLevel.WARNING)
    structlog.get_logger("driftd.x").info("quiet")
    assert stream.getvalue() == ""
    stream = set_up(LogFormat.JSON, LogLevel.DEBUG)
    structlog.get_logger("driftd.x").debug("told")
    assert "told" in stream.getvalue()
    logging.getLogger("apscheduler.scheduler").warning("missed job")
    assert "missed job" in stream.getvalue()


def test_setting_up_again_replaces_what_was():
    """A reload of the configuration may change the form; no line appears twice."""
    first, second = set_up(LogFormat.JSON), set_up(LogFormat.LOGFMT)
    structlog.get_logger("driftd.x").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


@settings(max_examples=50)
@given(texts)
def test_no_value_steers_the_terminal_or_breaks_a_line(text):
    """Whatever it holds, in every form."""
    for log_format in LogFormat:
        stream = set_up(log_format)
        structlog.get_logger("driftd.x").info("seen", value=text, big=2**80)
        written = stream.getvalue()
        assert [c for c in written if not c.isprintable() and c != "\n"] == []
        written.encode()
        if log_format is not LogFormat.TEXT:
            assert written.count("\n") == 1
