"""What a takeover makes of an object's managedFields."""

from __future__ import annotations

import copy
from typing import Any

from driftd.diff.rules.field_managers import built_in_managers
from driftd.model.drift import FieldOwner
from driftd.repair.give_back import giving_patch
from driftd.repair.takeover import takeover_patch
from tests.diff.objects import schema_of

SCHEMA = schema_of("apps/v1", "Deployment")
CONTAINER = 'k:{"name":"web"}'
DECLARED: dict[str, Any] = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "web", "image": "shop/web:1"}]}}},
}  # fmt: skip


def pod(*containers: str) -> dict[str, Any]:
    fields = {f'k:{{"name":"{name}"}}': {".": {}, "f:image": {}, "f:name": {}} for name in containers}
    return {"f:template": {"f:spec": {"f:containers": fields}}}


def live(*entries: dict[str, Any]) -> dict[str, Any]:
    body = copy.deepcopy(DECLARED)
    body["metadata"] |= {
        "resourceVersion": "7",
        "annotations": {"argocd.argoproj.io/tracking-id": "web:apps/Deployment:web/web"},
        "managedFields": list(entries),
    }
    return body


def entry(manager: str, operation: str, spec: dict[str, Any], api_version: str = "apps/v1") -> dict[str, Any]:
    marks = {"f:annotations": {".": {}, "f:argocd.argoproj.io/tracking-id": {}}}
    fields = {"f:metadata": marks, "f:spec": spec}
    return {"manager": manager, "operation": operation, "apiVersion": api_version, "time": "2026-12-01T10:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields}  # fmt: skip


def taken(*entries: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """The entries after a takeover, by manager and operation."""
    [version, *operations] = takeover_patch(live(*entries), DECLARED, [], SCHEMA, built_in_managers())
    assert version == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    document = live(*entries)
    for one in operations:
        if one["path"] == "/metadata/annotations/argocd.argoproj.io~1tracking-id":
            assert one["op"] == "remove"
        elif one["path"] == "/metadata/managedFields":
            document["metadata"]["managedFields"] = one["value"]
        else:
            raise AssertionError(one)
    return {(one["manager"], one["operation"]): one["fieldsV1"] for one in document["metadata"]["managedFields"]}


def test_what_git_declares_of_an_update_is_applied_and_the_rest_stays_an_update() -> None:
    """A sidecar that came with the deployer's request is admission's, and not what Git declared before."""
    after = taken(
        entry("argocd-controller", "Update", {"f:replicas": {}, **pod("web", "sidecar")}),
        entry("kube-controller-manager", "Update", {"f:paused": {}}),
    )
    assert after["driftd", "Apply"]["f:spec"] == {"f:replicas": {}, **pod("web")}
    assert after["driftd", "Update"]["f:spec"] == pod("sidecar")
    assert set(after) == {("driftd", "Apply"), ("driftd", "Update"), ("kube-controller-manager", "Update")}


def test_what_an_apply_owned_stays_applied() -> None:
    """So what Git has dropped is told from what admission adds; what driftd owns already is kept."""
    after = taken(
        entry("argocd-controller", "Apply", pod("web", "dropped")), entry("driftd", "Apply", {"f:replicas": {}})
    )
    assert after["driftd", "Apply"]["f:spec"] == {"f:replicas": {}, **pod("web", "dropped")}


def test_an_entry_of_another_version_makes_all_that_git_declares_driftds() -> None:
    """Its own fields have other names."""
    after = taken(entry("argocd-controller", "Apply", {"f:other": {}}, "apps/v1beta1"))
    assert set(after) == {("driftd", "Apply")}
    assert CONTAINER in after["driftd", "Apply"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert "f:other" not in after["driftd", "Apply"]["f:spec"]


def test_what_driftd_owns_is_given_to_the_deployer() -> None:
    """To its own entry, or to a new one where a hand had taken all of it."""
    argo, ours = entry("argocd-controller", "Apply", pod("web")), entry("driftd", "Apply", {"f:replicas": {}})
    owner = FieldOwner("argocd-controller", "Apply")
    operations = giving_patch(live(argo, ours), owner)
    assert operations[1]["path"] == "/metadata/managedFields"
    [only] = operations[1]["value"]
    assert (only["manager"], only["fieldsV1"]["f:spec"]) == ("argocd-controller", {"f:replicas": {}, **pod("web")})
    assert giving_patch(live(argo), owner) == []
    assert "argocd-controller" in str(giving_patch(live(ours), owner))
