"""A chart in a repository is deployed for its cluster, and what it makes up is made up once."""

from __future__ import annotations

from pathlib import Path

from driftd.model.app import RenderOptions
from driftd.model.drift import Status
from driftd.model.plan import Mode
from tests.support.world import config_map, create_world, statuses

CHART = [
    ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\nkubeVersion: '>=1.25.0-0'\n"),
    ("templates/config.yaml", config_map(a="1")),
    (
        "templates/secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: web\nstringData:\n  password: {{ randAlphaNum 16 }}\n"
        "  served: {{ .Capabilities.APIVersions.Has `apps/v1/Deployment` | quote }}\n",
    ),
]


async def test_a_random_password_is_created_and_never_written_again(tmp_path: Path, assets: Path) -> None:
    """Neither after a restart nor with a commit; taken away, it is made anew."""
    rendering = RenderOptions(release="web", namespace="web", helm=str(assets / "helm"))
    async with create_world(tmp_path, CHART, mode=Mode.HEAL, rendering=rendering) as world:
        assert (await world.run()).report.error is None
        secret = await world.get("Secret")
        assert secret["data"]["served"] == "dHJ1ZQ=="
        world.requests.received.clear()
        for _ in range(2):
            world.source._provider._renderers.clear()  # type: ignore[attr-defined]  # as another process has none
            world.restart()
            result = await world.run()
            assert statuses(result.report) == {"ConfigMap/web": Status.IN_SYNC, "Secret/web": Status.IGNORED}
            assert result.report.in_sync
        await world.commit({"templates/config.yaml": config_map(a="2")})
        assert (await world.run()).report.in_sync
        assert [write for write in world.requests.writes if "secrets" in write] == []
        assert (await world.get("Secret"))["data"] == secret["data"]
        await world.delete("Secret")
        await world.run()
        assert (await world.get("Secret"))["data"]["password"] != secret["data"]["password"]


async def test_a_random_value_that_a_hand_took_out_is_told_and_one_that_a_commit_brings_is_made_up(
    tmp_path: Path, assets: Path
) -> None:
    """Whatever else there is to heal of the object is healed."""
    rendering = RenderOptions(release="web", namespace="web", helm=str(assets / "helm"))
    async with create_world(tmp_path, CHART, mode=Mode.HEAL, rendering=rendering) as world:
        await world.run()
        secret = CHART[2][1] + "  more: {{ randAlphaNum 16 }}\n"
        await world.commit({"templates/secret.yaml": secret})
        await world.run()
        before = (await world.get("Secret"))["data"]
        assert set(before) == {"password", "more", "served"}
        await world.edit("Secret", {"data": {"password": None, "served": "eA=="}})
        result = await world.run()
        assert (await world.get("Secret"))["data"] == {"more": before["more"], "served": before["served"]}
        (field,) = [one for verdict in result.report.drifted for one in verdict.fields]
        assert "each rendering makes another one" in str(field.left_to)
