"""The verbs create, update, patch and apply. A write does not yield to the event loop, so it is atomic."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from driftd.sandbox.deletion import Deletion, uid_mismatch
from driftd.sandbox.document import Object
from driftd.sandbox.fields.comparing import same
from driftd.sandbox.fields.fieldset import path_text
from driftd.sandbox.fields.ownership import FieldConflict, MergeError
from driftd.sandbox.patch import json_patch, merge_patch
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.resources.registry import CRDS
from driftd.sandbox.resources.structural import has_rules
from driftd.sandbox.status import (
    MODIFIED,
    ApiError,
    Cause,
    already_exists,
    apply_conflict,
    bad_request,
    conflict,
    forbidden,
    internal,
    invalid,
    not_found,
    unsupported_media_type,
)  # fmt: skip
from driftd.sandbox.store import Name
from driftd.sandbox.strategy import prepare_create, prepare_update, random_suffixes
from driftd.sandbox.world import World

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The query parameters of a write."""

    manager: str = "unknown"
    dry_run: bool = False
    validation: str = "Warn"
    """The handling of unknown fields: Ignore, Warn or Strict."""
    force: bool = False
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class WriteResult:
    obj: Object
    created: bool = False
    warnings: tuple[str, ...] = ()


class Writes:
    """Creates and updates objects of a world."""

    def __init__(self, world: World, deletion: Deletion) -> None:
        self._world = world
        self._deletion = deletion
        self._suffixes = random_suffixes()

    def create(self, kind: Kind, namespace: str, body: Object, options: WriteOptions) -> WriteResult:
        body = _in_namespace(kind, body, namespace)
        obj, warnings = self._decoded(kind, body, options)
        return WriteResult(
            self._insert(kind, namespace, obj, options, owned=False), True, warnings + _unevaluated_rules(kind, obj)
        )

    def update(self, kind: Kind, name: Name, body: Object, options: WriteOptions) -> WriteResult:
        resource = kind.resource
        body = _in_namespace(kind, body, name[0])
        name_in_body = (body.get("metadata") or {}).get("name")
        if name_in_body and name_in_body != name[1]:
            raise bad_request(f"the name of the object ({name_in_body}) does not match the name on the URL ({name[1]})")
        live = self._world.store.get(resource.key, name)
        if live is None:
            raise not_found(resource.group, resource.plural, name[1])
        new, warnings = self._decoded(kind, body, options)
        if resource.custom and not options.subresource and not new["metadata"].get("resourceVersion"):
            raise invalid(
                resource.group, resource.plural, name[1],
                [Cause.invalid("metadata.resourceVersion", 0, "must be specified for an update")],
            )  # fmt: skip
        self._check_version(kind, new, live)
        new = kind.merger(options.subresource).update(
            self._versioned(kind, live), new, options.manager, self._world.clock()
        )
        return WriteResult(self._replace(kind, name, new, live, options), False, warnings)

    def patch(self, kind: Kind, name: Name, media_type: str, patch: Any, options: WriteOptions) -> WriteResult:
        """Raises: ApiError (415): an unsupported type of patch."""
        if media_type == APPLY_PATCH:
            return self._apply(kind, name, patch, options)
        resource = kind.resource
        stored = self._world.store.get(resource.key, name)
        if stored is None:
            raise not_found(resource.group, resource.plural, name[1])
        live = self._versioned(kind, stored)
        patched = self._patched(kind, live, media_type, patch)
        if not isinstance(patched, dict):
            raise bad_request("the patch does not leave an object")
        patched = {**patched, "apiVersion": live["apiVersion"], "kind": live["kind"]}
        new, warnings = self._decoded(kind, patched, options, patched=True)
        self._check_version(kind, new, stored)
        new = kind.merger(options.subresource).update(live, new, options.manager, self._world.clock())
        return WriteResult(self._replace(kind, name, new, stored, options), False, warnings)

    def replace_with(self, kind: Kind, name: Name, change: Callable[[Object], Object], options: WriteOptions) -> Object:
        """A controller's update: `change` maps the live object to the new one."""
        live = self._world.store.get(kind.resource.key, name)
        if live is None:
            raise not_found(kind.resource.group, kind.resource.plural, name[1])
        new, _ = kind.decode(change(live))
        new = kind.merger(options.subresource).update(live, new, options.manager, self._world.clock())
        return self._replace(kind, name, new, live, options)

    def replace_owned(
        self, kind: Kind, name: Name, change: Callable[[Object], Object], options: WriteOptions
    ) -> Object:
        """Like `replace_with`, but `change` also sets managedFields."""
        live = self._world.store.get(kind.resource.key, name)
        if live is None:
            raise not_found(kind.resource.group, kind.resource.plural, name[1])
        return self._replace(kind, name, kind.decode(change(live))[0], live, options)

    def _patched(self, kind: Kind, live: Object, media_type: str, patch: Any) -> Any:
        if media_type == JSON_PATCH:
            return json_patch(live, patch)
        if not isinstance(patch, dict):
            raise bad_request("error decoding patch: a merge patch is an object")
        if media_type == MERGE_PATCH:
            return merge_patch(live, patch)
        merged = kind.strategic_merge(live, patch) if media_type == STRATEGIC_PATCH else None
        if merged is None:
            raise unsupported_media_type([p for p in PATCHES if p != STRATEGIC_PATCH])
        return merged

    def _apply(self, kind: Kind, name: Name, config: Any, options: WriteOptions) -> WriteResult:
        resource = kind.resource
        config = self._check_config(kind, name, config)
        stored = self._world.store.get(resource.key, name)
        if stored is None and options.subresource:
            raise not_found(resource.group, resource.plural, name[1])
        live = self._versioned(kind, stored) if stored is not None else kind.empty()
        uid = config["metadata"].get("uid")
        if uid and stored is None:
            message = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(resource.group, resource.plural, name[1], message)
        if uid and uid != live["metadata"].get("uid"):
            raise conflict(resource.group, resource.plural, name[1], uid_mismatch(uid, live))
        try:
            new = kind.merger(options.subresource).apply(
                live, config, options.manager, self._world.clock(), force=options.force
            )
        except FieldConflict as error:
            raise apply_conflict(
                str(error),
                [
                    {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path_text(path)}
                    for manager, path in error.conflicts
                ],
            ) from error
        except MergeError as error:
            raise (bad_request(str(error)) if error.bad_request else _unmergeable(str(error))) from error
        warnings = self._config_warnings(kind, config, options)
        if stored is None:
            new = _in_namespace(kind, new, name[0])
            obj = self._insert(kind, name[0], new, options, owned=True)
            return WriteResult(obj, True, warnings + _unevaluated_rules(kind, obj))
        self._check_version(kind, new, stored)
        return WriteResult(self._replace(kind, name, new, stored, options), False, warnings)

    def _check_config(self, kind: Kind, name: Name, config: Any) -> Object:
        resource = kind.resource
        if not isinstance(config, dict):
            raise bad_request("error decoding YAML: the configuration is not an object")
        for key in ("apiVersion", "kind"):
            if not config.get(key):
                raise bad_request(f"invalid object type: {key} is missing")
        if (config["apiVersion"], config["kind"]) != (resource.api_version, resource.kind):
            raise bad_request(
                f"invalid object type: /{config['apiVersion']}, Kind={config['kind']}"
                if "/" not in config["apiVersion"]
                else f"invalid object type: {config['apiVersion']}, Kind={config['kind']}"
            )
        metadata = dict(_in_namespace(kind, config, name[0])["metadata"])
        if "namespace" not in (config.get("metadata") or {}):
            metadata.pop("namespace", None)  # from the URL, not from the applier: it is not written into last-applied
        if metadata.get("name") and metadata["name"] != name[1]:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name[1]})"
            )
        metadata["name"] = name[1]
        return {**config, "metadata": metadata}

    def _insert(self, kind: Kind, namespace: str, obj: Object, options: WriteOptions, *, owned: bool) -> Object:
        resource, metadata = kind.resource, obj["metadata"]
        if metadata.get("resourceVersion"):
            raise internal_version()
        if not metadata.get("name") and metadata.get("generateName"):
            obj = {**obj, "metadata": {**metadata, "name": f"{metadata['generateName'][:58]}{next(self._suffixes)}"}}
            obj = kind.decode(obj)[0]
        self._check_namespace(kind, namespace, obj["metadata"].get("name") or "")
        if not owned:
            obj = kind.merger(options.subresource).update(kind.empty(), obj, options.manager, self._world.clock())
        obj = prepare_create(kind, obj, self._world.clock(), self._world.addresses)
        name = (namespace if resource.namespaced else "", obj["metadata"].get("name") or "")
        self._check(kind, obj, None)
        if self._world.store.get(resource.key, name) is not None:
            raise already_exists(resource.group, resource.plural, name[1])
        return obj if options.dry_run else self._world.store.put(resource.key, name, self._stored(kind, obj))

    def _replace(self, kind: Kind, name: Name, new: Object, live: Object, options: WriteOptions) -> Object:
        before = self._versioned(kind, live)
        new = prepare_update(kind, new, before, options.subresource, self._world.addresses)
        self._check(kind, new, before)
        if _unchanged(new, before):
            return before
        if options.dry_run:
            return {**new, "metadata": {**new["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}}
        if new["metadata"].get("deletionTimestamp") and not self._deletion.has_finalizers(new):
            return self._versioned(kind, self._deletion.remove(kind, name, new))
        return self._versioned(kind, self._world.store.put(kind.resource.key, name, self._stored(kind, new)))

    def _stored(self, kind: Kind, obj: Object) -> Object:
        preferred = self._world.registry.preferred(kind.resource.key).resource.api_version
        return obj if obj["apiVersion"] == preferred else {**obj, "apiVersion": preferred}

    def _versioned(self, kind: Kind, obj: Object) -> Object:
        version = kind.resource.api_version
        return obj if obj["apiVersion"] == version else {**obj, "apiVersion": version}

    def _decoded(
        self, kind: Kind, body: Object, options: WriteOptions, *, patched: bool = False
    ) -> tuple[Object, tuple[str, ...]]:
        obj, unknown = kind.decode(body)
        return obj, self._unknown_field_warnings(kind, unknown, options, patched=body if patched else None)

    def _config_warnings(self, kind: Kind, config: Object, options: WriteOptions) -> tuple[str, ...]:
        return self._unknown_field_warnings(kind, kind.decode(config)[1], options)

    def _unknown_field_warnings(
        self, kind: Kind, unknown: list[str], options: WriteOptions, *, patched: Object | None = None
    ) -> tuple[str, ...]:
        """Warnings about unknown fields. Raises: ApiError: with Strict, 422 for a patch and 400 otherwise."""
        if not unknown or options.validation == "Ignore":
            return ()
        texts = [f'unknown field "{field}"' for field in sorted(unknown)]
        if options.validation != "Strict":
            return tuple(texts)
        message = f"strict decoding error: {', '.join(texts)}"
        if patched is not None:
            text = json.dumps(patched, separators=(",", ":"), ensure_ascii=False)
            raise invalid("", "", "", [Cause.invalid("patch", text, message)])
        resource = kind.resource
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {message}'
        )

    def _check(self, kind: Kind, obj: Object, old: Object | None) -> None:
        causes = kind.mistakes(obj, old)
        if causes:
            resource = kind.resource
            raise invalid(resource.group, resource.kind, obj["metadata"].get("name") or "", causes)

    def _check_version(self, kind: Kind, new: Object, live: Object) -> None:
        version, resource = new["metadata"].get("resourceVersion"), kind.resource
        if version and version != live["metadata"]["resourceVersion"]:
            raise conflict(resource.group, resource.plural, live["metadata"]["name"], MODIFIED)
        uid = new["metadata"].get("uid")
        if uid and uid != live["metadata"]["uid"]:
            raise conflict(resource.group, resource.plural, live["metadata"]["name"], uid_mismatch(uid, live))

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.resource.namespaced:
            return
        stored = self._world.store.get(("", "namespaces"), ("", namespace))
        if stored is None:
            raise not_found("", "namespaces", namespace)
        if stored["metadata"].get("deletionTimestamp"):
            error = forbidden(
                kind.resource.group, kind.resource.plural, name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
            )  # fmt: skip
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            error.details = {**(error.details or {}), "causes": [cause]}
            raise error


def _in_namespace(kind: Kind, body: Object, namespace: str) -> Object:
    """The object with the namespace of the URL. Raises: ApiError (400): the object has another one."""
    metadata = body.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    if kind.resource.namespaced:
        if metadata.get("namespace") and metadata["namespace"] != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    return {**body, "metadata": metadata}


def _unchanged(new: Object, old: Object) -> bool:
    """Whether only the times of managedFields differ, in which case nothing is written."""

    def without_times(obj: Object) -> Object:
        metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
        if metadata.get("managedFields"):
            metadata["managedFields"] = [
                {key: value for key, value in entry.items() if key != "time"} for entry in metadata["managedFields"]
            ]
        return {**obj, "metadata": metadata}

    return same(without_times(new), without_times(old))


def _unevaluated_rules(kind: Kind, obj: Object) -> tuple[str, ...]:
    """A warning for a definition with CEL rules, which the sandbox does not evaluate."""
    if kind.resource.key != CRDS or not has_rules(obj["spec"]):
        return ()
    return ("the sandbox does not evaluate the schema's x-kubernetes-validations",)


def _unmergeable(message: str) -> ApiError:
    return ApiError(500, "", message)


def internal_version() -> ApiError:
    return internal("resourceVersion should not be set on objects to be created")
