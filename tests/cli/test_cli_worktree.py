"""`driftd check` where somebody works: in a folder of a repository, with changes that are not committed."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import World, config_map
from tests.cli.test_cli_check import in_sync


def test_a_check_says_that_it_does_not_look_at_uncommitted_changes(world: World) -> None:
    """In one line beside the report, which is that of the last commit."""
    in_sync(world)
    assert world.check().err == ""
    world.repository.write({"app/web.yaml": config_map(value="two")})
    result = world.check("-o", "json")
    assert result.code == 0
    assert json.loads(result.out)["apps"][0]["in_sync"]
    assert "not checked: uncommitted changes of 1 file in" in result.err
    assert "--worktree checks them, too" in result.err


def test_the_working_tree_can_be_checked(world: World) -> None:
    """What is not committed yet differs from the cluster, and is nobody's commit."""
    in_sync(world)
    world.repository.write({"app/web.yaml": config_map(value="two")})
    result = world.check("--worktree")
    assert result.code == 1
    assert "live one → two" in result.out
    assert "Not Committed Yet" in result.out
    assert result.err == ""
    assert world.repository.git("status", "--porcelain") == "M app/web.yaml"


def test_a_check_in_a_subfolder_is_one_of_that_folder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Git works in any folder of a repository."""
    in_sync(world)
    world.repository.write({"other/broken.yaml": "a: [\n"}).commit("Break another folder")
    monkeypatch.chdir(world.repository.folder / "app")
    result = world.driftd("check", "--repo", ".", "-n", "web", "--kubeconfig", str(world.kubeconfig))
    assert result.code == 0, result
    assert "in sync  app on sandbox" in result.out


def test_a_folder_without_a_repository_is_a_mistake(world: World) -> None:
    """And not an app with nothing in it."""
    result = world.driftd("check", "--repo", str(world.folder), "--kubeconfig", str(world.kubeconfig))
    assert result.code == 2
    assert "is in no Git repository" in result.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--worktree", "--revision", "HEAD"), "--worktree checks what is not committed, --revision a commit"),
        (("--worktree",), "--worktree goes with --repo"),
        (("--values", "a.yaml"), "--values goes with --repo"),
    ],
)
def test_options_that_contradict_each_other_are_a_mistake(world: World, arguments: tuple[str, ...], says: str) -> None:
    config = () if "--revision" in arguments else world.configure({"name": "web", "path": "app"})
    repo = ("--repo", world.repository.url) if not config else ()
    world.commit(web=config_map())
    result = world.driftd("check", *repo, *config, *arguments)
    assert result.code == 2
    assert says in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--path", "app"), ("--namespace", "web"), ("--values", "a.yaml"), ("--release-name", "x"), ("--worktree",),
        ("--base", "main"),
    ],
)  # fmt: skip
def test_what_is_deployed_takes_no_option_of_a_repository(world: World, arguments: tuple[str, ...]) -> None:
    """One that does nothing would be taken for one that does."""
    result = world.driftd("check", "--discover", "argo", *arguments)
    assert result.code == 2
    assert arguments[0] in result.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--discover", "helm", "--repo", "."), "leave helm out of --discover"),
        (("--discover", "argo", "--repo", ".", "--worktree", "--revision", "HEAD"), "give one of the two"),
        (("--discover", "argo", "--repo", "https://git.example.com/shop.git"), "it is a checkout on this machine"),
        (("--discover", "argo", "--revision", "HEAD"), "name an app, or by --repo the checkout"),
    ],
)
def test_a_revision_of_what_is_deployed_is_one_of_a_checkout_or_of_a_named_app(
    world: World, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(world.folder)
    result = world.driftd("check", *arguments)
    assert result.code == 2
    assert says in result.err


def test_what_is_deployed_is_no_part_of_a_configuration(world: World) -> None:
    """One of the two is checked; and a deployer has to be one that driftd knows."""
    config = world.configure({"name": "web", "path": "app"})
    assert "--discover" in world.driftd("check", "--discover", "argo", *config).err
    assert "one or more of argo, flux, helm" in world.driftd("check", "--discover", "spinnaker").err


def test_the_configuration_of_this_folder_is_checked_unless_something_else_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the other commands take it: $DRIFTD_CONFIG, or driftd.yaml here."""
    in_sync(world)
    _, file = world.configure({"name": "web", "path": "app"})
    monkeypatch.chdir(world.folder)
    assert "in sync  web on prod" in world.driftd("check").out
    monkeypatch.chdir("/")
    assert "there is no driftd.yaml here" in world.driftd("check").err
    monkeypatch.setenv("DRIFTD_CONFIG", file)
    assert "in sync  web on prod" in world.driftd("check").out


def test_a_revision_is_whatever_git_knows_a_commit_by(world: World) -> None:
    """The one before the last, say."""
    in_sync(world)
    world.commit(web=config_map(value="two"))
    assert world.check().code == 1
    assert world.check("--revision", "HEAD~1").code == 0
    missing = world.check("--revision", "HEAD~7")
    assert missing.code == 2
    assert "has no revision 'HEAD~7'" in missing.err


@pytest.mark.parametrize("kind", ["ConfigMap", "configmap", "configmaps", "cm"])
def test_an_object_is_named_as_kubectl_names_it(world: World, kind: str) -> None:
    """By its kind, the plural, or a short name that the cluster knows."""
    in_sync(world)
    result = world.check("--explain", f"{kind}/web")
    assert result.code == 0, result
    assert "data.a" in result.out
