"""A source may be put together of several repositories, at the commits that were applied of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.desired.provider import InProcessProvider
from driftd.desired.source import SourceState
from driftd.desired.sources import ComposedSource, Mount
from driftd.git.source import GitSource
from driftd.model.app import App, ExcludedKinds
from driftd.model.errors import GitError
from driftd.model.revision import Revision
from tests.support.gitserver import GitRepo

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"


def source(repo: GitRepo, name: str) -> GitSource:
    return GitSource(name, repo.url, allow_file=True)


@pytest.fixture
def repositories(tmp_path: Path) -> tuple[GitRepo, GitRepo]:
    """One with an app, and one with what it is built on."""
    base = GitRepo(tmp_path / "base").write({"deploy/base.yaml": CONFIG.format(name="base"), "other.yaml": "no"})
    base.link("deploy/link.yaml", "base.yaml").link("deploy/out.yaml", "/etc/passwd").commit("Base")
    shop = GitRepo(tmp_path / "shop").write({"web/web.yaml": CONFIG.format(name="web"), "vendor/own.yaml": "a: 1"})
    shop.commit("Shop")
    return shop, base


def composed(shop: GitRepo, base: GitRepo, **mount: object) -> ComposedSource:
    return ComposedSource(source(shop, "shop"), (Mount(source(base, "base"), "vendor/base", **mount),))  # type: ignore[arg-type]


async def paths(provider: InProcessProvider, of: ComposedSource, revision: Revision) -> list[str]:
    tree = await provider.mirror(of).tree(revision.sha)
    return [file.path for file in tree.files()]


async def test_what_a_repository_includes_is_added_to_it(repositories: tuple[GitRepo, GitRepo], tmp_path: Path) -> None:
    """Of a folder, what is in it; a link that leads out of its repository is left out. What came later counts not."""
    shop, base = repositories
    applied = f"{shop.head} {base.head}"
    base.write({"deploy/later.yaml": "no"}).commit("Later")
    provider = InProcessProvider(tmp_path / "cache")
    of = composed(shop, base, from_path="deploy").at(applied)
    revision = await provider.fetch(of)
    assert await paths(provider, of, revision) == [
        "vendor/base/base.yaml",
        "vendor/base/link.yaml",
        "vendor/own.yaml",
        "web/web.yaml",
    ]
    again = InProcessProvider(tmp_path / "elsewhere")
    assert await again.fetch(of) == revision == await provider.mirror(of).revision(applied)
    assert not provider.mirror(of).has_history


async def test_only_files_that_are_named_are_taken(repositories: tuple[GitRepo, GitRepo], tmp_path: Path) -> None:
    """One that is not there, or leads out, is left out: whoever needs it says so."""
    shop, base = repositories
    of = composed(shop, base, files=("deploy/base.yaml", "none.yaml", "../shop/web/web.yaml", "deploy/out.yaml"))
    of = of.at(f"{shop.head} {base.head}")
    provider = InProcessProvider(tmp_path / "cache")
    assert await paths(provider, of, await provider.fetch(of)) == [
        "vendor/base/deploy/base.yaml",
        "vendor/own.yaml",
        "web/web.yaml",
    ]
    with pytest.raises(GitError, match=r"no commit|not found|not a commit"):
        await provider.fetch(of.at(f"{shop.head} {'0' * 40}"))


async def test_the_daemon_takes_up_another_commit_of_either(
    repositories: tuple[GitRepo, GitRepo], tmp_path: Path
) -> None:
    """What is desired is rendered of both; more of them than are kept are made anew."""
    shop, base = repositories
    provider = InProcessProvider(tmp_path / "cache")
    app = App(name="app", source="shop", cluster="test")
    of, first = composed(shop, base, from_path="deploy", files=None), f"{shop.head} {base.head}"
    base.remove("deploy/link.yaml", "deploy/out.yaml").commit("Without links")
    state = SourceState(
        of, provider, timedelta(minutes=5), lambda: datetime.now(UTC), name="app", commit=f"{shop.head} {base.head}"
    )
    assert await state.fetch(), state.error
    shop.remove("vendor").commit("Without its own")
    for number in range(25):
        base.write({"deploy/base.yaml": CONFIG.format(name=f"base-{number}")}).commit(str(number))
        assert state.pin(f"{shop.head} {base.head}")
        assert await state.fetch(), state.error
    desired = await state.desired(app)
    assert [one.ref.name for one in desired.manifests] == ["base-24", "web"]
    assert state.pin(first)
    assert await state.fetch()


async def test_kinds_that_a_deployer_leaves_out_are_not_desired(tmp_path: Path) -> None:
    """Whatever Git declares."""
    other = "apiVersion: a.cilium.io/v1\nkind: X\nmetadata: {name: x}\n"
    repo = GitRepo(tmp_path / "repo").write({"a.yaml": CONFIG.format(name="a"), "x.yaml": other})
    repo.commit()
    provider = InProcessProvider(tmp_path / "cache")
    revision = await provider.fetch(source(repo, "repo"))
    for excluded, names in (
        ((), ["a", "x"]),
        ((ExcludedKinds(("*.cilium.io",)), ExcludedKinds((), ("Secret",))), ["a"]),
    ):
        app = App(name="app", source="repo", cluster="test", excluded=excluded)
        desired = await provider.desired(source(repo, "repo"), app, revision)
        assert [one.ref.name for one in desired.manifests] == names
