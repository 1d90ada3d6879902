"""Where the API server says what applying a manifest would make of the object, that decides of what Git declares."""

from __future__ import annotations

import copy

from tests.diff.objects import (
    DEPLOYMENT,
    JsonObject,
    by_hand,
    deployed,
    deployment,
    drifts,
    owned,
    pod_spec,
    schema_of,
)

SCHEMA = schema_of(*DEPLOYMENT)


def _without(live: JsonObject) -> JsonObject:
    """The server's answer to a dry-run: what applying the declared zero value makes of it is no field at all."""
    answer = copy.deepcopy(live)
    pod_spec(answer).pop("hostNetwork", None)
    pod_spec(answer).pop("tolerations", None)
    pod_spec(answer)["containers"][0].pop("tty", None)
    return answer


def test_what_is_declared_as_nothing_and_was_set_by_hand_is_drift() -> None:
    """The server drops `false` and an empty list: its answer does not have the field, and live has it."""
    desired = deployment(tty=False)
    pod_spec(desired).update({"hostNetwork": False, "tolerations": []})
    live = _without(deployed(desired, SCHEMA))
    assert drifts(desired, live, SCHEMA, dry_run=live) == []
    after = by_hand(live, owned("f:spec", "f:template", "f:spec", "f:hostNetwork"))
    pod_spec(after)["hostNetwork"] = True
    pod_spec(after)["tolerations"] = [{"operator": "Exists"}]
    pod_spec(after)["containers"][0]["tty"] = True
    expected = [
        ("spec.template.spec.containers[name=web].tty", "changed"),
        ("spec.template.spec.hostNetwork", "changed"),
        ("spec.template.spec.tolerations", "changed"),
    ]
    assert drifts(desired, after, SCHEMA, dry_run=_without(after)) == expected
    assert drifts(desired, after, SCHEMA) == expected


def test_what_an_apply_would_leave_as_it_is_is_in_sync() -> None:
    """The server knows what its schema does not tell: here, that a webhook sets the image."""
    live = deployed(deployment(), SCHEMA)
    pod_spec(live)["containers"][0]["image"] = "mirror/nginx:1.25"
    assert drifts(deployment(), live, SCHEMA, dry_run=live) == []
    assert drifts(deployment(), live, SCHEMA) == [("spec.template.spec.containers[name=web].image", "changed")]
