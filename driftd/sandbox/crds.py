"""The controller of CustomResourceDefinitions: their kinds are served while they exist."""

from __future__ import annotations

from driftd.sandbox.deletion import DeleteOptions, Deletion
from driftd.sandbox.document import Object
from driftd.sandbox.resources.custom import CustomKind
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.resources.registry import CRDS
from driftd.sandbox.status import method_not_allowed
from driftd.sandbox.store import Change, CollectionKey
from driftd.sandbox.strategy import stamp
from driftd.sandbox.world import World
from driftd.sandbox.writes import WriteOptions, Writes

_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class Definitions:
    """Registers and unregisters the kinds of CRDs, and writes their status."""

    def __init__(self, world: World, writes: Writes, deletion: Deletion) -> None:
        self._world = world
        self._writes = writes
        self._deletion = deletion

    def on_change(self, key: CollectionKey, change: Change) -> None:
        """The store's listener, called after every write."""
        if key != CRDS:
            return
        if change.after is not None:
            self._world.registry.register(change.after)
        elif change.before is not None:
            self._world.registry.unregister(change.before["metadata"]["name"])

    def reconcile(self, name: str) -> None:
        """Accepts a definition's names; deletes the instances of a terminating definition."""
        obj = self._world.store.get(CRDS, ("", name))
        if obj is None:
            return
        kind = self._world.registry.preferred(CRDS)
        if obj["metadata"].get("deletionTimestamp"):
            self._delete_instances(obj)
            return
        status = obj.get("status") or {}
        accepted = obj["spec"]["names"]
        if status.get("acceptedNames") == accepted and status.get("conditions"):
            return
        now = stamp(self._world.clock())
        conditions = [
            {"type": kind_, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}
            for kind_, reason, message in (
                ("NamesAccepted", "NoConflicts", "no conflicts found"),
                ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            )
        ]
        self._writes.replace_with(
            kind, ("", name),
            lambda live: {
                **live,
                "status": {**(live.get("status") or {}), "acceptedNames": accepted, "conditions": conditions},
            },
            WriteOptions(manager="kube-apiserver", subresource="status"),
        )  # fmt: skip

    def _delete_instances(self, definition: Object) -> None:
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        key = (group, plural)
        if self._world.registry.served(key):
            kind = self._world.registry.preferred(key)
            for name, obj in self._world.store.collection(key).in_namespace(None):
                if not obj["metadata"].get("deletionTimestamp"):
                    self._deletion.delete(kind, name, DeleteOptions())
        if self._world.store.collection(key).objects:
            return
        name = definition["metadata"]["name"]
        finalizers = [f for f in definition["metadata"].get("finalizers") or () if f != _CLEANUP]
        changed = {**definition, "metadata": {**definition["metadata"], "finalizers": finalizers}}
        if not finalizers:
            self._deletion.remove(self._world.registry.preferred(CRDS), ("", name), changed)


def check_not_terminating(world: World, kind: Kind) -> None:
    """Raises: ApiError (405): the kind's definition is being deleted."""
    if isinstance(kind, CustomKind):
        definition = world.store.get(CRDS, ("", kind.definition_name))
        if definition is not None and definition["metadata"].get("deletionTimestamp"):
            raise method_not_allowed("create not allowed while custom resource definition is terminating")
