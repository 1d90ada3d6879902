"""Label and field selectors. Source: k8s.io/apimachinery/pkg/{labels,fields}."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from driftd.sandbox.document import Object
from driftd.sandbox.status import ApiError, bad_request

Match = Callable[[Object], bool]

_SET = re.compile(r"^\s*(?P<key>[^\s!=<>(),]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*$")
_COMPARE = re.compile(r"^\s*(?P<key>[^\s!=<>(),]+)\s*(?P<op>==|=|!=|>|<)\s*(?P<value>[^\s!=<>(),]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<no>!?)\s*(?P<key>[^\s!=<>(),]+)\s*$")
_SPLIT = re.compile(r",(?![^(]*\))")

_FIELDS: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("", "Pod"): {
        "spec.nodeName": ("spec", "nodeName"),
        "spec.restartPolicy": ("spec", "restartPolicy"),
        "spec.schedulerName": ("spec", "schedulerName"),
        "spec.serviceAccountName": ("spec", "serviceAccountName"),
        "status.phase": ("status", "phase"),
        "status.podIP": ("status", "podIP"),
    },
    ("", "Event"): {
        "involvedObject.kind": ("involvedObject", "kind"),
        "involvedObject.namespace": ("involvedObject", "namespace"),
        "involvedObject.name": ("involvedObject", "name"),
        "involvedObject.uid": ("involvedObject", "uid"),
        "involvedObject.apiVersion": ("involvedObject", "apiVersion"),
        "involvedObject.fieldPath": ("involvedObject", "fieldPath"),
        "reason": ("reason",),
        "type": ("type",),
        "reportingComponent": ("reportingComponent",),
        "source": ("source", "component"),
    },
    ("", "Secret"): {"type": ("type",)},
    ("", "Namespace"): {"status.phase": ("status", "phase")},
    ("", "Node"): {"spec.unschedulable": ("spec", "unschedulable")},
    ("apps", "ReplicaSet"): {"status.replicas": ("status", "replicas")},
    ("batch", "Job"): {"status.successful": ("status", "succeeded")},
}


def label_selector(text: str) -> Match | None:
    """A predicate on objects; None for an empty selector. Raises: ApiError (400)."""
    requirements = [_requirement(part) for part in _SPLIT.split(text) if part.strip()]
    if not requirements:
        return None
    return lambda obj: _all(requirements, obj["metadata"].get("labels") or {})


def _all(requirements: list[Callable[[dict[str, str]], bool]], labels: dict[str, str]) -> bool:
    return all(requirement(labels) for requirement in requirements)


def _requirement(text: str) -> Callable[[dict[str, str]], bool]:
    if match := _SET.match(text):
        key, values = match["key"], {value.strip() for value in match["values"].split(",")}
        if match["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _COMPARE.match(text):
        key, operator, value = match["key"], match["op"], match["value"]
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        if operator in ("=", "=="):
            return lambda labels: labels.get(key) == value
        return _ordered(key, operator, value)
    if match := _EXISTS.match(text):
        key, present = match["key"], not match["no"]
        return lambda labels: (key in labels) == present
    raise bad_request(f"unable to parse requirement: {text.strip()!r}")


def _ordered(key: str, operator: str, value: str) -> Callable[[dict[str, str]], bool]:
    try:
        bound = int(value)
    except ValueError as error:
        raise bad_request(f"for 'Gt', 'Lt' operators, the value must be an integer: {value!r}") from error

    def compare(labels: dict[str, str]) -> bool:
        try:
            number = int(labels[key])
        except (KeyError, ValueError):
            return False
        return number > bound if operator == ">" else number < bound

    return compare


def field_selector(text: str, group: str, kind: str, extra: dict[str, tuple[str, ...]] | None = None) -> Match | None:
    """A predicate on objects of a kind. Raises: ApiError (400): the kind does not support that field."""
    paths = {
        "metadata.name": ("metadata", "name"),
        "metadata.namespace": ("metadata", "namespace"),
        **_FIELDS.get((group, kind), {}),
        **(extra or {}),
    }
    terms: list[tuple[tuple[str, ...], str, bool]] = []
    for part in text.split(","):
        if not part.strip():
            continue
        match = re.match(r"^(.*?)(==|!=|=)(.*)$", part.strip())
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        if match[1] not in paths:
            raise unsupported_field(match[1])
        terms.append((paths[match[1]], match[3], match[2] != "!="))
    if not terms:
        return None
    return lambda obj: all((_field(obj, path) == value) == equal for path, value, equal in terms)


def unsupported_field(name: str) -> ApiError:
    return bad_request(f"field label not supported: {name}")


def selected_name(text: str) -> str | None:
    """The only name that a field selector allows, so that the object can be looked up by name."""
    match = re.fullmatch(r"metadata\.name==?([^,]+)", text.strip())
    return match[1] if match else None


def _field(obj: Object, path: tuple[str, ...]) -> str:
    value: Any = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def matches_labels(selector: Object | None, labels: dict[str, str] | None) -> bool:
    """Whether labels match a LabelSelector object. None selects nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for term in selector.get("matchExpressions") or ():
        present, value, values = term["key"] in labels, labels.get(term["key"]), term.get("values") or []
        met = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": present,
            "DoesNotExist": not present,
        }[term["operator"]]
        if not met:
            return False
    return True
