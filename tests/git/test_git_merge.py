"""Merges that were not made yet: what a branch will have, without touching the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.git.address import repository_key
from driftd.git.merge import branch_named, commit_merge, commits_missing, default_branch, merge_base
from driftd.git.mirror import Mirror
from driftd.git.source import GitSource
from driftd.git.worktree import commit_worktree, remote_addresses
from driftd.model.errors import GitError
from tests.support.gitserver import GitRepo


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    """A repository whose branches `main` and `feature` have one commit each since they parted."""
    repo = GitRepo(tmp_path / "shop")
    repo.write({"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"}).commit("Begin")
    repo.branch("feature")
    repo.write({"a.yaml": "a: 2\n"}).commit("Change a")
    repo.switch("feature")
    repo.write({"b.yaml": "b: 2\n"}).commit("Change b")
    return repo


async def contents(repository: Path, folder: Path) -> dict[str, bytes]:
    """The files of the only branch of a repository."""
    mirror = Mirror(GitSource("shop", str(repository), allow_file=True), folder)
    return (await mirror.tree((await mirror.fetch()).sha)).read(["a.yaml", "b.yaml"])


@pytest.mark.parametrize("linked", [False, True])
async def test_a_branch_is_merged_beside_the_repository(repo: GitRepo, tmp_path: Path, linked: bool) -> None:
    """Also from a linked worktree; nothing is written to the user's repository."""
    root = repo.folder
    if linked:
        root = tmp_path / "linked"
        repo.git("worktree", "add", "--quiet", "--detach", str(root), "feature")
    before = sorted((path, path.stat().st_mtime_ns) for path in repo.folder.rglob("*"))
    made = commit_merge(root, branch_named(root, "main"), repo.git("rev-parse", "feature"), tmp_path / "made")
    assert made
    assert sorted((path, path.stat().st_mtime_ns) for path in repo.folder.rglob("*")) == before
    assert await contents(tmp_path / "made", tmp_path / "mirror") == {"a.yaml": b"a: 2\n", "b.yaml": b"b: 2\n"}


async def test_what_is_not_committed_is_merged_as_well(repo: GitRepo, tmp_path: Path) -> None:
    repo.write({"b.yaml": "b: 3\n"})
    commit = commit_worktree(repo.folder, tmp_path / "made")
    commit_merge(repo.folder, branch_named(repo.folder, "main"), commit, tmp_path / "made")
    assert await contents(tmp_path / "made", tmp_path / "mirror") == {"a.yaml": b"a: 2\n", "b.yaml": b"b: 3\n"}


def test_a_branch_that_has_all_of_its_base_is_what_the_merge_will_be(repo: GitRepo, tmp_path: Path) -> None:
    repo.git("merge", "--quiet", "main")
    assert commit_merge(repo.folder, branch_named(repo.folder, "main"), repo.head, tmp_path / "made") is None


def test_a_conflict_names_the_files(repo: GitRepo, tmp_path: Path) -> None:
    head = repo.write({"a.yaml": "a: 3\n", "b.yaml": "b: 3\n"}).commit("Change both")
    with pytest.raises(GitError, match=rf"^{head[:8]} conflicts with main in a.yaml: resolve it first$"):
        commit_merge(repo.folder, branch_named(repo.folder, "main"), head, tmp_path / "made")


def test_the_end_of_a_history_cannot_be_merged(repo: GitRepo, tmp_path: Path) -> None:
    """What to fetch is said."""
    shallow = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth", "1", "--no-single-branch", f"file://{repo.folder}", str(shallow))
    clone = GitRepo(shallow)
    with pytest.raises(GitError, match="fetch all of it"):
        commit_merge(shallow, branch_named(shallow, "main"), clone.head, tmp_path / "made")


def test_the_default_branch_is_the_remotes(repo: GitRepo) -> None:
    """As it was last fetched; without a remote there is none."""
    assert default_branch(repo.folder) is None
    repo.git("update-ref", "refs/remotes/origin/main", "main")
    found = default_branch(repo.folder)
    assert found
    assert (found.name, found.commit) == ("origin/main", repo.git("rev-parse", "main"))
    assert branch_named(repo.folder, "origin/main") == found
    assert merge_base(repo.folder, found.commit, repo.head) == repo.git("rev-parse", "main~1")
    assert commits_missing(repo.folder, found.commit, repo.head) == 1


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/Shop/deploy.git", "https://github.com/shop/deploy", "https://me:token@github.com/shop/deploy/",
        "git@github.com:shop/deploy.git", "ssh://git@GitHub.com:22/shop/deploy.git", "git://github.com/shop/deploy",
    ],
)  # fmt: skip
def test_addresses_of_one_repository_are_known_as_such(repo: GitRepo, address: str) -> None:
    """By whatever protocol, login and spelling."""
    repo.git("remote", "add", "origin", address)
    assert {repository_key(each) for each in remote_addresses(repo.folder)} == {"github.com/shop/deploy"}
    assert repository_key("https://github.com/shop/other") != "github.com/shop/deploy"


def test_a_repository_without_a_remote_has_no_address(repo: GitRepo) -> None:
    assert remote_addresses(repo.folder) == frozenset()
