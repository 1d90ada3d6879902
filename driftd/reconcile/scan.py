"""One scan of an app: what it declares is assessed against what is live."""

from __future__ import annotations

from datetime import datetime

from driftd.attribution.git_attribution import GitAttribution
from driftd.desired.state import Desired
from driftd.detect.detector import Detector
from driftd.live.api_reader import ApiReader
from driftd.live.mapping import map_manifests
from driftd.model.errors import KubeError
from driftd.model.report import Report


async def scan_once(
    detector: Detector, attribution: GitAttribution, desired: Desired, reader: ApiReader, now: datetime
) -> Report:
    """The report of one scan straight from the API server, with Git's side of every difference."""
    try:
        mapped = await map_manifests(desired.manifests, detector.app, detector.view)
    except KubeError as error:
        return detector.unreadable(desired, error, now)
    assessments = await detector.assess(mapped, reader)
    attribution.observe(assessments)
    return detector.report(desired, await attribution.enrich(desired.revision, assessments), now)
