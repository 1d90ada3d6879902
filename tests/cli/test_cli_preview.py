"""`driftd check` before a merge: what it will change live, and whose edits it would undo."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.cli.conftest import SECRET, CommandResult, World
from tests.cli.contract import DOCUMENT

DEPLOYER = "pipeline"
EDITOR = "kubectl-edit"


def data(name: str = "web", annotations: dict[str, str] | None = None, **values: str) -> str:
    metadata = {"name": name, **({"annotations": annotations} if annotations else {})}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": values})


def deployed(world: World, **files: str) -> None:
    """A repository whose branch `main` is deployed, with the branch `feature` checked out."""
    world.commit(**files)
    for text in files.values():
        world.apply(text, DEPLOYER)
    world.repository.git("checkout", "--quiet", "-b", "feature")


def preview(result: CommandResult) -> dict[str, Any]:
    document = json.loads(result.out)
    Draft202012Validator(DOCUMENT).validate(document)
    [app] = document["apps"]
    told: dict[str, Any] = app["preview"]
    return told


def fields(told: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Effect, before, live and after of each field, by object and path."""
    return {
        f"{each['name']} {field['path']}": (field["effect"], field["before"], field["live"], field["after"])
        for each in told["objects"]
        for field in each["fields"]
    }


def effects(told: dict[str, Any]) -> dict[str, str | None]:
    return {each["name"]: each["effect"] for each in told["objects"]}


def edited(world: World) -> None:
    """A merge that changes a field, and three edits by hand: one in its way, one beside it, one somewhere else."""
    deployed(world, web=data(git="old", hand="old", both="old", same="old"), other=data("other", a="old"))
    world.apply(data(hand="edited", both="edited", same="new"), EDITOR)
    world.apply(data("other", a="edited"), EDITOR)
    world.commit(web=data(git="new", hand="old", both="new", same="new"))


def test_what_a_merge_changes_is_told_apart_from_the_edits_that_it_undoes(world: World) -> None:
    """A field that only Git changes, one that a hand has changed, one that both have, and one in which they agree."""
    edited(world)
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
        "data.git": DEPLOYER, "data.hand": EDITOR, "data.both": EDITOR, "data.same": EDITOR, "data.a": EDITOR,
    }  # fmt: skip
    counts = {effect: count for effect, count in told["counts"].items() if count}
    assert counts == {"changed": 1, "conflict": 1, "undone": 1, "adopted": 1, "standing": 1}


def test_people_read_live_and_after_and_whose_edit_is_undone(world: World) -> None:
    """In the table, and in the comment on a pull request, where these come first."""
    edited(world)
    table = world.check("--base", "main").out
    for line in (
        "data.git  live old → new",
        "data.hand  live edited → old",
        "undoes this edit: declared old before, and still does",
        "overwrites this edit: declared old before",
        "takes over this edit: declared old before",
        "by  kubectl-edit (Apply), ",
        "ConfigMap web/other: data.a by kubectl-edit (Apply)",
        "It changes 1 field, undoes 2 edits by hand and takes over 1 edit by hand",
    ):
        assert line in table
    comment = world.check("--base", "main", "-o", "markdown").out
    first, *_ = comment.splitlines()
    assert first == "### ⚠️ driftd: deploying this changes 1 field, undoes 2 edits by hand and takes over 1 edit by hand"
    conflict, undone = (comment.index(f"| `ConfigMap web/web` | `data.{key}` | `edited` |") for key in ("both", "hand"))
    assert conflict < undone < comment.index("| `data.git` | `old` | `new` |")
    assert "`kubectl-edit (Apply)`, " in comment
    assert "<details><summary>Drift of 1 object that it does not touch</summary>" in comment


def test_a_merge_that_changes_nothing_live_is_no_difference(world: World) -> None:
    """A comment in a file is one."""
    deployed(world, web=data(a="one"))
    world.commit(web=f"# for the shop\n{data(a='one')}")
    result = world.check("--base", "main", "-o", "json")
    assert result.code == 0
    assert preview(result)["objects"] == []
    comment = world.check("--base", "main", "-o", "markdown").out
    assert comment.startswith("### ✅ driftd: deploying this changes nothing that is live")


def test_objects_come_and_go(world: World) -> None:
    """What Git no longer declares is deleted by its deployer, or left there: driftd says which, and deletes nothing."""
    kept = {"argocd.argoproj.io/sync-options": "Prune=false"}
    deployed(world, web=data(a="one"), old=data("old", a="one"), kept=data("kept", kept, a="one"))
    world.apply(data("old", a="edited"), EDITOR)
    world.apply(data("made", a="one"), EDITOR)
    for name in ("old", "kept"):
        (world.repository.folder / f"app/{name}.yaml").unlink()
    world.commit(new=data("new", a="one"), made=data("made", a="one"))
    result = world.check("--base", "main", "-o", "json")
    told = preview(result)
    assert effects(told) == {"new": "created", "made": "adopted", "old": "removed", "kept": "removed"}
    assert fields(told) == {"old data.a": ("undone", "one", "edited", None)}
    assert {each["name"]: each.get("kept") for each in told["objects"]}["kept"] == f"{next(iter(kept))}: Prune=false"
    assert [each["name"] for each in json.loads(result.out)["apps"][0]["resources"]] == ["made", "new", "web"]
    table = world.check("--base", "main").out
    assert "removed   ConfigMap web/old  no longer declared: deleted if its deployer prunes, and left there if" in table
    assert "an edit that goes with the object" in table
    assert "created   ConfigMap web/new  not in the cluster yet" in table


def test_an_object_that_somebody_has_deleted_is_created_again(world: World) -> None:
    """That is an edit by hand as well, where the merge changes the object."""
    world.commit(web=data(a="one"), gone=data("gone", a="one"), still=data("still", a="one"))
    for text in (data(a="one"), data("gone", a="one"), data("still", a="one")):
        world.apply(text, DEPLOYER)
    world.repository.git("checkout", "--quiet", "-b", "feature")
    world.commit(gone=data("gone", a="two"))
    for name in ("gone", "still"):
        world.delete("ConfigMap", name)
    told = preview(world.check("--base", "main", "-o", "json"))
    assert effects(told) == {"gone": "undone", "still": "standing"}
    assert "deleted by somebody, and created again" in world.check("--base", "main").out


def test_what_a_hand_has_added_stays(world: World) -> None:
    """No deployer takes out what it does not declare; what it declares no longer, it does."""
    deployed(world, web=data(a="one", b="one"))
    world.apply(data(debug="on"), EDITOR)
    world.commit(web=data(a="two"))
    told = preview(world.check("--base", "main", "-o", "json"))
    assert fields(told) == {
        "web data.a": ("changed", "one", "one", "two"),
        "web data.b": ("changed", "one", "one", None),
        "web data.debug": ("standing", None, "on", "on"),
    }
    table = world.check("--base", "main").out
    assert "data.b  live one → gone" in table
    assert "not touched: data.debug by kubectl-edit (Apply)" in table


def test_values_of_secrets_are_told_by_their_hash(world: World) -> None:
    """Before, live and after: equal where they are, and never themselves."""
    deployed(world, login=SECRET)
    world.apply(SECRET.replace("CANARY-in-git", "CANARY-by-hand"), EDITOR)
    world.commit(login=SECRET.replace("CANARY-in-git", "CANARY-in-the-merge"))
    for output in ("json", "table", "markdown", "junit", "sarif"):
        result = world.check("--base", "main", "-o", output)
        assert result.code == 1
        assert "CANARY" not in result.out + result.err
    [(effect, *values)] = fields(preview(world.check("--base", "main", "-o", "json"))).values()
    assert effect == "conflict"
    assert len(set(values)) == 3
    assert all(value.startswith("<redacted:") for value in values)


def test_a_branch_that_lacks_commits_of_its_base_is_told_as_merged(world: World) -> None:
    """What others have merged since is deployed, and no part of what this merge changes."""
    deployed(world, web=data(a="one"), other=data("other", a="one"))
    world.commit(web=data(a="two"))
    world.repository.git("checkout", "--quiet", "main")
    world.commit(other=data("other", a="two"))
    world.apply(data("other", a="two"), DEPLOYER)
    told = preview(world.check("--revision", "feature", "--base", "main", "-o", "json"))
    assert fields(told) == {"web data.a": ("changed", "one", "one", "two")}
    before = world.repository.git("for-each-ref")
    result = world.check("--revision", "feature", "--base", "main")
    assert "git app/web.yaml:3" in result.out
    assert world.repository.git("for-each-ref") == before


def test_a_merge_with_conflicts_is_told_and_not_judged(world: World) -> None:
    deployed(world, web=data(a="one"))
    world.commit(web=data(a="two"))
    world.repository.git("checkout", "--quiet", "main")
    world.commit(web=data(a="three"))
    result = world.check("--revision", "feature", "--base", "main")
    assert result.code == 2
    assert "conflicts with main in app/web.yaml: resolve it first" in result.err
    assert result.out == ""


def test_the_working_tree_is_previewed_against_what_is_checked_out(world: World) -> None:
    """Where there is no remote; its exit code stays that of what differs from the cluster."""
    deployed(world, web=data(a="one", b="one"))
    world.apply(data(b="edited"), EDITOR)
    world.repository.write({"app/web.yaml": data(a="two", b="one")})
    result = world.check("--worktree", "-o", "json")
    assert result.code == 1
    told = preview(result)
    assert told["base"] == "HEAD"
    assert fields(told) == {
        "web data.a": ("changed", "one", "one", "two"),
        "web data.b": ("undone", "one", "edited", "one"),
    }
    merged = preview(world.check("--worktree", "--base", "main", "-o", "json"))
    assert (merged["base"], fields(merged)) == ("main", fields(told))


def test_a_revision_is_previewed_from_where_it_parts_from_the_default_branch(world: World) -> None:
    """Of the remote, as it was last fetched; that this has moved on since is said."""
    deployed(world, web=data(a="one"), other=data("other", a="one"))
    git = world.repository.git
    git("branch", "merged", "main")
    world.commit(web=data(a="two"))
    git("update-ref", "refs/remotes/origin/main", "main")
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    result = world.check("--revision", "feature", "-o", "json")
    assert preview(result)["base"] == "origin/main"
    assert fields(preview(result)) == {"web data.a": ("changed", "one", "one", "two")}
    assert result.err == ""
    git("checkout", "--quiet", "merged")
    world.commit(other=data("other", a="two"))
    git("update-ref", "refs/remotes/origin/main", "merged")
    lagging = world.check("--revision", "feature")
    assert "feature lacks 1 commit of origin/main: --base origin/main shows it as merged into that" in lagging.err
    assert "preview" not in json.loads(world.check("--revision", "origin/main", "-o", "json").out)["apps"][0]


def test_a_new_folder_is_created_and_a_base_that_does_not_parse_is_no_guess(world: World) -> None:
    """Nothing was declared there before; what cannot be read could be anything."""
    world.repository.write({"README.md": "nothing yet\n"}).commit("Begin")
    world.repository.git("checkout", "--quiet", "-b", "feature")
    world.commit(web=data(a="one"))
    assert effects(preview(world.check("--base", "main", "-o", "json"))) == {"web": "created"}
    world.commit(broken="a: [\n")
    world.repository.git("branch", "--force", "main")
    (world.repository.folder / "app/broken.yaml").unlink()
    world.repository.commit("Mend it")
    result = world.check("--base", "main", "-o", "json")
    assert result.code == 2
    assert "broken.yaml" in preview(result)["error"]
    assert "broken.yaml" in world.check("--base", "main").out
    assert "broken.yaml" in world.check("--base", "main", "-o", "markdown").out


def test_a_base_that_nobody_named_is_no_part_of_the_answer(world: World) -> None:
    """Where it does not parse there is no preview, and the exit code is that of what differs, as ever."""
    world.commit(web=data(a="one"), broken="a: [\n")
    world.apply(data(a="one"), DEPLOYER)
    (world.repository.folder / "app/broken.yaml").unlink()
    result = world.check("--worktree", "-o", "json")
    assert result.code == 0
    assert "preview" not in json.loads(result.out)["apps"][0]


def test_a_branch_that_brings_nothing_has_a_preview_that_says_so(world: World) -> None:
    """A job on the base itself, say: drift that is there is not its doing."""
    deployed(world, web=data(a="one"))
    world.apply(data(a="edited"), EDITOR)
    result = world.check("--base", "main", "-o", "json")
    assert fields(preview(result)) == {"web data.a": ("standing", "one", "edited", "one")}
    assert "deploying this changes nothing that is live" in world.check("--base", "main", "-o", "markdown").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--base", "nothing"), "has no revision 'nothing', nor origin/nothing: fetch it first"),
        (("--base", "main", "--repo", "https://git.example.com/shop.git"), "--base merges in a folder of this machine"),
    ],
)
def test_a_base_that_cannot_be_had_is_a_mistake(world: World, arguments: tuple[str, ...], says: str) -> None:
    deployed(world, web=data(a="one"))
    result = world.check(*arguments)
    assert result.code == 2
    assert says in result.err


def test_an_app_of_a_configuration_is_previewed_from_what_it_follows(world: World) -> None:
    """The revision as it is: the configuration says which reference is deployed."""
    deployed(world, web=data(a="one", b="one"))
    world.apply(data(b="edited"), EDITOR)
    world.commit(web=data(a="two", b="one"))
    config = world.configure({"name": "web", "path": "app"})
    world.repository.git("checkout", "--quiet", "main")
    told = preview(world.driftd("check", *config, "--revision", "feature", "-o", "json"))
    assert told["base"] == "default branch"
    assert {path: effect for path, (effect, *_) in fields(told).items()} == {
        "web data.a": "changed",
        "web data.b": "undone",
    }
    refused = world.driftd("check", *config, "--base", "main")
    assert refused.code == 2
    assert "--base goes with --repo" in refused.err
