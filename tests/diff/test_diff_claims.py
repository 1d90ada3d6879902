"""Whose a live object is, by the marks of deployers that write without being asked."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.claims import claim_on
from driftd.diff.rules.field_managers import built_in_managers
from driftd.model.claim import Claim

MANAGERS = built_in_managers()
TRACKING = "argocd.argoproj.io/tracking-id"
DECLARED = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"a": "1"}}


def entry(manager: str, *keys: str, operation: str = "Apply", annotation: str | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:data": {f"f:{key}": {} for key in keys}} if keys else {}
    if annotation is not None:
        fields["f:metadata"] = {"f:annotations": {f"f:{annotation}": {}}}
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}


def live(*entries: dict[str, Any], labels: Any = None, annotations: Any = None) -> dict[str, Any]:
    metadata = {"name": "web", "labels": labels or {}, "annotations": annotations or {}, "managedFields": list(entries)}
    return {**DECLARED, "metadata": metadata}


@pytest.mark.parametrize(
    ("mark", "by"),
    [
        ("web:/ConfigMap:web/web", "application web"),
        ("argocd_web:/ConfigMap:web/web", "application argocd/web"),
        ("team-a_shop:apps/Deployment:web/web", "application team-a/shop"),
    ],
)
def test_an_application_is_named_by_its_mark(mark: str, by: str) -> None:
    """Of an Application in a namespace of its own, too."""
    body = live(entry("argocd-controller", "a", annotation=TRACKING), annotations={TRACKING: mark})
    assert claim_on(DECLARED, body, MANAGERS) == Claim("Argo CD", by)


@pytest.mark.parametrize("manager", ["kubectl-annotate", "kubectl-edit", "kubectl", "k9s", "driftd"])
def test_a_mark_that_a_person_has_put_on_says_nothing(manager: str) -> None:
    """Neither is one that driftd wrote, since Git declares it."""
    hand = entry(manager, operation="Update", annotation=TRACKING)
    body = live(entry("driftd", "a"), hand, annotations={TRACKING: "web:/ConfigMap:web/web"})
    assert claim_on(DECLARED, body, MANAGERS) is None


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry("before-first-apply", "a", operation="Update", annotation=TRACKING)],
        [entry("argocd-controller", "a"), entry("kubectl-edit", operation="Update", annotation=TRACKING)],
    ],
    ids=["no-managed-fields", "before-the-first-apply", "over-written-by-a-hand"],
)
def test_a_mark_that_nobody_else_is_known_to_have_put_on_counts(entries: list[dict[str, Any]]) -> None:
    """Who takes it for nobody's would fight with the deployer."""
    body = live(*entries, annotations={TRACKING: "web:/ConfigMap:web/web"})
    assert claim_on(DECLARED, body, MANAGERS) == Claim("Argo CD", "application web")


def test_a_common_label_is_argo_cds_only_where_argo_cd_wrote() -> None:
    """Charts and people use it, too."""
    labels = {"app.kubernetes.io/instance": "web"}
    assert claim_on(DECLARED, live(entry("pipeline", "a"), labels=labels), MANAGERS) is None
    assert claim_on(DECLARED, live(labels=labels), MANAGERS) is None
    by_argo = live(entry("argocd-controller", "a", operation="Update"), labels=labels)
    assert claim_on(DECLARED, by_argo, MANAGERS) == Claim("Argo CD", "application web")


def test_a_mark_that_git_declares_is_gits() -> None:
    """A manifest that was exported from a cluster with the marks of its deployer, and is applied by something else."""
    marks = {"kluctl.io/discriminator": "web"}
    declared = {**DECLARED, "metadata": {"name": "web", "labels": marks}}
    assert claim_on(declared, live(entry("pipeline", "a"), labels=marks), MANAGERS) is None
    assert claim_on(declared, live(entry("kluctl", "a"), labels=marks), MANAGERS) == Claim(
        "kluctl", "discriminator web"
    )


def test_what_a_deployers_controller_owns_is_its_own_without_a_mark() -> None:
    """Argo CD tracks by a label of one's own. A restart that it made for somebody in its page is no deployment."""
    assert claim_on(DECLARED, live(entry("argocd-controller", "a")), MANAGERS) == Claim("Argo CD")
    assert claim_on(DECLARED, live(entry("argocd-controller", "b")), MANAGERS) is None
    assert claim_on(DECLARED, live(entry("argocd-server", "a")), MANAGERS) is None


def test_a_controllers_own_kinds_are_whose_they_are() -> None:
    """Argo CD writes into every Application, and Flux into every Kustomization, whoever deploys it."""
    application = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "web", "labels": {"app.kubernetes.io/instance": "web"}}, "spec": {"project": "default"},
    }  # fmt: skip
    written = {"f:spec": {"f:project": {}}, "f:status": {"f:sync": {}}, "f:metadata": {"f:labels": {".": {}}}}
    body = {**application, "metadata": {**application["metadata"], "managedFields": [
        {"manager": "argocd-application-controller", "operation": "Update", "fieldsV1": written}]}}  # fmt: skip
    assert claim_on(application, body, MANAGERS) is None


@pytest.mark.parametrize("manager", ["kubectl", "kubectl-client-side-apply", "helm", "pulumi-kubernetes", "Terraform"])
def test_who_writes_when_somebody_runs_it_claims_nothing(manager: str) -> None:
    """Helm's marks, and those of an ApplySet of kubectl."""
    marks = {"app.kubernetes.io/managed-by": "Helm", "applyset.kubernetes.io/part-of": "applyset-x-v1"}
    body = live(entry(manager, "a"), labels=marks, annotations={"meta.helm.sh/release-name": "web"})
    assert claim_on(DECLARED, body, MANAGERS) is None


def test_every_deployer_that_claims_is_named() -> None:
    """Each group of marks is one by which its row's deployer knows its objects, so that it is nobody's drift."""
    for row in MANAGERS.deployers:
        for group in row.claims:
            assert group
            assert row.product
            assert all(path.startswith(("metadata.labels[", "metadata.annotations[")) for path in group)
