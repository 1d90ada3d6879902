"""The base of a preview, fetched and rendered: what deploying another revision is told from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from driftd.cli.checked_apps import CheckedApp, PreviewBase
from driftd.cli.deployed_commit import Fetched
from driftd.desired.state import CapabilitiesSource, Desired
from driftd.diff.compare import Comparison
from driftd.model.errors import DriftdError, GitError, PathNotFound
from driftd.model.revision import Revision

if TYPE_CHECKING:
    from driftd.reconcile.preview import Base

log = structlog.get_logger(__name__)


class BaseUnreadable(DriftdError):
    """Some of what the base declares cannot be rendered: what is in it could be anything."""


async def preview_base(
    checked: CheckedApp,
    revision: Revision,
    fetched: Fetched,
    capabilities: CapabilitiesSource,
    comparison: Comparison,
) -> Base | None:
    """What the preview of an app at a revision is told from; None where the two are the same, or there is none.

    A base that cannot be had is an error of the preview if it was asked for, and else a preview less.
    """
    base = checked.base
    if base is None:
        return None
    from driftd.daemon.clusters import base_of  # noqa: PLC0415  # slow to import: the connection does it meanwhile
    from driftd.reconcile.preview import Base  # noqa: PLC0415  # as above

    at_base = replace(checked, source=base.source, commit=base.commit)
    known: Revision | None = None
    try:
        at_base, known = await fetched.at_its_commit(at_base)
        if known.sha == revision.sha and not base.required:
            return None
        desired = await _declared(at_base, known, fetched, capabilities)
    except DriftdError as error:
        if not base.required:
            log.warning("what it is told from is not known, so there is no preview", base=base.name, error=str(error))
            return None
        return Base(base.name, known, error=_told(base, error))
    return base_of(base.name, at_base.app, fetched.provider.mirror(at_base.source), desired, comparison)


async def _declared(
    checked: CheckedApp, revision: Revision, fetched: Fetched, capabilities: CapabilitiesSource
) -> Desired:
    """What the app declares there: nothing, where it was not there yet.

    Raises: BaseUnreadable: not all of it can be rendered; DriftdError: none of it.
    """
    app = replace(checked.app, rendering=replace(checked.app.rendering, allow_empty=True))
    try:
        desired = await fetched.provider.desired(checked.source, app, revision, capabilities)
    except PathNotFound:
        return Desired(revision, ())
    if desired.error is not None:
        raise BaseUnreadable(desired.error)
    return desired


def _told(base: PreviewBase, error: DriftdError) -> str:
    if isinstance(error, BaseUnreadable):
        return f"not all of {base.name} can be read, so that it is not known what changes: {error}"
    advice = "; in CI, check out the whole history (fetch-depth: 0, GIT_DEPTH: 0)"
    return f"{base.name} could not be read: {error}{advice if isinstance(error, GitError) else ''}"
