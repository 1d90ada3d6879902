"""What is known of folders stays known while they cannot be listed, and nothing begins anew for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.config.settings import Config
from driftd.daemon.assembly import git_source
from driftd.daemon.patterns import PatternApps, expanded, fetched, mirrored
from driftd.git import folders
from driftd.git.mirror import mirror_of
from driftd.model.revision import Revision
from tests.support.gitserver import GitRepo


@pytest.fixture
def repository(tmp_path: Path) -> GitRepo:
    made = GitRepo(tmp_path / "repository")
    made.write({"apps/web/a": "a"}).commit()
    return made


@pytest.fixture
def config(tmp_path: Path, repository: GitRepo) -> Config:
    return Config.model_validate({
        "sources": [{"name": "shop", "url": repository.url}],
        "apps": [{"name": "{folder}", "source": "shop", "path": "apps/*"}],
        "cacheDir": str(tmp_path / "mirrors"),
    })  # fmt: skip


async def fetch(config: Config) -> Revision:
    """As the daemon does it."""
    return await mirror_of(git_source(config.sources[0]), config.cache_dir).fetch()


def names(config: Config) -> list[str]:
    return [app.name for app in config.apps]


async def test_a_commit_whose_folders_cannot_be_listed_ends_no_app(
    config: Config, repository: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pattern is unknown until they can be; then the apps are those of the commit."""
    changes: list[None] = []
    patterns = PatternApps(config, lambda: changes.append(None))
    await patterns.look_at_mirrors()
    assert (names(patterns.config), patterns.not_known, patterns.is_complete) == ([], ["shop/apps/*"], False)
    assert not await patterns.look("shop", await fetch(config))
    assert (names(patterns.config), patterns.not_known, patterns.is_complete) == (["web"], [], True)
    repository.write({"apps/api/a": "a"}).remove("apps/web").commit()
    revision = await fetch(config)
    monkeypatch.setattr(folders, "MAX_FOLDERS", 0)
    assert await patterns.look("shop", revision)
    assert (names(patterns.config), patterns.is_complete) == (["web"], False)
    assert "apps/* matches more than 0 folders" in patterns.not_judged["shop/apps/*"][1]
    monkeypatch.undo()
    assert not await patterns.look("shop", revision)
    assert (names(patterns.config), patterns.not_judged, patterns.is_complete) == (["api"], {}, True)
    assert len(changes) == 2


async def test_a_commit_that_adds_no_folder_changes_nothing(config: Config, repository: GitRepo) -> None:
    """Nor does a folder that is no app, which is told all the same."""
    changes: list[None] = []
    patterns = PatternApps(config, lambda: changes.append(None))
    await patterns.look("shop", await fetch(config))
    repository.write({"apps/web/b": "b", "apps/Bad/a": "a", "readme": "r"}).commit()
    assert await patterns.look("shop", await fetch(config))
    assert (names(patterns.config), list(patterns.not_judged), len(changes)) == (["web"], ["shop/apps/Bad"], 1)
    again = PatternApps(config)
    await again.look_at_mirrors()
    assert names(again.config) == ["web"], "the mirror knows it"


async def test_a_command_takes_what_is_mirrored_and_fetches_where_that_is_nothing(
    config: Config, repository: GitRepo
) -> None:
    """Or what is in Git now, where it has to know."""
    assert names((await expanded(config, mirrored(config))).config) == ["web"]
    repository.write({"apps/api/a": "a"}).commit()
    assert names((await expanded(config, mirrored(config))).config) == ["web"]
    assert names((await expanded(config, fetched(config))).config) == ["api", "web"]
    repository.folder.rename(repository.folder.parent / "away")
    assert names((await expanded(config, mirrored(config))).config) == ["api", "web"]
    failing = await expanded(config, fetched(config))
    assert "its folders are not known" in failing.not_judged["shop/apps/*"][1]
