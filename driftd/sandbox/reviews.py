"""SelfSubjectAccessReviews: everything is allowed, unless a fault forbids it."""

from __future__ import annotations

from driftd.sandbox.document import Object
from driftd.sandbox.faults import Faults
from driftd.sandbox.status import bad_request


def review(faults: Faults, body: Object) -> Object:
    """The review with its status. Raises: ApiError (400): it has no attributes."""
    spec = body.get("spec") or {}
    attributes = spec.get("resourceAttributes")
    if attributes is None and spec.get("nonResourceAttributes") is None:
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    allowed = attributes is None or faults.allows(attributes.get("verb", "*"), attributes.get("resource", "*"))
    return {**body, "status": {"allowed": allowed}}
