"""Orphans: live objects that Git no longer declares."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.diff.rules.deployer_options import kept_without_declaration
from driftd.live.api_reader import Reader
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Status, Verdict


async def orphans(no_longer_declared: Sequence[MappedManifest], reader: Reader) -> tuple[Verdict, ...]:
    """A verdict for each object that is not declared any more, and none for those that are gone.

    Orphaned, or unknown; ignored if its last manifest told its deployer to keep it.
    """
    if not no_longer_declared:
        return ()
    results = await reader.read(no_longer_declared)
    verdicts = []
    for item in no_longer_declared:
        manifest, live = item.manifest, results[item.manifest.ref]
        if live.error is not None:
            status = Status.UNKNOWN
        elif live.body is None or live.body["metadata"].get("deletionTimestamp"):
            continue
        else:
            status = Status.ORPHANED if kept_without_declaration(manifest.body) is None else Status.IGNORED
        verdicts.append(Verdict(manifest.ref, manifest.api_version, status, manifest.source, error=live.error))
    return tuple(verdicts)
