"""The holds that a check respects: a held app is compared with what it is held at."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.cli.checked_apps import CheckedApp
from driftd.model.errors import DriftdError

if TYPE_CHECKING:
    from driftd.config.settings import Config
    from driftd.model.plan import Hold


async def at_their_holds(apps: Sequence[CheckedApp], config: Config) -> list[CheckedApp]:
    """The same apps, each at the revision that it is held at, if it is. Says so on standard error.

    A store that is not there yet is not made: nothing is held in it. Where it cannot be read, that is said.
    """
    if _is_not_there(config.store_url):
        return list(apps)
    try:
        holds = await _holds([checked.app.name for checked in apps], config)
    except DriftdError as error:
        print(f"compared with Git: it is not known whether apps are held ({error})", file=sys.stderr)
        return list(apps)
    for hold in holds.values():
        print(
            f"{hold.app} is held at {hold.revision[:8]} instead of {hold.bad_revision[:8]}, and compared with that: "
            f"{hold.reason}; --revision compares with another one",
            file=sys.stderr,
        )
    return [
        replace(checked, source=checked.source.at(holds[checked.app.name].revision))
        if checked.app.name in holds
        else checked
        for checked in apps
    ]


def _is_not_there(store_url: str) -> bool:
    return store_url.startswith("sqlite:///") and not Path(store_url.removeprefix("sqlite:///")).exists()


async def _holds(names: Sequence[str], config: Config) -> dict[str, Hold]:
    from driftd.daemon.messaging import open_store  # noqa: PLC0415  # SQLAlchemy, which most checks do not need

    store = await open_store(config)
    try:
        return {name: hold for name in names if (hold := await store.hold(name)) is not None}
    finally:
        await store.close()
