"""Who put something back, and for how long it was so, told from the versions that an object had."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from driftd.attribution.put_back import PutBack
from driftd.attribution.reverted import _seconds
from driftd.diff.rules.field_managers import built_in_managers
from driftd.kube.cached_object import CachedObject
from driftd.live.version_log import SeenVersion
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.resource import ResourceRef
from driftd.model.reverted import RevertedEdit, summary

REF = ResourceRef("apps", "Deployment", "shop", "web")
T0 = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
REPLICAS = FieldDrift(("spec", "replicas"), Change.CHANGED, 1, 3, ("spec", "replicas"), FieldOwner("kubectl", "Update"))
IMAGE = replace(REPLICAS, path=("spec", "image"))
IN_SYNC = Verdict(REF, "apps/v1", Status.IN_SYNC)


def drifted(*fields: FieldDrift) -> Verdict:
    return Verdict(REF, "apps/v1", Status.DRIFTED, fields=fields)


def versions(*managers: str) -> list[SeenVersion]:
    """Versions, each after a write of another manager; the first one is before them."""
    entries: list[dict[str, Any]] = []
    made = []
    for number, manager in enumerate(("start", *managers)):
        time = (T0 + timedelta(seconds=number)).isoformat()
        entry = {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {f"f:{number}": {}}}
        entries = [*entries, entry]
        body = {"metadata": {"name": "web", "resourceVersion": str(number), "managedFields": entries}}
        made.append(SeenVersion(CachedObject(REF, body), 0.0, T0))
    return made


def who(put_back: PutBack, *fields: FieldDrift) -> str | None:
    by = put_back.by(drifted(*fields))
    return by.manager if by is not None else None


@pytest.fixture
def put_back() -> PutBack:
    return PutBack(built_in_managers())


def test_whoever_wrote_the_object_alone_has_put_it_back(put_back: PutBack) -> None:
    """Beside the controller that notes its new revision."""
    put_back.observe(drifted(REPLICAS), IN_SYNC, versions("argocd-controller", "kube-controller-manager"))
    assert who(put_back, REPLICAS) == "argocd-controller"


@pytest.mark.parametrize("managers", [(), ("argocd-controller", "kubectl-edit"), ("kube-controller-manager",)])
def test_nobody_is_named_where_it_may_have_been_another(put_back: PutBack, managers: tuple[str, ...]) -> None:
    """After a relist, or where several wrote."""
    put_back.observe(drifted(REPLICAS), IN_SYNC, versions(*managers) if managers else [])
    assert who(put_back, REPLICAS) is None


def test_each_field_has_its_own_end(put_back: PutBack) -> None:
    """One is put back by the deployer, the other one later by a hand."""
    put_back.observe(drifted(REPLICAS, IMAGE), drifted(IMAGE), versions("argocd-controller"))
    put_back.observe(drifted(IMAGE), IN_SYNC, versions("kubectl-rollout"))
    assert (who(put_back, REPLICAS), who(put_back, IMAGE)) == ("argocd-controller", "kubectl-rollout")
    assert who(put_back, REPLICAS, IMAGE) is None


def test_who_put_it_back_once_is_not_named_for_the_next_time(put_back: PutBack) -> None:
    """The second end was in a list, which does not tell."""
    put_back.observe(drifted(REPLICAS), IN_SYNC, versions("argocd-controller"))
    put_back.observe(IN_SYNC, drifted(REPLICAS), versions("kubectl"))
    put_back.observe(drifted(REPLICAS), IN_SYNC, [])
    assert who(put_back, REPLICAS) is None


def test_an_object_that_was_missing_was_put_back_by_its_creator(put_back: PutBack) -> None:
    """A version in which it is not there comes first."""
    missing = Verdict(REF, "apps/v1", Status.MISSING)
    put_back.observe(missing, IN_SYNC, [SeenVersion(None, 0.0, T0), versions()[0]])
    by = put_back.by(missing)
    assert by is not None
    assert by.manager == "start"


@pytest.mark.parametrize(
    ("arrived", "by_server", "seconds"),
    [(3.2, 3, 3.2), (0.3, 1, 0.3), (0.01, 30, 30), (60.0, 2, 2), (2.5, None, 2.5)],
)
def test_a_span_is_as_exact_as_both_clocks_allow(arrived: float, by_server: int | None, seconds: float) -> None:
    """Arrivals are exact, unless a watch that was broken brought both late; the server's times have whole seconds."""
    hand = FieldOwner("kubectl", "Update", time=T0)
    deployer = FieldOwner("argo", "Apply", time=T0 + timedelta(seconds=by_server) if by_server is not None else None)
    assert _seconds(arrived, hand, deployer) == seconds


def test_an_edit_in_a_line() -> None:
    """One is told in full, many by their number."""
    edit = RevertedEdit(drifted(REPLICAS), "7", T0, T0, 3.04, FieldOwner("argocd-controller", "Apply"))
    told = "Deployment.apps/shop/web: 1 field changed by kubectl, put back by argocd-controller after 3.0 s"
    assert summary([edit]) == told
    gone = replace(edit, verdict=Verdict(REF, "apps/v1", Status.MISSING), seconds=12.3, put_back_by=None)
    assert summary([gone]) == "Deployment.apps/shop/web: deleted, put back after 12 s"
    assert summary([replace(gone, seconds=0.01)]).endswith("put back after less than 0.1 s")
    assert summary([edit, gone]) == "2 edits of 1 object put back by argocd-controller before a pass saw them"
