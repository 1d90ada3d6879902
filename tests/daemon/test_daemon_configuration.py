"""The configuration file is followed, whenever it changes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import structlog

from driftd.config.loading import load
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
