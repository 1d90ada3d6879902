"""Each manifest is looked for where its kind is served."""

from __future__ import annotations

import pytest

from driftd.model.drift import Status
from driftd.model.plan import Mode
from tests.support.world import statuses
from tests.support.worlds import OpenWorld

INGRESS = """\
apiVersion: extensions/v1beta1
kind: Ingress
metadata:
  name: web
spec:
  backend: {serviceName: web, servicePort: 80}
"""
MOVED = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "web"},
    "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
}


async def test_an_object_whose_group_has_moved_is_looked_for_in_the_new_one(open_world: OpenWorld) -> None:
    """It is there, so that it is not missing; a manifest of the old group cannot be compared with it, nor applied."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.request("POST", "/apis/networking.k8s.io/v1/namespaces/web/ingresses", MOVED)
        await world.commit({"ingress.yaml": INGRESS})
        world.requests.received.clear()
        report = (await world.run()).report
        assert statuses(report)["Ingress/web"] is Status.UNKNOWN
        assert [verdict.error for verdict in report.notable] == [
            "the cluster does not serve Ingress of extensions/v1beta1: it has moved to networking.k8s.io/v1; "
            "change the apiVersion in Git (and the fields that are different there)"
        ]
        assert world.requests.writes == []
        await world.request("DELETE", "/apis/networking.k8s.io/v1/namespaces/web/ingresses/web")
        assert statuses((await world.run()).report)["Ingress/web"] is Status.MISSING


CRD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\nspec: "


@pytest.mark.parametrize("spec", ["5", "{names: x}", "{names: [a], group: [b], scope: {}}", "{names: {kind: [a]}}"])
async def test_a_crd_of_the_wrong_shape_is_its_own_trouble(open_world: OpenWorld, spec: str) -> None:
    """The API server would refuse it: the other objects are compared as ever."""
    async with open_world() as world:
        await world.commit({"crd.yaml": f"{CRD}{spec}\n"})
        assert {"CustomResourceDefinition/a.b", "ConfigMap/web"} <= set(statuses((await world.run()).report))
