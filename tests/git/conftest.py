"""Fixtures: repositories, mirrors of them, and servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from driftd.git.mirror import Mirror
from driftd.git.source import GitSource, Ref
from tests.support.certificates import Authority
from tests.support.gitserver import GitRepo, HttpsGitServer, SshGitServer

MirrorMaker = Callable[..., Mirror]


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    """A repository with one commit on `main`."""
    made = GitRepo(tmp_path / "served" / "shop")
    made.write({"apps/web/deploy.yaml": "kind: Deployment\nreplicas: 3\n"}).commit("Add the web app")
    return made


@pytest.fixture
def mirror(tmp_path: Path, repo: GitRepo) -> MirrorMaker:
    """Creates mirrors of the repository, by its local path and in one folder by default."""

    def make(ref: Ref | None = None, *, folder: str = "mirror", **changes: Any) -> Mirror:
        settings: dict[str, Any] = {"name": "shop", "url": repo.url, "allow_file": True, "timeout": 30.0} | changes
        return Mirror(GitSource(ref=ref or Ref(), **settings), tmp_path / folder)

    return make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("git-ca"))


@pytest.fixture
def https(tmp_path: Path, repo: GitRepo, authority: Authority) -> Iterator[HttpsGitServer]:
    """An https server that has the repository as `shop`, open to everybody until `logins` are set."""
    with HttpsGitServer(tmp_path / "served", authority) as server:
        yield server


@pytest.fixture
def ssh(tmp_path: Path, repo: GitRepo) -> Iterator[SshGitServer]:
    """An ssh server that has the repository as `shop`."""
    with SshGitServer(tmp_path / "served", tmp_path / "keys") as server:
        yield server
