"""What a client asks about itself: who it is, and what it may do. All is allowed, unless a fault forbids it."""

from __future__ import annotations

from driftd.sandbox.document import Object
from driftd.sandbox.faults import USER, Faults
from driftd.sandbox.status import bad_request

_GROUPS = ["system:masters", "system:authenticated"]


def review(plural: str, faults: Faults, body: Object) -> Object:
    """The review with its status. Raises: ApiError (400): it does not say what is asked."""
    match plural:
        case "selfsubjectreviews":
            return {**body, "status": {"userInfo": {"username": USER, "groups": _GROUPS}}}
        case "selfsubjectrulesreviews":
            return {**body, "status": _rules(body, faults)}
        case _:
            return {**body, "status": {"allowed": _allowed(body, faults)}}


def _allowed(body: Object, faults: Faults) -> bool:
    spec = body.get("spec") or {}
    attributes = spec.get("resourceAttributes")
    if attributes is None and spec.get("nonResourceAttributes") is None:
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    return attributes is None or faults.allows(attributes.get("verb", "*"), attributes.get("resource", "*"))


def _rules(body: Object, faults: Faults) -> Object:
    """The rules of an administrator; incomplete where a fault forbids something, which rules cannot say."""
    if not (body.get("spec") or {}).get("namespace"):
        raise bad_request("no namespace on request")
    return {
        "resourceRules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        "nonResourceRules": [{"nonResourceURLs": ["*"], "verbs": ["*"]}],
        "incomplete": faults.forbids_any,
    }
