"""The apps that entries with a pattern make, for one `driftd check`: of the revision that is checked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from driftd.cli.checked_apps import CheckRequest, checked_source
from driftd.cli.deployed_commit import Fetched
from driftd.cli.output.progress import progress
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.report import Report
from driftd.model.revision import Revision

if TYPE_CHECKING:
    from driftd.config.settings import Config
    from driftd.config.source import SourceConfig


async def with_pattern_apps(request: CheckRequest, config: Config, fetched: Fetched) -> tuple[Config, list[Report]]:
    """The configuration in which each app has its own entry, and reports on what could not be made one.

    Nothing is `fetched` for that where only apps with an entry of their own are asked for.
    """
    plain = [app for app in config.apps if not app.is_pattern]
    if len(plain) == len(config.apps) or (request.names and {app.name for app in plain}.issuperset(request.names)):
        return config.with_apps(plain), []
    from driftd.daemon.patterns import expanded  # noqa: PLC0415  # few checks need it

    with progress() as shown:

        async def locate(source: SourceConfig) -> tuple[MirroredCommits, Revision]:
            checked = checked_source(source, request)
            shown.step(f"fetching {checked.address}")
            return fetched.provider.mirror(checked), await fetched.revision(checked)

        expansion = await expanded(config, locate)
    now = datetime.now(UTC)
    return expansion.config, [
        Report(name, cluster, None, (), now, error=reason)
        for name, (cluster, reason) in expansion.not_judged.items()
        if not request.names or name in request.names
    ]
