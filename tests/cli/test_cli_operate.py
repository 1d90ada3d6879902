"""`driftd sync`, `rollback`, `status`, `history` and `config validate`, as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driftd.model.errors import KubeError
from tests.cli.conftest import Answer, World, config_map


def said_once(answer: Answer, *words: str) -> None:
    """Exit 2, and one message on standard error with these words."""
    assert answer.code == 2, answer
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err, answer.err


def listed(answer: Answer) -> Any:
    assert answer.code == 0, answer
    return json.loads(answer.out)


def test_what_nobody_has_looked_at_yet_is_shown_as_that(world: World) -> None:
    """An empty store is no error, and nothing in it is in sync."""
    config = world.configure({"name": "web", "path": "app"}, {"name": "shop", "path": "shop", "mode": "approve"})
    status = world.driftd("status", *config)
    assert status.code == 0
    assert "web" in status.out
    assert "shop" in status.out
    assert "not yet" in status.out
    apps = listed(world.driftd("status", *config, "-o", "json"))["apps"]
    assert [(a["app"], a["counts"], a["last_pass"]) for a in apps] == [("web", None, None), ("shop", None, None)]
    history = world.driftd("history", "web", *config)
    assert history.code == 0
    assert "Nothing has happened yet" in history.out
    assert listed(world.driftd("history", "web", *config, "-o", "json"))["history"] == []


def test_a_configuration_without_apps_is_shown_as_that(world: World) -> None:
    """Not a blank screen."""
    answer = world.driftd("status", *world.configure())
    assert answer.code == 0
    assert answer.out.strip()


def test_a_sync_applies_what_differs_and_the_history_tells_of_it(world: World) -> None:
    """What was written is named; a second one has nothing to do."""
    world.commit(web=config_map(), other=config_map("other"))
    config = world.configure({"name": "web", "path": "app", "mode": "approve", "settle": "0s"})
    first = world.driftd("sync", "web", *config)
    assert first.code == 0, first
    assert "created    ConfigMap/web/web" in first.out
    assert world.get("ConfigMap", "web")["data"] == {"a": "one"}
    again = world.driftd("sync", "web", *config)
    assert again.code == 0
    assert "nothing to apply" in again.out
    world.apply(config_map(value="two"), manager="somebody")
    healed = world.driftd("sync", "web", *config)
    assert "configured ConfigMap/web/web" in healed.out
    assert "other" not in healed.out
    entries = [e["detail"] for e in listed(world.driftd("history", "web", *config, "-o", "json"))["history"]]
    assert any("sync to" in line for line in entries), entries
    (app,) = listed(world.driftd("status", *config, "-o", "json"))["apps"]
    assert app["counts"]["in_sync"] == 2
    assert app["revision"] == world.repository.head


def test_a_sync_that_the_api_server_refuses_in_part_names_the_object_and_the_reason(world: World) -> None:
    """Exit 1: something differs still; the rest is applied."""
    world.commit(web=config_map(), login="apiVersion: v1\nkind: Secret\nmetadata: {name: login}\n")
    world.sandbox.faults.forbid("patch", "secrets")
    config = world.configure({"name": "web", "path": "app", "mode": "approve"})
    answer = world.driftd("sync", "web", *config)
    assert answer.code == 1
    assert "failed     Secret/web/login" in answer.out
    assert "cannot patch" in " ".join(answer.out.split())
    assert world.get("ConfigMap", "web")


def test_a_rollback_goes_back_and_holds_until_it_is_released(world: World) -> None:
    """Every step says what it did; status says what is held."""
    world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app", "mode": "approve", "settle": "0s"})
    assert world.driftd("sync", "web", *config).code == 0
    good = world.repository.head
    bad = world.commit(web=config_map(value="two"))
    assert world.driftd("sync", "web", *config).code == 0
    back = world.driftd("rollback", "web", *config)
    assert back.code == 0, back
    assert f"held at {good[:8]} instead of {bad[:8]}: asked for by" in back.out
    assert world.get("ConfigMap", "web")["data"] == {"a": "one"}
    (app,) = listed(world.driftd("status", *config, "-o", "json"))["apps"]
    assert (app["held"]["revision"], app["held"]["bad_revision"]) == (good, bad)
    assert good[:8] in world.driftd("status", *config).out
    said_once(world.driftd("rollback", "web", "--to", bad, *config), "nothing to roll back")
    released = world.driftd("sync", "web", "--release", *config)
    assert released.code == 0
    assert world.get("ConfigMap", "web")["data"] == {"a": "two"}


def test_a_sync_goes_on_with_what_was_mirrored_while_git_is_away(world: World) -> None:
    """It says so on standard error, and which revision it goes on with."""
    world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app", "mode": "approve"})
    assert world.driftd("sync", "web", *config).code == 0
    world.repository.folder.rename(world.folder / "elsewhere")
    answer = world.driftd("sync", "web", *config)
    assert answer.code == 0
    assert "going on with" in answer.err
    assert "git repository" in answer.err


def test_what_cannot_be_done_is_said_with_what_to_do(world: World, tmp_path: Path) -> None:
    """An observed app, an unknown one, a revision that never was, a cluster that is away."""
    world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app"}, {"name": "shop", "path": "app", "mode": "approve"})
    said_once(world.driftd("sync", "web", *config), "mode observe", "mode: approve", str(tmp_path / "driftd.yaml"))
    said_once(world.driftd("rollback", "web", *config), "mode observe")
    said_once(world.driftd("sync", "nope", *config), "no app 'nope'", "web, shop")
    said_once(world.driftd("history", "nope", *config), "no app 'nope'")
    said_once(world.driftd("rollback", "shop", *config), "no good revision", "driftd history shop")
    said_once(world.driftd("rollback", "shop", "--to", "cafe", *config), "no revision cafe")
    said_once(world.driftd("status", "-c", str(tmp_path / "none.yaml")), "none.yaml", "no such file")
    assert world.driftd("status", *config, "-o", "xml").code == 2
    world.sandbox.faults.refusing = True
    said_once(world.driftd("sync", "shop", *config), world.sandbox.url)
    world.sandbox.faults.refusing = False
    with pytest.raises(KubeError):
        world.get("ConfigMap", "web")


def test_a_store_that_cannot_be_opened_is_said_with_its_path(world: World, tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")
    config = world.configure({"name": "web"}, store={"url": f"sqlite:///{tmp_path / 'file' / 'history.db'}"})
    said_once(world.driftd("status", *config), str(tmp_path / "file"), "store.url")


def test_a_valid_configuration_is_called_that(world: World) -> None:
    """With how much it holds, so that one sees that it is the right one."""
    _, file = world.configure({"name": "web"}, {"name": "shop"})
    answer = world.driftd("config", "validate", file)
    assert answer == Answer(0, f"{file}: valid, with 1 source and 2 apps\n", "")


def test_every_mistake_of_a_configuration_is_named_with_its_place(world: World) -> None:
    """One line each: file, line, column, key, and what would be right."""
    _, file = world.configure({"name": "web", "mode": "haal"}, {"name": "shop", "source": "nowhere", "intervall": "5m"})
    answer = world.driftd("config", "validate", file)
    assert answer.code == 2
    lines = answer.err.strip().splitlines()
    assert len(lines) == 3, answer.err
    assert all(line.startswith(f"{file}:") for line in lines)
    for words in (("apps[0].mode", "heal"), ("apps[1].source", "shop"), ("apps[1].intervall", "interval")):
        assert any(all(word in line for word in words) for line in lines), (words, lines)


def test_a_secret_that_is_not_there_is_named_by_its_key(world: World, tmp_path: Path) -> None:
    """The file, and the key that names it; never a value."""
    slack = {"slack": {"tokenFile": str(tmp_path / "slack-token"), "channel": "#drift"}}
    _, file = world.configure({"name": "web"}, notify=slack)
    said_once(world.driftd("config", "validate", file), "notify.slack.tokenFile", str(tmp_path / "slack-token"))
