"""`driftd sync`, `rollback`, `status`, `history` and `config validate`, as people use them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from driftd.model.errors import KubeError
from driftd.model.revision import RevisionState
from driftd.store.store import Store
from tests.cli.conftest import CommandResult, World, config_map


def refused(result: CommandResult, *words: str) -> None:
    """Exit 2, and a message on standard error with these words."""
    assert result.code == 2, result
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err, result.err


def listed(result: CommandResult) -> Any:
    assert result.code == 0, result
    return json.loads(result.out)


def test_an_app_without_a_pass_is_shown_as_that(world: World) -> None:
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
    filtered = world.driftd("history", "--kind", "Deploymint", *config)
    assert "Nothing of what happened fits all of these options" in filtered.out
    assert listed(world.driftd("history", "web", *config, "-o", "json"))["history"] == []


def test_a_configuration_without_apps_is_shown_as_that(world: World) -> None:
    """Not a blank screen."""
    result = world.driftd("status", *world.configure())
    assert result.code == 0
    assert result.out.strip()


def test_a_sync_says_what_lies_outside_of_the_apps_borders(world: World) -> None:
    """And does not write it: once it is known, it is said before anything is written."""
    elsewhere = config_map("elsewhere").replace("  name: elsewhere\n", "  name: elsewhere\n  namespace: default\n")
    assert "namespace: default" in elsewhere
    world.commit(web=config_map(), elsewhere=elsewhere)
    config = world.configure({"name": "web", "path": "app", "mode": "approve"})
    first = world.driftd("sync", "web", *config)
    assert first.code == 1, first
    line = "not written: ConfigMap/default/elsewhere: it is outside of the app's borders: its namespace is default"
    assert first.err.count(line) == 1
    assert "created    ConfigMap/web/web" in first.out
    second = world.driftd("sync", "web", *config)
    assert second.err.count(line) == 1
    assert "what differs is not for driftd to write" in second.out


def test_a_sync_alone_does_not_write_what_another_app_declares_too(world: World) -> None:
    """Without a daemon it reads the other apps itself; once they have had a pass, the store has what they declare."""
    world.commit(web=config_map(), shared=config_map("shared"))
    world.repository.write({"shop/shared.yaml": config_map("shared", "two"), "shop/own.yaml": config_map("own")})
    world.repository.write({"broken/a.yaml": "a: ["}).commit("Declare it twice")
    web, shop = ({"name": name, "path": path, "mode": "approve"} for name, path in (("web", "app"), ("shop", "shop")))
    config = world.configure(web, shop, {"name": "broken", "path": "broken"})
    told = (
        "ConfigMap/web/shared is declared by several apps, and written for none of them: "
        "shop (shop/shared.yaml:1), web (app/shared.yaml:1)"
    )
    for name, own in (("web", "web"), ("shop", "own"), ("web", None)):
        result = world.driftd("sync", name, *config)
        assert result.code == 1, result
        assert result.err.count(told) == 1
        assert "whether app broken declares the same objects is not known: broken/a.yaml" in result.err
        assert "shared" not in (line for line in result.out.splitlines() if line.startswith("created"))
        if own is not None:
            assert f"created    ConfigMap/web/{own}" in result.out
    with pytest.raises(KubeError):
        world.get("ConfigMap", "shared")
    alone = world.driftd("sync", "web", *world.configure(web))
    assert "created    ConfigMap/web/shared" in alone.out, "the other app is configured no more"


def test_a_sync_applies_what_differs_and_is_in_the_history(world: World) -> None:
    """It prints the written objects; a second one has nothing to apply."""
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
    assert app["health"] == "healthy"
    assert "healthy" in world.driftd("status", *config).out
    assert app["revision"] == world.repository.head


def test_what_the_store_cannot_read_is_named_and_ends_with_2(world: World) -> None:
    """A table that looks complete would be a lie."""
    world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app", "mode": "approve", "settle": "0s"})
    assert world.driftd("sync", "web", *config).code == 0
    assert world.driftd("history", *config).code == 0
    with closing(sqlite3.connect(world.folder / "history.db")) as connection, connection:
        connection.execute("UPDATE operations SET document = x'00'")
    result = world.driftd("history", *config)
    assert result.code == 2
    assert "(1 write cannot be read)" in result.out
    assert "left out, as the store's records of them cannot be read: write " in result.err


def test_an_edit_that_was_put_back_is_found_by_who_what_and_when_and_by_its_incident(world: World) -> None:
    """`history` by manager, kind and time; `incident` by the beginning of its id; `status` of the one app."""
    world.commit(web=config_map(), other=config_map("other"))
    config = world.configure({"name": "web", "path": "app", "mode": "approve", "settle": "0s"})
    assert world.driftd("sync", "web", *config).code == 0
    world.apply(config_map(value="two"), manager="somebody")
    assert world.driftd("sync", "web", *config).code == 0

    shown = world.driftd("history", "web", "--manager", "somebody", "--kind", "configmap", "--since", "1h", *config)
    assert "  ConfigMap web/web data.a: two → one (by somebody), configured" in shown.out
    assert "web/other" not in shown.out
    lines = listed(world.driftd("history", "--manager", "somebody", *config, "-o", "json"))["history"]
    assert {(o["name"], f["live"], f["desired"]) for line in lines for o in line["objects"] for f in o["fields"]} == {
        ("web", "two", "one")
    }
    assert listed(world.driftd("history", "--manager", "nobody", *config, "-o", "json"))["history"] == []
    assert listed(world.driftd("history", "--since", "2100-01-01", *config, "-o", "json"))["history"] == []
    refused(world.driftd("history", "--since", "yesterday", *config), "--since must be a span such as 30m or 2h")

    name = next(line["incident"] for line in lines if line["incident"])
    incident = world.driftd("incident", name[:10], *config).out
    assert f"incident {name}  drift of web on prod, resolved: healed" in incident
    assert "ConfigMap web/web: drifted (app/web.yaml:1); healed by " in incident
    assert "  data.a: Git one, live two" in incident
    assert "somebody (Apply)" in incident
    assert "app/web.yaml:6" in incident
    document = listed(world.driftd("incident", name, *config, "-o", "json"))
    assert [(one["kind"], one["outcome"]) for one in document["operations"]] == [("ConfigMap", "configured")]
    assert [told["event"] for told in document["notifications"]] == ["opened", "resolved"]
    refused(world.driftd("incident", "cafe", *config), "no incident 'cafe'", "driftd history")

    status = world.driftd("status", "web", *config)
    assert "2 in sync" in status.out
    detail = listed(world.driftd("status", "web", *config, "-o", "json"))
    assert (detail["app"], detail["resources"], detail["incidents"]) == ("web", [], [])
    refused(world.driftd("status", "nope", *config), "no app 'nope'")


def test_a_sync_that_the_api_server_refuses_in_part_names_the_object_and_the_reason(world: World) -> None:
    """Exit 1: something still differs; the rest is applied."""
    world.commit(web=config_map(), login="apiVersion: v1\nkind: Secret\nmetadata: {name: login}\n")
    world.sandbox.faults.forbid("patch", "secrets")
    config = world.configure({"name": "web", "path": "app", "mode": "approve"})
    result = world.driftd("sync", "web", *config)
    assert result.code == 1
    assert "failed     Secret/web/login" in result.out
    assert "cannot patch" in " ".join(result.out.split())
    assert world.get("ConfigMap", "web")


def test_a_rollback_goes_back_and_holds_until_it_is_released(world: World) -> None:
    """Every step prints what it did; status shows the hold."""
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
    refused(world.driftd("rollback", "web", "--to", bad, *config), "nothing to roll back")
    released = world.driftd("sync", "web", "--release", *config)
    assert released.code == 0
    assert world.get("ConfigMap", "web")["data"] == {"a": "two"}


def test_a_hold_is_seen_by_check_and_ended_in_mode_observe_without_a_write(world: World) -> None:
    """A held app is compared with what it is held at; --revision compares with any other."""
    good = world.commit(web=config_map())
    app = {"name": "web", "path": "app", "mode": "approve", "settle": "0s"}
    config = world.configure(app)
    assert world.driftd("sync", "web", *config).code == 0
    bad = world.commit(web=config_map(value="two"))
    assert world.driftd("sync", "web", *config).code == 0
    assert world.driftd("rollback", "web", *config).code == 0
    held = world.driftd("check", *config)
    assert held.code == 0, held
    assert f"web is held at {good[:8]} instead of {bad[:8]}, and compared with that: asked for by" in held.err
    assert world.driftd("check", "--revision", bad, *config).code == 1
    config = world.configure({**app, "mode": "observe"})
    released = world.driftd("sync", "web", "--release", *config)
    assert released.code == 1, released
    assert f"no longer held at {good[:8]}" in released.out
    assert "nothing to apply: the app is in mode observe" in released.out
    assert world.get("ConfigMap", "web")["data"] == {"a": "one"}
    after = world.driftd("check", *config)
    assert (after.code, "held" in after.err) == (1, False)


async def test_a_bad_revision_is_gone_back_to_only_by_force(world: World) -> None:
    """Without --force the reason is told, and nothing is written."""
    bad = world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app", "mode": "approve", "settle": "0s"})
    assert (await asyncio.to_thread(world.driftd, "sync", "web", *config)).code == 0
    store = await Store.open(f"sqlite:///{world.folder / 'history.db'}")
    await store.set_revision_state("web", bad, RevisionState.BAD, reason="not healthy", time=datetime.now(UTC))
    await store.close()
    world.commit(web=config_map(value="two"))
    assert (await asyncio.to_thread(world.driftd, "sync", "web", *config)).code == 0
    arguments = ("rollback", "web", "--to", bad[:8], *config)
    refused(await asyncio.to_thread(world.driftd, *arguments), f"{bad[:8]} of app web was bad: not healthy", "--force")
    assert (await asyncio.to_thread(world.get, "ConfigMap", "web"))["data"] == {"a": "two"}
    assert (await asyncio.to_thread(world.driftd, *arguments, "--force")).code == 0
    assert (await asyncio.to_thread(world.get, "ConfigMap", "web"))["data"] == {"a": "one"}


def test_a_sync_continues_with_the_mirror_while_git_is_unreachable(world: World) -> None:
    """A warning on standard error names the revision."""
    world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app", "mode": "approve"})
    assert world.driftd("sync", "web", *config).code == 0
    world.repository.folder.rename(world.folder / "elsewhere")
    result = world.driftd("sync", "web", *config)
    assert result.code == 0
    assert "going on with" in result.err
    assert "git repository" in result.err


def test_a_refused_command_prints_what_to_do(world: World, tmp_path: Path) -> None:
    """For an observed app, an unknown app, an unknown revision, an unreachable cluster."""
    world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app"}, {"name": "shop", "path": "app", "mode": "approve"})
    refused(world.driftd("sync", "web", *config), "mode observe", "mode: approve", str(tmp_path / "driftd.yaml"))
    refused(world.driftd("rollback", "web", *config), "mode observe")
    refused(world.driftd("sync", "nope", *config), "no app 'nope'", "web, shop")
    refused(world.driftd("history", "nope", *config), "no app 'nope'")
    refused(world.driftd("rollback", "shop", *config), "no good revision", "driftd history shop")
    refused(world.driftd("rollback", "shop", "--to", "cafe", *config), "no revision cafe")
    refused(world.driftd("status", "-c", str(tmp_path / "none.yaml")), "none.yaml", "no such file")
    assert world.driftd("status", *config, "-o", "xml").code == 2
    world.sandbox.faults.refusing = True
    refused(world.driftd("sync", "shop", *config), world.sandbox.url)
    world.sandbox.faults.refusing = False
    with pytest.raises(KubeError):
        world.get("ConfigMap", "web")


def test_a_store_that_cannot_be_opened_is_reported_with_its_path(world: World, tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")
    config = world.configure({"name": "web"}, store={"url": f"sqlite:///{tmp_path / 'file' / 'history.db'}"})
    refused(world.driftd("status", *config), str(tmp_path / "file"), "store.url")


def test_a_valid_configuration_is_called_valid(world: World) -> None:
    """With its numbers of sources and apps, so that people see that it is the right one."""
    _, file = world.configure({"name": "web"}, {"name": "shop"})
    result = world.driftd("config", "validate", file)
    assert result == CommandResult(0, f"{file}: valid, with 1 source and 2 apps\n", "")


def test_every_mistake_of_a_configuration_is_named_with_its_place(world: World) -> None:
    """One line each: file, line, column, key, and what would be right."""
    _, file = world.configure({"name": "web", "mode": "haal"}, {"name": "shop", "source": "nowhere", "intervall": "5m"})
    result = world.driftd("config", "validate", file)
    assert result.code == 2
    lines = result.err.strip().splitlines()
    assert len(lines) == 3, result.err
    assert all(line.startswith(f"{file}:") for line in lines)
    for words in (("apps[0].mode", "heal"), ("apps[1].source", "shop"), ("apps[1].intervall", "interval")):
        assert any(all(word in line for word in words) for line in lines), (words, lines)


def test_a_secret_that_is_not_there_is_named_by_its_key(world: World, tmp_path: Path) -> None:
    """The file, and the key that names it; never a value."""
    slack = {"slack": {"tokenFile": str(tmp_path / "slack-token"), "channel": "#drift"}}
    _, file = world.configure({"name": "web"}, notify=slack)
    refused(world.driftd("config", "validate", file), "notify.slack.tokenFile", str(tmp_path / "slack-token"))


def test_two_configurations_do_not_share_what_happened_to_their_apps(world: World, tmp_path: Path) -> None:
    """Without store.url, each has its own store: an app of the same name in another cluster has no history."""
    world.commit(web=config_map())
    _, first = world.configure({"name": "web", "path": "app", "mode": "approve"}, store={})
    assert world.driftd("sync", "web", "-c", first).code == 0
    second = tmp_path / "other.yaml"
    second.write_text(Path(first).read_text())
    assert "Nothing has happened yet" in world.driftd("history", "web", "-c", str(second)).out
    assert "sync to" in world.driftd("history", "web", "-c", first).out
