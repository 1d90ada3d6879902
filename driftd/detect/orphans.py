"""Objects that Git no longer declares, and that are live still."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.live.api_reader import Reader
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Status, Verdict


async def orphans(no_longer_declared: Sequence[MappedManifest], reader: Reader) -> tuple[Verdict, ...]:
    """A verdict for each object that should be gone and is not: orphaned, or unknown."""
    if not no_longer_declared:
        return ()
    readings = await reader.read(no_longer_declared)
    verdicts = []
    for one in no_longer_declared:
        manifest, reading = one.manifest, readings[one.manifest.ref]
        if reading.error is not None:
            status = Status.UNKNOWN
        elif reading.body is None or reading.body["metadata"].get("deletionTimestamp"):
            continue
        else:
            status = Status.ORPHANED
        verdicts.append(Verdict(manifest.ref, manifest.api_version, status, manifest.source, error=reading.error))
    return tuple(verdicts)
