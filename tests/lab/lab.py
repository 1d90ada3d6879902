"""A lab: one cluster, one corpus, one way of deployment, and edits by many managers."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.compare import Comparison
from driftd.diff.normalise import LAST_APPLIED
from driftd.diff.redact import Redactor
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.path import format_path
from driftd.model.resource import Manifest
from tests.lab.api import JSON_PATCH, Api, JsonObject, Refused
from tests.lab.deployment import deploy
from tests.lab.edits import Edit, Turn, random_edit

HANDS = ("kubectl-edit", "kubectl-patch", "kubectl-set", "kubectl-label", "kubectl-annotate", "night-shift",
         "OpenAPI-Generator", "node-fetch", "curl")  # fmt: skip
_ONCE = ("CustomResourceDefinition", "Namespace", "PersistentVolumeClaim", "PersistentVolume", "ServiceAccount")
_CONTROLLERS = "deployment.kubernetes.io/"
_VOLATILE = ("managedFields", "resourceVersion", "generation")


@dataclass
class LabTally:
    """Results: `wrong` has a text for each wrong verdict."""

    edits: int = 0
    owned: int = 0
    named: int = 0
    refused: int = 0
    disputed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Lab:
    def __init__(self, api: Api, manifests: list[Manifest], way: str, seed: int) -> None:
        self.api = api
        self.manifests = manifests
        self.way = way
        self._chance = random.Random(seed)
        self._comparison = Comparison(Redactor(b"lab" * 11))
        self._recreatable = [manifest for manifest in manifests if not _others_depend_on(manifest)]
        self._once = [manifest for manifest in manifests if manifest.ref.kind in _ONCE]
        self.tally = LabTally()
        owner = api.request("GET", "/api/v1/namespaces/default")["metadata"]
        self._owner = {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": owner["uid"]}

    def client(self, manifest: Manifest, live: JsonObject, *, admission: bool = False) -> Verdict:
        resource = self.api.resource(manifest.api_version, manifest.ref.kind)
        schema = self.api.schema(manifest.api_version, manifest.ref.kind)
        return self._comparison.verdict(
            manifest, live, schema, status_is_server_owned=resource.has_status, admission=admission
        )

    def server(self, manifest: Manifest, live: JsonObject, *, admission: bool = False) -> Verdict | None:
        """The server engine's verdict; None if the dry-run is refused because the edit conflicts with the manifest."""
        resource = self.api.resource(manifest.api_version, manifest.ref.kind)
        schema = self.api.schema(manifest.api_version, manifest.ref.kind)
        try:
            answer = self.api.dry_run(manifest)
        except Refused:
            self.tally.disputed += 1
            return None
        return self._comparison.verdict(
            manifest, live, schema, status_is_server_owned=resource.has_status, dry_run=answer, admission=admission
        )

    def unedited(self) -> list[str]:
        """Verdicts other than in sync on objects that have not been edited."""
        wrong = []
        for manifest in self.manifests:
            live = self.api.get(manifest)
            verdicts = (self.client(manifest, live), self.server(manifest, live))
            wrong += [
                f"{self.way}: {_verdict_text(manifest, verdict)}"
                for verdict in verdicts
                if verdict is None or verdict.status is not Status.IN_SYNC
            ]
        return wrong

    def rounds(self, count: int) -> None:
        """Edits random objects, each of which is recreated afterwards, and finally those that others depend on."""
        last = self._chance.sample(self._once, min(len(self._once), count // 4))
        for number in range(count - len(last)):
            self._round(self._chance.choice(self._recreatable), number)
        for number, manifest in enumerate(last, start=count):
            self._round(manifest, number)

    def _round(self, manifest: Manifest, number: int) -> None:
        """One to three edits of an object by one manager, assessed by both engines."""
        manager = self._chance.choice(HANDS)
        before = self.api.get(manifest)
        edits: list[Edit] = []
        for turn in range(self._chance.choice((1, 1, 2, 3))):
            edits += self._apply_edit(manifest, manager, number * 4 + turn, edits)
        after = self.api.get(manifest)
        if edits and _stored(before) != _stored(after):
            self._check_verdicts(manifest, manager, edits, after)
        if edits and not _others_depend_on(manifest):
            self._recreate(manifest)

    def _apply_edit(self, manifest: Manifest, manager: str, number: int, others: list[Edit]) -> list[Edit]:
        live = self.api.get(manifest)
        schema = self.api.schema(manifest.api_version, manifest.ref.kind)
        edit = random_edit(self._chance, live, schema, Turn(number, self._owner))
        # A program's finalizer is its controller's. And the API server records no owner in an object that was applied
        # with nothing but its name: then nothing tells a person's finalizer from a controller's.
        recorded = manager.startswith("kubectl-") and live["metadata"].get("managedFields")
        if edit is not None and edit.name == "add a finalizer" and not recorded:
            return []
        if edit is None or any(_overlaps(a, b) for other in others for a in edit.paths for b in other.paths):
            return []
        try:
            after = self.api.request("PATCH", self.api.path(manifest), edit.patch, JSON_PATCH, fieldManager=manager)
        except Refused:
            self.tally.refused += 1
            return []
        return [edit] if _stored(live) != _stored(after) else []

    def _check_verdicts(self, manifest: Manifest, manager: str, edits: list[Edit], after: JsonObject) -> None:
        client, server = self.client(manifest, after), self.server(manifest, after)
        for edit in edits:
            self.tally.edits += 1
            self.tally.kinds[edit.name] += 1
        for engine, verdict in (("client", client), ("server", server)):
            if verdict is None:
                continue
            for complaint in complaints(verdict, edits):
                self._record_wrong(f"{engine}: {complaint}", manifest, manager, edits, verdict)
        if server is not None and _shape(client) != _shape(server):
            self._record_wrong(
                f"the engines differ: {_shape(client)} / {_shape(server)}", manifest, manager, edits, client
            )
        for drift in client.fields:
            if drift.change is Change.REMOVED or not _has_owner(after, manager):
                continue
            if all(edit.traceless for edit in edits if _related(edit, drift)):
                continue
            self.tally.owned += 1
            if drift.by is not None and drift.by.manager == manager:
                self.tally.named += 1
            else:
                by = drift.by.manager if drift.by else None
                self._record_wrong(
                    f"{format_path(drift.path)} is {by}'s, not {manager}'s", manifest, manager, edits, client
                )

    def _record_wrong(
        self, problem: str, manifest: Manifest, manager: str, edits: list[Edit], verdict: Verdict
    ) -> None:
        patches = [json.dumps(edit.patch)[:300] for edit in edits]
        self.tally.wrong.append(
            f"{self.way}: {problem}\n    {manager}: {patches}\n    {_verdict_text(manifest, verdict)}"
        )

    def _recreate(self, manifest: Manifest) -> None:
        path = self.api.path(manifest)
        self.api.request("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        self.api.request("DELETE", path, {"propagationPolicy": "Background", "gracePeriodSeconds": 0})
        deploy(self.api, manifest, self.way)


def _others_depend_on(manifest: Manifest) -> bool:
    """Whether recreating the object would delete or change others."""
    if "aggregationRule" in manifest.body:
        return True  # its controller writes the fields that would be edited
    return manifest.ref.kind in _ONCE or manifest.body.get("type") == "kubernetes.io/service-account-token"


def complaints(verdict: Verdict, edits: list[Edit]) -> list[str]:
    """Missing and unexpected fields of a verdict."""
    if verdict.status not in (Status.DRIFTED, Status.IN_SYNC):
        return [f"{verdict.status}: {verdict.error}"]
    reported = [format_path(drift.path) for drift in verdict.fields]
    missed = [
        f"missed {edit.name} at {edit.paths[0]}"
        for edit in edits
        if not any(_overlaps(path, reported_path) for path in edit.paths for reported_path in reported)
    ]
    extra = [
        f"reported {reported_path} that nobody edited"
        for reported_path in reported
        if not any(_overlaps(path, reported_path) for edit in edits for path in edit.paths)
    ]
    return missed + extra


def _overlaps(path: str, other: str) -> bool:
    """Whether two paths are equal, or one contains the other."""
    shorter, longer = sorted((path, other), key=len)
    return longer.startswith(shorter) and (len(longer) == len(shorter) or longer[len(shorter)] in ".[")


def _related(edit: Edit, drift: FieldDrift) -> bool:
    return any(_overlaps(path, format_path(drift.path)) for path in edit.paths)


def _stored(body: JsonObject) -> JsonObject:
    metadata = {k: v for k, v in body["metadata"].items() if k not in _VOLATILE}
    kept = metadata.get("annotations", {}).items()
    metadata["annotations"] = {k: v for k, v in kept if k != LAST_APPLIED and not k.startswith(_CONTROLLERS)}
    return {**{k: v for k, v in body.items() if k != "status"}, "metadata": metadata}


def _has_owner(body: JsonObject, manager: str) -> bool:
    return any(entry["manager"] == manager for entry in body["metadata"].get("managedFields", ()))


def _shape(verdict: Verdict) -> Any:
    return str(verdict.status), sorted((format_path(d.path), str(d.change)) for d in verdict.fields)


def _verdict_text(manifest: Manifest, verdict: Verdict | None) -> str:
    if verdict is None:
        return f"{manifest.ref}: the API server refuses the manifest"
    fields = "; ".join(
        f"{format_path(d.path)} {d.change} {json.dumps(d.desired)[:80]} -> {json.dumps(d.live)[:80]} "
        f"by {d.by.manager if d.by else None}"
        for d in verdict.fields
    )
    return f"{manifest.ref} is {verdict.status} {verdict.error or ''} {fields}"
