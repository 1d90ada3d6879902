"""The configuration file is followed, whenever it changes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from pathlib import Path
from typing import Any

import structlog

from driftd.cli.daemon import _register_secrets
from driftd.cli.logs import set_up_logging
from driftd.config.loading import load
from driftd.config.logs import LogFormat, LogLevel
from driftd.daemon.daemon import Daemon


def write(file: Path, **more: Any) -> None:
    document = {"apiVersion": "driftd.io/v1alpha1", "kind": "Config", "apps": [], "sources": [], **more}
    file.write_text(json.dumps(document))


async def test_an_edit_that_comes_while_another_one_is_taken_up_is_not_lost(tmp_path: Path) -> None:
    """Else the mode that somebody has just set would not count, until the next edit."""
    file = tmp_path / "driftd.yaml"
    write(file)
    daemon = Daemon(file)
    first = load(file)
    write(file, deploys=False)
    daemon._on_hangup()  # nobody waits for it yet: what was loaded is being taken up
    second = await asyncio.wait_for(daemon._until_changed(first), 10)
    assert (first.deploys, second.deploys) == (True, False)


async def test_a_signal_and_the_files_change_are_one_refusal(tmp_path: Path) -> None:
    """The same mistakes are logged once; other ones are."""
    file = tmp_path / "driftd.yaml"
    write(file)
    daemon = Daemon(file)
    config = load(file)
    with structlog.testing.capture_logs() as logged:
        waiting = asyncio.create_task(daemon._until_changed(config))
        for mistake in ({"nme": 1}, {"nme": 1}, {"nme": 1}, {"othr": 1}):
            write(file, **mistake)
            daemon._on_hangup()
            async with asyncio.timeout(10):
                while daemon._changed.is_set():  # noqa: ASYNC110  # that it is cleared has no event
                    await asyncio.sleep(0.01)
        write(file, deploys=False)
        daemon._on_hangup()
        assert not (await asyncio.wait_for(waiting, 10)).deploys
    refused = [line["mistakes"] for line in logged if line["log_level"] == "error"]
    assert len(refused) == 2
    assert "nme" in refused[0][0]
    assert "othr" in refused[1][0]


async def test_the_secrets_of_a_changed_configuration_are_kept_out_of_the_log_too(tmp_path: Path) -> None:
    """A channel that was added while the daemon runs has a key of its own."""
    file = tmp_path / "driftd.yaml"
    (tmp_path / "key").write_text("canary-4711")
    write(file)
    log = io.StringIO()
    set_up_logging(LogLevel.INFO, LogFormat.JSON, log)
    daemon, first = Daemon(file, _register_secrets), load(file)
    write(file, notify={"webhooks": [{"name": "a", "url": "https://h/", "secretFile": "key"}]})
    daemon._on_hangup()
    await asyncio.wait_for(daemon._until_changed(first), 10)
    logging.getLogger("driftd.web").warning("it is %s", "canary-4711")
    assert "it is <redacted>" in log.getvalue()
    assert "canary" not in log.getvalue()
