"""Orphans: live objects that Git no longer declares."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.live.api_reader import Reader
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Status, Verdict


async def orphans(no_longer_declared: Sequence[MappedManifest], reader: Reader) -> tuple[Verdict, ...]:
    """A verdict for each object that is not declared any more: orphaned, or unknown. None for those that are gone."""
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
            status = Status.ORPHANED
        verdicts.append(Verdict(manifest.ref, manifest.api_version, status, manifest.source, error=live.error))
    return tuple(verdicts)
