"""Deletion: finalizers, garbage collection of dependents, and the content of namespaces.

Source: k8s.io/apiserver/pkg/registry (BeforeDelete), kube-controller-manager's garbage collector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from driftd.sandbox.document import Object
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.status import conflict, not_found
from driftd.sandbox.store import CollectionKey, Name
from driftd.sandbox.strategy import stamp
from driftd.sandbox.world import World

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_NAMESPACES = ("", "namespaces")
_ORPHANING = {("", "replicationcontrollers"), ("batch", "jobs")}
"""Kinds that orphan their pods by default, as before garbage collection was introduced."""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    propagation: str = ""
    """Foreground, Background or Orphan; empty for the kind's default."""
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
    grace: int | None = None


class Deletion:
    """Deletes objects of a world and garbage collects their dependents."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._emptying: set[str] = set()

    def delete(self, kind: Kind, name: Name, options: DeleteOptions) -> tuple[Object, bool]:
        """Returns: the object's last state, and whether it is removed; with finalizers it is only marked.

        Raises: ApiError: 404; 409 if a precondition is not met.
        """
        resource = kind.resource
        live = self._world.store.get(resource.key, name)
        if live is None:
            raise not_found(resource.group, resource.plural, name[1])
        self._check_preconditions(kind, live, options)
        if not options.propagation:
            options = replace(options, propagation="Orphan" if kind.resource.key in _ORPHANING else "Background")
        if options.dry_run:
            return live, not live["metadata"].get("finalizers")
        obj = self._terminating(kind, live, options)
        if not self.has_finalizers(obj):
            return self.remove(kind, name, obj, propagation=options.propagation), True
        if obj is not live:
            obj = self._world.store.put(resource.key, name, obj)
        self.advance(resource.key, name)
        current = self._world.store.get(resource.key, name)
        return (current, False) if current is not None else (obj, True)

    def remove(self, kind: Kind, name: Name, obj: Object, *, propagation: str = "Background") -> Object:
        """Removes an object from the store and garbage collects its dependents."""
        last = self._world.store.delete(kind.resource.key, name, obj)
        if propagation == "Orphan":
            self._orphan_dependents(last["metadata"]["uid"])
        self._collect_dependents(last["metadata"]["uid"])
        self._advance_owners(last)
        return last

    def has_finalizers(self, obj: Object) -> bool:
        """Whether finalizers (of metadata, or of a namespace's spec) prevent the removal of the object."""
        if obj["metadata"].get("finalizers"):
            return True
        namespace = obj["apiVersion"] == "v1" and obj["kind"] == "Namespace"
        return namespace and bool((obj.get("spec") or {}).get("finalizers"))

    def advance(self, key: CollectionKey, name: Name) -> None:
        """Acts as garbage collector and namespace controller for one object in deletion."""
        obj = self._world.store.get(key, name)
        if obj is None or not obj["metadata"].get("deletionTimestamp"):
            return
        finalizers = list(obj["metadata"].get("finalizers") or ())
        if _ORPHAN in finalizers:
            self._orphan_dependents(obj["metadata"]["uid"])
            finalizers.remove(_ORPHAN)
        if _FOREGROUND in finalizers and self._dependents_gone(obj["metadata"]["uid"]):
            finalizers.remove(_FOREGROUND)
        finalizers = [f for f in finalizers if f not in ("kubernetes.io/pvc-protection", "kubernetes.io/pv-protection")]
        changed = finalizers != list(obj["metadata"].get("finalizers") or ())
        if changed:
            obj = {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}}
            if not finalizers:
                del obj["metadata"]["finalizers"]
        if key == _NAMESPACES and self._empty_namespace(name[1]):
            obj = {**obj, "spec": {}}
            changed = True
        if not changed:
            return
        kind = self._world.registry.preferred(key)
        if self.has_finalizers(obj):
            self._world.store.put(key, name, obj)
        else:
            self.remove(kind, name, obj)

    def _check_preconditions(self, kind: Kind, live: Object, options: DeleteOptions) -> None:
        metadata, resource = live["metadata"], kind.resource
        if options.uid and options.uid != metadata["uid"]:
            raise conflict(resource.group, resource.plural, metadata["name"], uid_mismatch(options.uid, live))
        if options.resource_version and options.resource_version != metadata["resourceVersion"]:
            message = (
                f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
                f"ResourceVersion in object meta: {metadata['resourceVersion']}"
            )
            raise conflict(resource.group, resource.plural, metadata["name"], message)

    def _terminating(self, kind: Kind, live: Object, options: DeleteOptions) -> Object:
        """The object with deletionTimestamp and finalizers set; the same object if that changes nothing."""
        finalizers = list(live["metadata"].get("finalizers") or ())
        finalizer = {"Foreground": _FOREGROUND, "Orphan": _ORPHAN}.get(options.propagation)
        if finalizer and finalizer not in finalizers:
            finalizers.append(finalizer)
        namespace = kind.resource.key == _NAMESPACES
        if (not finalizers and not namespace) or live["metadata"].get("deletionTimestamp"):
            return live
        metadata = {
            **live["metadata"],
            "deletionTimestamp": stamp(self._world.clock()),
            "deletionGracePeriodSeconds": 0,
        }
        if finalizers:
            metadata["finalizers"] = finalizers
        if metadata.get("generation"):
            metadata["generation"] += 1
        marked = {**live, "metadata": metadata}
        if namespace:
            del metadata["deletionGracePeriodSeconds"]
            marked["status"] = {**live.get("status", {}), "phase": "Terminating"}
        return marked

    def _collect_dependents(self, uid: str) -> None:
        """Deletes dependents without another owner, and removes the reference from others."""
        for key, name in self._world.store.owned_by(uid):
            obj = self._world.store.get(key, name)
            if obj is None:
                continue
            if any(r["uid"] != uid and self._owner_exists(r, name[0]) for r in obj["metadata"]["ownerReferences"]):
                self._remove_owner(key, name, obj, uid)
            else:
                self.delete(self._world.registry.preferred(key), name, DeleteOptions())

    def _orphan_dependents(self, uid: str) -> None:
        for key, name in self._world.store.owned_by(uid):
            obj = self._world.store.get(key, name)
            if obj is not None:
                self._remove_owner(key, name, obj, uid)

    def _remove_owner(self, key: CollectionKey, name: Name, obj: Object, uid: str) -> None:
        metadata = {k: v for k, v in obj["metadata"].items() if k != "ownerReferences"}
        references = [r for r in obj["metadata"]["ownerReferences"] if r["uid"] != uid]
        if references:
            metadata["ownerReferences"] = references
        self._world.store.put(key, name, {**obj, "metadata": metadata})

    def _owner_exists(self, reference: Object, namespace: str) -> bool:
        group = reference["apiVersion"].rpartition("/")[0]
        kind = self._world.registry.of_kind(group, reference["kind"])
        if kind is None:
            return False
        name = (namespace if kind.resource.namespaced else "", reference["name"])
        owner = self._world.store.get(kind.resource.key, name)
        return owner is not None and owner["metadata"]["uid"] == reference["uid"]

    def _dependents_gone(self, uid: str) -> bool:
        for key, name in self._world.store.owned_by(uid):
            self.delete(self._world.registry.preferred(key), name, DeleteOptions(propagation="Foreground"))
        return not any(self._blocks(key, name, uid) for key, name in self._world.store.owned_by(uid))

    def _blocks(self, key: CollectionKey, name: Name, uid: str) -> bool:
        obj = self._world.store.get(key, name)
        references = (obj or {"metadata": {}})["metadata"].get("ownerReferences") or ()
        return any(r["uid"] == uid and r.get("blockOwnerDeletion") for r in references)

    def _advance_owners(self, obj: Object) -> None:
        for reference in obj["metadata"].get("ownerReferences") or ():
            group = reference["apiVersion"].rpartition("/")[0]
            kind = self._world.registry.of_kind(group, reference["kind"])
            if kind is not None:
                namespace = obj["metadata"].get("namespace", "") if kind.resource.namespaced else ""
                self.advance(kind.resource.key, (namespace, reference["name"]))
        namespace = obj["metadata"].get("namespace")
        if namespace:
            self.advance(_NAMESPACES, ("", namespace))

    def _empty_namespace(self, namespace: str) -> bool:
        """Deletes the content of a namespace. Returns whether it is empty; False for a nested call."""
        if namespace in self._emptying:
            return False
        self._emptying.add(namespace)
        try:
            for collection in self._world.store.collections():
                if not self._world.registry.served(collection.key):
                    continue
                kind = self._world.registry.preferred(collection.key)
                for name, _ in collection.in_namespace(namespace):
                    obj = collection.objects.get(name)
                    if obj is not None and not obj["metadata"].get("deletionTimestamp"):
                        self.delete(kind, name, DeleteOptions())
        finally:
            self._emptying.discard(namespace)
        return not any(collection.by_namespace.get(namespace) for collection in self._world.store.collections())


def uid_mismatch(expected: str, obj: Object) -> str:
    """The message for a UID precondition that does not match."""
    return f"Precondition failed: UID in precondition: {expected}, UID in object meta: {obj['metadata'].get('uid', '')}"
