"""Who deploys an app, told from its objects that are there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from driftd.diff.normalise import normalise_manifest
from driftd.diff.rules.field_managers import Managers
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import RestMapping
from driftd.model.drift import FieldOwner, Status
from driftd.model.errors import KubeError
from driftd.model.report import Report
from driftd.repair.give_back import deployer_of

_ENOUGH = 8
"""Objects of an app that are asked: one deployer writes all of them, as a rule."""

_THERE = (Status.IN_SYNC, Status.DRIFTED, Status.IGNORED)


@dataclass(frozen=True, slots=True)
class Siblings:
    """The other objects of an app of which one is missing."""

    view: ClusterView
    managers: Managers

    async def deployer(self, report: Report, mapping: RestMapping, reader: Reader) -> FieldOwner | None:
        """The manager that deploys most of the first objects that are there; None where none is known."""
        there = (mapping.by_ref.get(one.ref) for one in report.verdicts if one.status in _THERE)
        items = [item for item, _ in zip((one for one in there if one is not None), range(_ENOUGH), strict=False)]
        found = Counter[FieldOwner]()
        for ref, result in (await reader.read(items)).items():
            item = mapping.by_ref[ref]
            if result.body is None or item.resource is None:
                continue
            try:
                schema = await self.view.schema(item.resource)
            except KubeError:
                continue
            declared = normalise_manifest(item.manifest.body, status_is_server_owned=item.resource.has_status).body
            if (owner := deployer_of(result.body, declared, schema, self.managers)) is not None:
                found[replace(owner, time=None)] += 1
        return found.most_common(1)[0][0] if found else None
