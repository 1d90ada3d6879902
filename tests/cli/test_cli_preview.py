"""`driftd check` before a merge: what it will change live, and whose edits it would undo."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.cli.conftest import SECRET, CommandResult, World, config_map

DEPLOYER = "pipeline"


def data(name: str = "web", **values: str) -> str:
    metadata = {"name": name}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": values})


def deployed(world: World, **files: str) -> None:
    """A repository whose branch `main` is deployed, with the branch `feature` checked out."""
    world.commit(**files)
    for text in files.values():
        world.apply(text, DEPLOYER)
    world.repository.git("checkout", "--quiet", "-b", "feature")


def preview(result: CommandResult) -> dict[str, Any]:
    [app] = json.loads(result.out)["apps"]
    told: dict[str, Any] = app["preview"]
    return told


def fields(told: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Effect, before, live and after of each field, by object and path."""
    return {
        f"{each['name']} {field['path']}": (field["effect"], field["before"], field["live"], field["after"])
        for each in told["objects"]
        for field in each["fields"]
    }


def test_what_a_merge_changes_is_told_apart_from_the_edits_that_it_undoes(world: World) -> None:
    """A field that only Git changes, one that only a hand has changed, one that both have, and one in which they agree."""
    deployed(world, web=data(git="old", hand="old", both="old", same="old"), other=data("other", a="old"))
    world.apply(data(hand="edited", both="edited", same="new"), "kubectl-edit")
    world.apply(data("other", a="edited"), "kubectl-edit")
    world.commit(web=data(git="new", hand="old", both="new", same="new"))
    result = world.check("--base", "main", "-o", "json")
    told = preview(result)
    assert result.code == 1
    assert fields(told) == {
        "web data.git": ("changed", "old", "old", "new"),
        "web data.hand": ("undone", "old", "edited", "old"),
        "web data.both": ("conflict", "old", "edited", "new"),
        "web data.same": ("adopted", "old", "new", "new"),
        "other data.a": ("standing", "old", "edited", "old"),
    }
    assert (told["base"], told["base_revision"]) == ("main", world.repository.git("rev-parse", "main"))
    by = {field["path"]: field["by"]["manager"] for each in told["objects"] for field in each["fields"]}
    assert by == {
        "data.git": DEPLOYER, "data.hand": "kubectl-edit", "data.both": "kubectl-edit", "data.same": "kubectl-edit",
        "data.a": "kubectl-edit",
    }  # fmt: skip


def test_the_table_says_it(world: World) -> None:
    deployed(world, web=data(git="old", hand="old"), other=data("other", a="old"))
    world.apply(data(hand="edited"), "kubectl-edit")
    world.apply(data("other", a="edited"), "kubectl-edit")
    world.commit(web=data(git="new", hand="old"))
    print(world.check("--base", "main").out)
    assert 0
