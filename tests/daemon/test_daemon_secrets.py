"""No value of a Secret leaves driftd: not in the log, at any level, nor in the API, the messages and the history."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.cli.logs import set_up_logging
from driftd.config.logs import LogFormat, LogLevel
from driftd.web.metrics import Metrics
from tests.daemon.test_daemon_on_the_sandbox import at_work, configuration
from tests.support.canaries import reveals
from tests.support.world import World, create_world, until

IN_GIT, BY_HAND = "canary-in-git-4711", "canary-by-hand-0815"
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: web}}\nstringData: {{password: {IN_GIT}}}\n"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with create_world(tmp_path, [("secret.yaml", SECRET)]) as made:
        yield made


@pytest.mark.parametrize("log_format", list(LogFormat))
async def test_a_daemon_that_logs_everything_logs_no_value_of_a_secret(world: World, log_format: LogFormat) -> None:
    """A Secret is created, edited and healed; the rows of the store have its manifest, and libraries log rows."""
    log = io.StringIO()
    set_up_logging(LogLevel.DEBUG, log_format, log)
    async with at_work(configuration(world, mode="heal"), Metrics()) as now_running:
        await until(lambda: now_running.controller.reports and now_running.controller.reports[0].in_sync, "creation")
        await world.edit("Secret", {"data": {"password": base64.b64encode(BY_HAND.encode()).decode()}})
        await until(lambda: _is_healed(world), "the heal")
        await until(world.incident_events, "the message")
    text = log.getvalue()
    assert "driftd" in text
    assert "sqlalchemy" not in text
    for value in (IN_GIT, BY_HAND, base64.b64encode(IN_GIT.encode()).decode()):
        assert not reveals(text, value)


async def _is_healed(world: World) -> bool:
    return bool((await world.get("Secret"))["data"] == {"password": base64.b64encode(IN_GIT.encode()).decode()})


def test_a_value_is_found_in_every_form_that_a_log_gives_to_it() -> None:
    """The search itself: quoted, encoded, deflated, and one in the other."""
    document = json.dumps({"data": {"password": IN_GIT}}).encode()
    for form in (
        document.decode(),
        repr(zlib.compress(document)),
        json.dumps({"message": f"Row {zlib.compress(document)!r}"}),
        f"Failing row contains (\\x{zlib.compress(document).hex()}).",
        base64.b64encode(document).decode(),
        base64.b64encode(zlib.compress(base64.b64encode(document))).decode(),
    ):
        assert reveals(form, IN_GIT), form
    assert not reveals(document.decode(), BY_HAND)
