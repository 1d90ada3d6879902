"""A single check of a local repository reads its objects in place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from driftd.git.source import Ref, RefKind
from driftd.model.errors import DriftdError
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo

FILE = "apps/web/deploy.yaml"


def own_objects(mirror: Path) -> list[Path]:
    """The files of objects that a mirror holds itself."""
    objects = mirror / "repository.git" / "objects"
    return [file for file in objects.rglob("*") if file.is_file() and file.parent.name != "info"]


@pytest.mark.parametrize("bare", [False, True])
async def test_nothing_is_copied_and_everything_can_be_read(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path, bare: bool
) -> None:
    """Files, blame and history; and again after the next commit."""
    url = str(repo.folder)
    if bare:
        url = str(tmp_path / "bare.git")
        repo.git("clone", "--quiet", "--mirror", ".", url)
    tracked = mirror(url=url, borrow=True)
    for replicas in (3, 4):
        repo.write({FILE: f"kind: Deployment\nreplicas: {replicas}\n"})
        if replicas == 4:
            repo.commit("Scale")
            if bare:
                repo.git("push", "--quiet", "--all", url)
        revision = await tracked.fetch()
        assert revision.sha == repo.head
        tree = await tracked.tree(revision.sha)
        assert tree.read([FILE])[FILE].endswith(f"replicas: {replicas}\n".encode())
        assert (await tracked.blame(revision.sha, {FILE: [2]}))[FILE][2].commit == repo.head
        assert own_objects(tmp_path / "mirror") == []
    assert [step.subject for step in await tracked.log(repo.head, [FILE], 9)] == ["Scale", "Add the web app"]


async def test_a_history_that_was_rewritten_and_pruned_is_fetched_anew(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The commit in the mirror's state is gone: the mirror is rebuilt."""
    tracked = mirror(borrow=True)
    before = await tracked.fetch()
    repo.git("commit", "--quiet", "--amend", "--message", "Another beginning", "--allow-empty")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    revision = await tracked.fetch()
    assert (revision.sha, revision.subject) == (repo.head, "Another beginning")
    assert revision.sha != before.sha
    assert FILE in (await tracked.tree(revision.sha)).read([FILE])


async def test_a_shallow_repository_lends_nothing(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """Its oldest commit would be blamed for all older lines."""
    repo.write({"apps/web/other.yaml": "x: 1\n"}).commit("Later")
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.folder}", str(tmp_path / "shallow"))
    tracked = mirror(url=str(tmp_path / "shallow"), borrow=True)
    revision = await tracked.fetch()
    assert own_objects(tmp_path / "mirror") != []
    assert (await tracked.blame(revision.sha, {FILE: [1]}))[FILE][1].commit is None


async def test_a_linked_worktree_is_copied(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """It has its objects elsewhere."""
    repo.git("worktree", "add", "--quiet", "-b", "next", str(tmp_path / "linked"))
    tracked = mirror(Ref(RefKind.BRANCH, "next"), url=str(tmp_path / "linked"), borrow=True)
    assert FILE in (await tracked.tree((await tracked.fetch()).sha)).read([FILE])


@pytest.mark.parametrize("name", [".git", "..", ".", ".GIT"])
async def test_a_tree_that_would_write_where_nothing_may_be_written_does_not(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path, name: str
) -> None:
    """Borrowed objects are not checked by a fetch, so the export has to check them."""
    blob = repo.git("hash-object", "-w", FILE)
    repo.commit_tree(("40000", name, repo.tree(("100644", "config", blob))))
    target = tmp_path / "to" / "export"
    tracked = mirror(borrow=True)
    with suppress(DriftdError):  # to refuse it is as good
        (await tracked.tree((await tracked.fetch()).sha)).export(target)
    written = [file.relative_to(tmp_path) for file in (tmp_path / "to").rglob("*") if file.is_file()]
    assert [file for file in written if file.parent != Path("to/export")] == []


async def test_a_tree_with_a_link_and_a_folder_of_one_name_writes_nothing_outside(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """The link would take the folder's files elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    repo.commit_link_over_folder(outside)
    tracked = mirror(borrow=True)
    tree = await tracked.tree((await tracked.fetch()).sha)
    with suppress(DriftdError):  # to refuse it is as good
        tree.export(tmp_path / "export")
    assert list(outside.iterdir()) == []
