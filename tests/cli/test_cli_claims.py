"""What another deployer keeps, as the commands say it."""

from __future__ import annotations

import json

from tests.cli.conftest import World, config_map

ARGO = "Argo CD (application argocd/web)"


def argo_syncs(world: World, value: str = "one") -> None:
    mark = '  annotations: {argocd.argoproj.io/tracking-id: "argocd_web:/ConfigMap:web/web"}\n'
    text = config_map("web", value).replace("metadata:\n", f"metadata:\n{mark}")
    world.apply(text, "argocd-controller")


def test_check_sync_and_status_say_whom_an_object_is_left_to(world: World) -> None:
    """In every form; a rollback says so, too."""
    world.commit(web=config_map("web", "two"))
    argo_syncs(world)
    config = world.configure({"name": "web", "path": "app", "mode": "approve"})
    left = f"left to {ARGO}: set takeOver: true to let driftd deploy it"
    check = world.driftd("check", *config)
    assert check.code == 1
    assert left in " ".join(check.out.split())
    [resource] = json.loads(world.driftd("check", *config, "-o", "json").out)["apps"][0]["resources"]
    assert resource["claim"] == {"deployer": "Argo CD", "by": "application argocd/web"}
    assert left == f"left to {resource['left_to']}"
    for form in ("markdown", "junit", "sarif"):
        assert "set takeOver: true" in world.driftd("check", *config, "-o", form).out
    sync = world.driftd("sync", "web", *config)
    assert sync.code == 1
    assert "nothing to apply: what differs is not for driftd to write" in sync.out
    assert world.get("ConfigMap", "web")["data"] == {"a": "one"}
    for command in ("status", "history"):
        assert left in " ".join(world.driftd(command, "web", *config).out.split())
    rollback = world.driftd("rollback", "web", *config)
    assert rollback.code == 2
    assert f"app web is not rolled back: ConfigMap/web/web is left to {ARGO}" in rollback.err


def test_a_takeover_is_said_before_and_after(world: World) -> None:
    """By check, by sync, and in the history with the object."""
    world.commit(web=config_map("web", "two"))
    argo_syncs(world)
    config = world.configure({"name": "web", "path": "app", "mode": "approve", "takeOver": True})
    assert f"taken over from {ARGO} when it is written" in " ".join(world.driftd("check", *config).out.split())
    sync = world.driftd("sync", "web", *config)
    assert sync.code == 0, sync
    assert f"configured ConfigMap/web/web, taken over from {ARGO}" in sync.out
    assert world.get("ConfigMap", "web")["data"] == {"a": "two"}
    history = " ".join(world.driftd("history", "web", *config).out.split())
    assert f"1 of them taken over from {ARGO}" in history
    assert f"taken over from {ARGO}, configured" in history
    lines = json.loads(world.driftd("history", "web", *config, "-o", "json").out)["history"]
    taken = [one["taken_from"] for line in lines for one in line["objects"] if "taken_from" in one]
    assert {"deployer": "Argo CD", "by": "application argocd/web"} in taken
