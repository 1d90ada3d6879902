"""Names, labels and annotations. Source: k8s.io/apimachinery/pkg/util/validation, pkg/api/validation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from driftd.sandbox.document import Object
from driftd.sandbox.status import Cause

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
DNS_LABEL = re.compile(_LABEL)
_QUALIFIED_NAME = re.compile(_QUALIFIED)
_LABEL_VALUE = re.compile(rf"({_QUALIFIED})?")

SUBDOMAIN_HELP = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_HELP = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_HELP = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_PART_HELP = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_NAMED = {("", "Namespace"), ("", "Service")}
_PATH_NAMED = "rbac.authorization.k8s.io"
_ANNOTATIONS_LIMIT = 256 * 1024


def metadata_mistakes(group: str, obj: Object, old: Object | None, *, namespaced: bool) -> Iterator[Cause]:
    metadata = obj["metadata"]
    name = metadata.get("name") or ""
    if not name:
        yield Cause.required("metadata.name", "name or generateName is required")
    elif old is None:
        yield from _name(group, obj["kind"], name)
    if namespaced and not metadata.get("namespace"):
        yield Cause.required("metadata.namespace")
    yield from labels(metadata.get("labels") or {}, "metadata.labels")
    yield from _annotations(metadata.get("annotations") or {})
    yield from _owners(metadata.get("ownerReferences") or ())
    for finalizer in metadata.get("finalizers") or ():
        for text in _qualified(finalizer):
            yield Cause.invalid("metadata.finalizers", finalizer, text)
        if "/" not in finalizer and finalizer not in ("orphan", "foregroundDeletion", "kubernetes"):
            yield Cause.invalid(
                "metadata.finalizers", finalizer, "name is neither a standard finalizer name nor is it fully qualified"
            )
    if old is not None:
        yield from _unchanged(metadata, old["metadata"])


def _unchanged(new: Object, old: Object) -> Iterator[Cause]:
    for key in ("name", "namespace", "uid"):
        if new.get(key) != old.get(key):
            yield Cause.invalid(f"metadata.{key}", new.get(key) or "", "field is immutable")
    if old.get("deletionTimestamp"):
        for finalizer in new.get("finalizers") or ():
            if finalizer not in (old.get("finalizers") or ()):
                yield Cause.forbidden(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new finalizers "
                    f'[]string{{"{finalizer}"}}',
                )


def _name(group: str, kind: str, name: str) -> Iterator[Cause]:
    if (group, kind) in _LABEL_NAMED:
        pattern, text, limit = DNS_LABEL, LABEL_HELP, 63
    elif group == _PATH_NAMED:
        if name in (".", ".."):
            yield Cause.invalid("metadata.name", name, f"may not be '{name}'")
        for part in ("/", "%"):
            if part in name:
                yield Cause.invalid("metadata.name", name, f"may not contain '{part}'")
        return
    else:
        pattern, text, limit = _SUBDOMAIN, SUBDOMAIN_HELP, 253
    if len(name) > limit:
        yield Cause.invalid("metadata.name", name, f"must be no more than {limit} characters")
    if not pattern.fullmatch(name):
        yield Cause.invalid("metadata.name", name, text)


def labels(values: dict[str, str], field: str) -> Iterator[Cause]:
    for key, value in sorted(values.items()):
        for text in _qualified(key):
            yield Cause.invalid(field, key, text)
        if len(value) > 63:
            yield Cause.invalid(field, value, "must be no more than 63 bytes")
        if not _LABEL_VALUE.fullmatch(value):
            yield Cause.invalid(field, value, _VALUE_HELP)


def _annotations(values: dict[str, str]) -> Iterator[Cause]:
    for key in sorted(values):
        for text in _qualified(key.lower()):
            yield Cause.invalid("metadata.annotations", key, text)
    if sum(len(key) + len(value.encode()) for key, value in values.items()) > _ANNOTATIONS_LIMIT:
        yield Cause(
            "FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes", "metadata.annotations"
        )


def _qualified(key: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        yield f"prefix part {SUBDOMAIN_HELP}"
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 bytes"
    if not _QUALIFIED_NAME.fullmatch(name):
        yield _NAME_PART_HELP


def _owners(references: Any) -> Iterator[Cause]:
    for index, reference in enumerate(references):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(key):
                yield Cause.invalid(f"metadata.ownerReferences[{index}].{key}", "", f"{key} must not be empty")
