"""Commands on a configuration with an entry for many apps: they take the names that it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.cli.conftest import CommandResult, World, config_map

PATTERN = {"name": "shop-{folder}", "path": "apps/*", "exclude": ["apps/old-*"]}


def commit(world: World, **values: str) -> str:
    """A ConfigMap for each folder."""
    files = {f"apps/{folder}/config.yaml": config_map(folder.lower(), value) for folder, value in values.items()}
    return world.repository.write(files).commit("Change things")


def checked(result: CommandResult) -> Mapping[str, Any]:
    return {app["app"]: app for app in json.loads(result.out)["apps"]}


def test_a_check_judges_each_folder_and_says_which_is_no_app(world: World) -> None:
    """What cannot be made an app is unknown by name, and asked for by that name, too."""
    commit(world, web="one", api="one", Bad="one")
    world.repository.write({"apps/old-web/config.yaml": config_map("old")}).commit("An old one")
    world.apply(config_map("web"))
    world.apply(config_map("api", "two"), manager="somebody")
    where = world.configure(PATTERN)
    result = world.driftd("check", *where, "-o", "json")
    apps = checked(result)
    assert result.code == 2
    assert list(apps) == ["shop-api", "shop-web", "shop/apps/Bad"]
    assert (apps["shop-web"]["in_sync"], apps["shop-api"]["counts"]["drifted"]) == (True, 1)
    assert 'its name would be "shop-Bad"' in apps["shop/apps/Bad"]["error"]
    assert (world.driftd("check", "shop-web", *where).code, world.driftd("check", "shop-api", *where).code) == (0, 1)
    bad = world.driftd("check", "shop/apps/Bad", *where, "-o", "json")
    assert (bad.code, list(checked(bad))) == (2, ["shop/apps/Bad"])
    unknown = world.driftd("check", "nothing", *where)
    assert unknown.code == 2
    assert "there is no app 'nothing'" in unknown.err
    assert "shop-api, shop-web" in unknown.err


def test_a_check_of_another_revision_has_the_folders_of_that_one(world: World) -> None:
    """As they would be after a merge, say."""
    before = commit(world, web="one")
    commit(world, api="one")
    where = world.configure(PATTERN)
    assert list(checked(world.driftd("check", *where, "-o", "json"))) == ["shop-api", "shop-web"]
    assert list(checked(world.driftd("check", *where, "-o", "json", "--revision", before))) == ["shop-web"]


def test_one_entry_checks_the_folders_of_each_cluster(world: World) -> None:
    """By the overlay that each of them has; one without an overlay has no app of it."""
    files = {
        "apps/web/prod/config.yaml": config_map("web"),
        "apps/web/staging/config.yaml": config_map("web", "two"),
        "apps/api/prod/config.yaml": config_map("api"),
    }
    world.repository.write(files).commit("Overlays")
    world.apply(config_map("web"))
    clusters = [{"name": name, "kubeconfig": str(world.kubeconfig)} for name in ("prod", "staging")]
    entry = {"name": "{1}-{cluster}", "path": "apps/*/{cluster}", "clusters": ["prod", "staging"]}
    result = world.driftd("check", *world.configure(entry, clusters=clusters), "-o", "json")
    found = {name: app["counts"] for name, app in checked(result).items()}
    assert result.code == 1
    assert list(found) == ["api-prod", "web-prod", "web-staging"]
    assert [found[name]["in_sync"] for name in found] == [0, 1, 0]
    assert (found["api-prod"]["missing"], found["web-staging"]["drifted"]) == (1, 1)


def test_without_git_only_the_pattern_is_unknown(world: World) -> None:
    """An app with an entry of its own that comes from elsewhere is judged all the same."""
    commit(world, web="one")
    world.apply(config_map("web"))
    sources = [{"name": "shop", "url": world.repository.url}, {"name": "away", "url": str(world.folder / "away")}]
    where = world.configure({"name": "web", "path": "apps/web"}, {**PATTERN, "source": "away"}, sources=sources)
    result = world.driftd("check", *where, "-o", "json")
    apps = checked(result)
    assert (result.code, list(apps)) == (2, ["web", "away/apps/*"])
    assert apps["web"]["in_sync"]
    assert "its folders are not known" in apps["away/apps/*"]["error"]
    assert world.driftd("check", "web", *where).code == 0, "nothing is asked of the other repository"


def test_sync_status_and_history_take_the_names(world: World) -> None:
    """Also that of a folder that nobody has fetched yet."""
    commit(world, web="one", Bad="one")
    where = world.configure({**PATTERN, "mode": "approve"})
    done = world.driftd("sync", "shop-web", *where)
    assert (done.code, world.get("ConfigMap", "web")["data"]) == (0, {"a": "one"}), done.err
    status = json.loads(world.driftd("status", *where, "-o", "json").out)
    assert [(app["app"], app["mode"]) for app in status["apps"]] == [
        ("shop-web", "approve"),
        ("shop/apps/Bad", "observe"),
    ]
    commit(world, api="one")
    assert world.driftd("sync", "shop-api", *where).code == 0
    assert world.get("ConfigMap", "api")["data"] == {"a": "one"}
    assert "shop-api" in world.driftd("status", *where).out
    assert "Change things" in world.driftd("history", "shop-api", *where).out
    assert "no good revision" in world.driftd("rollback", "shop-api", *where).err
    assert "is no app: its name would be" in world.driftd("sync", "shop/apps/Bad", *where).err
    assert "there is no app 'nothing'" in world.driftd("sync", "nothing", *where).err


def test_validate_counts_patterns_and_asks_nobody(world: World) -> None:
    """Git need not be there."""
    where = world.configure(PATTERN, {"name": "web", "path": "apps/web"}, sources=[{"name": "shop", "url": "/nowhere"}])
    result = world.driftd("config", "validate", where[1])
    assert result.out.strip().endswith("valid, with 1 source, 1 app and 1 pattern of apps")
