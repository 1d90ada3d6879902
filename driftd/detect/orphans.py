"""Objects that Git no longer declares, and that are live still."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.live.api_reader import Reader
from driftd.live.mapping import Wanted
from driftd.model.drift import Status, Verdict


async def orphans(dropped: Sequence[Wanted], reader: Reader) -> tuple[Verdict, ...]:
    """A verdict for each object that should be gone and is not: orphaned, or unknown."""
    if not dropped:
        return ()
    readings = await reader.read(dropped)
    verdicts = []
    for one in dropped:
        manifest, reading = one.manifest, readings[one.manifest.ref]
        if reading.error is not None:
            status = Status.UNKNOWN
        elif reading.body is None or reading.body["metadata"].get("deletionTimestamp"):
            continue
        else:
            status = Status.ORPHANED
        verdicts.append(Verdict(manifest.ref, manifest.api_version, status, manifest.source, error=reading.error))
    return tuple(verdicts)
