"""A local repository as its user sees it: from any of its folders, and with what is not committed yet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from driftd.git.mirror import Mirror
from driftd.git.source import GitSource
from driftd.git.worktree import commit_worktree, find_repository, uncommitted_files
from driftd.model.errors import GitError
from tests.support.gitserver import GitRepo


def test_a_repository_is_found_from_any_of_its_folders(repo: GitRepo) -> None:
    """As Git finds it."""
    found = find_repository(repo.folder / "apps" / "web")
    assert (found.root, found.path) == (repo.folder.resolve(), "apps/web")
    assert find_repository(repo.folder).path == ""


def test_a_bare_repository_is_one(repo: GitRepo, tmp_path: Path) -> None:
    """It has no working tree, and so nothing that is not committed."""
    repo.git("clone", "--quiet", "--bare", str(repo.folder), str(tmp_path / "bare.git"))
    assert find_repository(tmp_path / "bare.git").root == (tmp_path / "bare.git").resolve()
    assert uncommitted_files(tmp_path / "bare.git", "") == 0
    with pytest.raises(GitError, match="no working tree"):
        commit_worktree(tmp_path / "bare.git", tmp_path / "made")


def test_a_folder_of_no_repository_gets_a_sentence_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"is in no Git repository: name a folder of one"):
        find_repository(tmp_path)


def test_edited_new_and_deleted_files_are_not_committed_and_ignored_ones_do_not_count(repo: GitRepo) -> None:
    """Only those of the folder that is checked."""
    repo.write({".gitignore": "*.log\n", "apps/web/gone.yaml": "a: 1\n"}).commit("Ignore logs")
    assert uncommitted_files(repo.folder, "apps/web") == 0
    repo.write({"apps/web/deploy.yaml": "kind: Job\n", "apps/web/new.yaml": "", "apps/web/x.log": "", "other": ""})
    (repo.folder / "apps/web/gone.yaml").unlink()
    assert uncommitted_files(repo.folder, "apps/web") == 3
    assert uncommitted_files(repo.folder, "") == 4


@pytest.mark.parametrize("key", ["clean", "process"])
def test_no_program_that_the_repository_configures_is_run(repo: GitRepo, tmp_path: Path, key: str) -> None:
    """The repository may be somebody else's: found further up, in a folder that all may write to."""
    repo.write({".gitattributes": "* filter=evil\n"}).commit("Filter")
    repo.git("config", f"filter.evil.{key}", f"touch {tmp_path / 'run'}; cat")
    repo.git("config", "filter.evil.required", "true")
    repo.git("config", "core.fsmonitor", f"touch {tmp_path / 'run'}")
    os.utime(repo.folder / "apps/web/deploy.yaml", (1, 1))  # so that Git looks into it
    assert uncommitted_files(repo.folder, "apps/web") == 0
    commit_worktree(repo.folder, tmp_path / "made")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("linked", [False, True])
async def test_the_working_tree_is_a_commit_on_top_of_the_last_one(repo: GitRepo, tmp_path: Path, linked: bool) -> None:
    """In a repository of its own: nothing is written to the user's, neither to its index nor to its objects."""
    root = repo.folder
    if linked:
        root = tmp_path / "linked"
        repo.git("worktree", "add", "--quiet", str(root), "-b", "other")
    (root / "apps/web/new.yaml").write_text("kind: Service\n")
    (root / "apps/web/deploy.yaml").write_text("kind: Deployment\nreplicas: 5\n")
    before = sorted((path, path.stat().st_mtime_ns) for path in repo.folder.rglob("*"))
    commit_worktree(root, tmp_path / "made")
    assert sorted((path, path.stat().st_mtime_ns) for path in repo.folder.rglob("*")) == before
    mirror = Mirror(GitSource("shop", str(tmp_path / "made"), allow_file=True), tmp_path / "mirror")
    revision = await mirror.fetch()
    assert (revision.author, revision.subject) == ("Not Committed Yet", "Uncommitted changes")
    tree = await mirror.tree(revision.sha)
    assert {file.path for file in tree.files("apps/web")} == {"apps/web/deploy.yaml", "apps/web/new.yaml"}


async def test_the_first_commit_need_not_be_there(tmp_path: Path) -> None:
    """A repository in which nothing is committed can be checked, too."""
    empty = GitRepo(tmp_path / "empty")
    empty.write({"a.yaml": "kind: Service\n"})
    commit_worktree(empty.folder, tmp_path / "made")
    mirror = Mirror(GitSource("shop", str(tmp_path / "made"), allow_file=True), tmp_path / "mirror")
    assert (await mirror.fetch()).author == "Not Committed Yet"


async def test_the_working_tree_of_a_repository_of_sha256_objects_is_read_as_any_other(tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "shop", "main", "--object-format=sha256")
    repo.write({"a.yaml": "a: 1\n"}).commit("Begin")
    repo.write({"a.yaml": "a: 2\n"})
    commit_worktree(repo.folder, tmp_path / "made")
    mirror = Mirror(GitSource("shop", str(tmp_path / "made"), allow_file=True), tmp_path / "mirror")
    fetched = await mirror.fetch()
    assert (await mirror.tree(fetched.sha)).read(["a.yaml"]) == {"a.yaml": b"a: 2\n"}
