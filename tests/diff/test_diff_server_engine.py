"""With the server engine, the API server's dry-run answer decides which declared fields differ."""

from __future__ import annotations

import copy

from tests.diff.objects import (
    DEPLOYMENT,
    JsonObject,
    changed_manually,
    deployed,
    deployment,
    drifts,
    owned,
    pod_spec,
    schema_of,
)

SCHEMA = schema_of(*DEPLOYMENT)


def _without(live: JsonObject) -> JsonObject:
    """The server's answer to a dry-run, in which fields with declared zero values are absent."""
    answer = copy.deepcopy(live)
    pod_spec(answer).pop("hostNetwork", None)
    pod_spec(answer).pop("tolerations", None)
    pod_spec(answer)["containers"][0].pop("tty", None)
    return answer


def test_a_declared_zero_value_that_was_set_manually_is_drift() -> None:
    """The server drops `false` and an empty list: its answer does not have the field, and live has it."""
    desired = deployment(tty=False)
    pod_spec(desired).update({"hostNetwork": False, "tolerations": []})
    live = _without(deployed(desired, SCHEMA))
    assert drifts(desired, live, SCHEMA, dry_run=live) == []
    after = changed_manually(live, owned("f:spec", "f:template", "f:spec", "f:hostNetwork"))
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


def test_what_an_apply_would_not_change_is_in_sync() -> None:
    """The server's answer includes what its schema does not: in this case, a webhook sets the image."""
    live = deployed(deployment(), SCHEMA)
    pod_spec(live)["containers"][0]["image"] = "mirror/nginx:1.25"
    assert drifts(deployment(), live, SCHEMA, dry_run=live) == []
    assert drifts(deployment(), live, SCHEMA) == [("spec.template.spec.containers[name=web].image", "changed")]
