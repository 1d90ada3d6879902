"""`driftd check --explain`: every field of one object, and its verdict."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from driftd.cli.checked_apps import CheckedApp
from driftd.cli.deployed_commit import Fetched
from driftd.cli.live_side import LazyClusters
from driftd.cli.output import Format
from driftd.cli.output.progress import Progress
from driftd.desired.provider import DesiredStateProvider
from driftd.diff.compare import Comparison
from driftd.model.errors import DriftdError
from driftd.model.resource import ResourceRef

if TYPE_CHECKING:
    from driftd.diff.explain import Explanation
    from driftd.discovery.helm import InstalledRelease
    from driftd.kube.kubeconfig import ClusterAccess


async def explain_object(
    name: str,
    apps: Sequence[CheckedApp | tuple[InstalledRelease, ClusterAccess]],
    comparison: Comparison,
    output: Format,
    shown: Progress,
    provider: DesiredStateProvider,
) -> int:
    """Prints every field of the object with this KIND/NAME. Returns the exit code: 0 in sync, 1 drift, 2 unknown.

    Raises: DriftdError: Git declares no object of that name, or it cannot be read.
    """
    if output not in (Format.TABLE, Format.JSON):
        raise DriftdError("--explain prints a table or json")
    fetched = Fetched(provider)
    async with LazyClusters(output) as clusters:
        for each in apps:
            if isinstance(each, CheckedApp):
                app, ignore = each.app, each.ignore
                view = await clusters.connect(each.access)
                shown.step(f"fetching {each.source.address}")
                checked, revision = await fetched.at_its_commit(each)
                desired = await provider.desired(checked.source, app, revision, view.capabilities)
            else:
                release, access = each
                app, ignore, desired = release.app, release.ignore, release.desired
                view = await clusters.connect(access)
            from driftd.daemon.clusters import explain  # noqa: PLC0415  # imported by `connect` already

            comparing = comparison.with_ignored(ignore)
            if (explained := await explain(name, app, view, desired, comparing)) is not None:
                return _print(*explained, output)
    raise DriftdError(
        f"Git declares no {name}: give KIND/NAME or KIND/NAMESPACE/NAME, as `driftd check --all` shows it"
    )


def _print(ref: ResourceRef, fields: list[Explanation], output: Format) -> int:
    from driftd.cli.output.explain import explanation_json, print_explanation  # noqa: PLC0415  # few checks explain

    if output is Format.JSON:
        print(explanation_json(ref, fields), end="")
    else:
        from driftd.cli.output.lines import console_for  # noqa: PLC0415  # only a table needs it

        print_explanation(console_for(sys.stdout), ref, fields)
    if any(field.verdict == "unknown" for field in fields):
        return 2
    return 0 if all(field.verdict in ("in_sync", "undeclared", "ignored") for field in fields) else 1
