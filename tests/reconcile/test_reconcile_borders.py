"""An app in mode heal writes within its borders; what its folder declares beyond them is only told."""

from __future__ import annotations

import pytest

from driftd.model.drift import Status
from driftd.model.plan import Mode
from driftd.model.revision import RevisionState
from tests.support.world import World, statuses, until
from tests.support.worlds import OpenWorld

ELSEWHERE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: elsewhere, namespace: kube-system}\n"
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: web, namespace: web}]
"""


async def _deploy(world: World) -> dict[str, Status]:
    await world.commit({"elsewhere.yaml": ELSEWHERE, "binding.yaml": BINDING}, "Take over")
    return statuses((await world.run()).report)


async def test_a_folder_cannot_give_its_app_more_than_its_own_namespace(open_world: OpenWorld) -> None:
    """Neither an object in kube-system nor a binding to cluster-admin; what is in its namespace is deployed."""
    async with open_world(mode=Mode.HEAL) as world:
        found = await _deploy(world)
        assert found["ConfigMap/elsewhere"] is Status.MISSING
        assert found["ClusterRoleBinding/everything"] is Status.MISSING
        assert found["ConfigMap/web"] is Status.IN_SYNC
        assert not [write for write in world.requests.writes if "kube-system" in write]


async def test_what_lies_outside_keeps_no_revision_from_becoming_good(open_world: OpenWorld) -> None:
    """It is never applied, and so no part of the rollout."""
    async with open_world(mode=Mode.HEAL) as world:
        await _deploy(world)

        async def is_good() -> bool:
            return (await world.watch(seconds=10)).state is RevisionState.GOOD

        await until(is_good, "the good revision")


@pytest.mark.parametrize(
    ("named", "created"),
    [
        ({"namespaces": frozenset({"kube-system"})}, "ConfigMap/elsewhere"),
        ({"kinds": frozenset({"ClusterRoleBinding"})}, "ClusterRoleBinding/everything"),
    ],
)
async def test_what_the_configuration_names_is_written(
    open_world: OpenWorld, named: dict[str, frozenset[str]], created: str
) -> None:
    """And that alone."""
    async with open_world(mode=Mode.HEAL, **named) as world:
        found = await _deploy(world)
        assert [name for name, status in found.items() if status is Status.MISSING] != []
        assert found[created] is Status.IN_SYNC


async def test_where_reading_is_confined_the_rest_is_unknown_with_the_reason(open_world: OpenWorld) -> None:
    """Nothing outside is asked for: a folder does not tell one team what another one runs."""
    async with open_world(mode=Mode.OBSERVE, confine_reads=True) as world:
        found = await _deploy(world)
        assert found["ConfigMap/elsewhere"] is Status.UNKNOWN
        assert found["ClusterRoleBinding/everything"] is Status.UNKNOWN
        report = (await world.run()).report
        assert {v.error for v in report.verdicts if v.status is Status.UNKNOWN} == {
            "not read: it is outside of the app's borders: its namespace is kube-system, the app's web, and "
            "`namespaces` does not name it",
            "not read: it is outside of the app's borders: ClusterRoleBinding is cluster-scoped, and `kinds` does not "
            "name it",
        }
        asked = [path for _, path in world.requests.received]
        assert not [path for path in asked if "kube-system/configmaps" in path or "clusterrolebindings" in path]
