"""The `scale` subresource: an object's replicas as a Scale object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from driftd.sandbox.document import Object
from driftd.sandbox.fields.fieldset import path_of, path_text
from driftd.sandbox.fields.ownership import FieldConflict, MergeError, Merger
from driftd.sandbox.fields.scale import to_parent, to_scale
from driftd.sandbox.patch import json_patch, merge_patch
from driftd.sandbox.reads import Reads
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.resources.strategic import strategic_merge
from driftd.sandbox.status import MODIFIED, Cause, apply_conflict, bad_request, conflict, invalid
from driftd.sandbox.store import Name
from driftd.sandbox.world import World
from driftd.sandbox.writes import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, WriteOptions, Writes

_SCALE = "io.k8s.api.autoscaling.v1.Scale"
_VERSION = "autoscaling/v1"


class Scaling:
    """Reads and writes the Scale of objects."""

    def __init__(self, world: World, reads: Reads, writes: Writes) -> None:
        self._world = world
        self._reads = reads
        self._writes = writes

    def get(self, kind: Kind, name: Name) -> Object:
        obj = self._reads.get(kind, name)
        paths = kind.scale
        assert paths is not None, "only kinds with a scale are routed here"  # noqa: S101 - for the type checker
        metadata = {
            key: obj["metadata"][key]
            for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if key in obj["metadata"]
        }
        status: Object = {"replicas": _at(obj, paths.status) or 0}
        selector = _at(obj, paths.selector) if paths.selector else None
        if selector:
            status["selector"] = selector if isinstance(selector, str) else _selector_text(selector)
        replicas = _at(obj, paths.replicas)
        spec = {"replicas": replicas} if replicas else {}
        return {"kind": "Scale", "apiVersion": _VERSION, "metadata": metadata, "spec": spec, "status": status}

    def update(self, kind: Kind, name: Name, scale: Object, options: WriteOptions) -> Object:
        live = self._live(kind, name)
        new = self._decoded(scale)
        new = self._merger().update(live, new, options.manager, self._world.clock())
        return self._write(kind, name, live, new, options)

    def patch(self, kind: Kind, name: Name, media_type: str, patch: Any, options: WriteOptions) -> Object:
        live = self._live(kind, name)
        if media_type == APPLY_PATCH:
            return self._write(kind, name, live, self._applied(live, patch, options), options)
        schemas = self._world.registry.builtin.schemas
        if media_type == JSON_PATCH:
            new = json_patch(live, patch)
        elif media_type == MERGE_PATCH:
            new = merge_patch(live, patch)
        else:
            new = strategic_merge(live, patch, schemas, _SCALE)
        return self._write(
            kind, name, live,
            self._merger().update(live, self._decoded(new), options.manager, self._world.clock()), options,
        )  # fmt: skip

    def _applied(self, live: Object, config: Object, options: WriteOptions) -> Object:
        try:
            return self._merger().apply(live, config, options.manager, self._world.clock(), force=options.force)
        except FieldConflict as error:
            causes = [
                {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path_text(path)}
                for manager, path in error.conflicts
            ]
            raise apply_conflict(str(error), causes) from error
        except MergeError as error:
            raise bad_request(str(error)) from error

    def _live(self, kind: Kind, name: Name) -> Object:
        scale = self.get(kind, name)
        assert kind.scale is not None  # noqa: S101 - for the type checker
        owners = to_scale(self._reads.get(kind, name)["metadata"].get("managedFields"), path_of(*kind.scale.replicas))
        return {**scale, "metadata": {**scale["metadata"], "managedFields": owners}}

    def _write(self, kind: Kind, name: Name, live: Object, new: Object, options: WriteOptions) -> Object:
        resource = kind.resource
        paths = kind.scale
        assert paths is not None  # noqa: S101 - for the type checker
        version = new["metadata"].get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise conflict(resource.group, resource.plural, name[1], MODIFIED)
        replicas = new["spec"].get("replicas", 0)
        if replicas < 0:
            cause = Cause.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid("autoscaling", "Scale", name[1], [cause])

        def change(obj: Object) -> Object:
            changed = _with(obj, paths.replicas, replicas)
            owners = to_parent(
                obj["metadata"].get("managedFields"), new["metadata"].get("managedFields"),
                path_of(*paths.replicas), resource.api_version,
            )  # fmt: skip
            return {**changed, "metadata": {**changed["metadata"], "managedFields": owners}}

        self._writes.replace_owned(kind, name, change, replace(options, subresource="scale"))
        scale = self.get(kind, name)
        return _with(scale, ("spec",), new["spec"]) if options.dry_run else scale

    def _decoded(self, scale: Object) -> Object:
        return self._world.registry.builtin.codec.decode(_SCALE, scale)[0]

    def _merger(self) -> Merger:
        types = self._world.registry.builtin.types
        return Merger(
            type_of=lambda version: types.ref(_SCALE) if version == _VERSION else None,
            api_version=_VERSION,
            subresource="scale",
            decode=self._decoded,
        )


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _with(obj: Object, path: tuple[str, ...], value: Any) -> Object:
    if len(path) == 1:
        return {**obj, path[0]: value}
    return {**obj, path[0]: _with(obj.get(path[0]) or {}, path[1:], value)}


def _selector_text(selector: Object) -> str:
    """A LabelSelector (or the plain map of older kinds) as a query string."""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or ():
        values = ",".join(sorted(term.get("values") or ()))
        terms.append(
            {
                "In": f"{term['key']} in ({values})",
                "NotIn": f"{term['key']} notin ({values})",
                "Exists": term["key"],
                "DoesNotExist": f"!{term['key']}",
            }[term["operator"]]
        )
    return ",".join(terms)
