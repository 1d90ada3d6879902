"""The shortcut for files of a single commit agrees with `git blame` on each file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from driftd.git import single_commit
from driftd.model.revision import GitLine
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo

FILES = {f"apps/{name}.yaml": f"kind: ConfigMap\nname: {name}\nlast: line" for name in "abcdef"}
LINES = (1, 2, 3, 4)

Answers = Mapping[str, Mapping[int, GitLine]]


async def both(mirror: MirrorMaker, files: list[str]) -> tuple[Answers, Answers]:
    """The blame of all files in one call, and of each file in its own."""
    together, alone = mirror(), mirror()
    sha = (await together.fetch()).sha
    await alone.fetch()
    one_by_one: dict[str, dict[int, GitLine]] = {}
    for file in files:
        one_by_one |= await alone.blame(sha, {file: LINES})
    return await together.blame(sha, dict.fromkeys(files, LINES)), one_by_one


def edited(repo: GitRepo) -> None:
    repo.write({"apps/b.yaml": "kind: ConfigMap\nname: other\nlast: line"}).commit("Change b")


def renamed(repo: GitRepo) -> None:
    repo.git("mv", "apps/c.yaml", "apps/moved.yaml")
    repo.commit("Move c")


def made_anew(repo: GitRepo) -> None:
    """Deleted and restored: the file is older than its restoration."""
    repo.git("rm", "--quiet", "apps/d.yaml")
    repo.commit("Take d away")
    repo.write({"apps/d.yaml": FILES["apps/d.yaml"]}).commit("Bring d back")


def merged(repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "side")
    repo.write({"apps/new.yaml": "from: side\n", "apps/a.yaml": "kind: Side\n"}).commit("On the side")
    repo.git("checkout", "--quiet", "main")
    repo.write({"apps/e.yaml": "kind: Main\n"}).commit("On main")
    repo.git("merge", "--quiet", "--no-ff", "-m", "Merge side", "side")


def linked(repo: GitRepo) -> None:
    repo.link("apps/link.yaml", "a.yaml").commit("Link")


def worded(repo: GitRepo) -> None:
    """A subject over two lines, and an author that the mailmap renames."""
    repo.write({".mailmap": "Right Name <right@example.com> Wrong <dev@example.com>\n", "apps/g.yaml": "a: b\n"})
    repo.commit("First line\nsecond line\n\nBody", author="Wrong")


@pytest.mark.parametrize("history", [edited, renamed, made_anew, merged, linked, worded])
async def test_many_files_are_blamed_as_each_of_them_is(
    mirror: MirrorMaker, repo: GitRepo, history: Callable[[GitRepo], None]
) -> None:
    """Whatever happened to them."""
    repo.write(FILES).commit("Declare\n\nSix of them")
    history(repo)
    files = [line for line in repo.git("ls-files", "apps").split() if line]
    together, alone = await both(mirror, [*files, "apps/nope.yaml"])
    assert together == alone
    assert set(together) == set(files)


async def test_files_that_one_commit_wrote_take_no_blame(
    mirror: MirrorMaker, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are."""
    repo.write(FILES).commit("Declare")
    monkeypatch.setattr("driftd.git.blame._run_blame", _not_asked)
    tracked = mirror()
    sha = (await tracked.fetch()).sha
    blamed = await tracked.blame(sha, dict.fromkeys(FILES, (2, 4)))
    assert {(file, number): line.commit for file, lines in blamed.items() for number, line in lines.items()} == {
        (file, 2): sha for file in FILES
    }


async def test_a_long_history_is_not_walked_through(
    mirror: MirrorMaker, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is blamed by itself then, with the same result."""
    repo.write(FILES).commit("Declare")
    monkeypatch.setattr(single_commit, "_MAX_COMMITS", 1)
    monkeypatch.setattr("driftd.git.blame.single_commit_files", _not_asked)
    together, alone = await both(mirror, list(FILES))
    assert together == alone


def _not_asked(*_args: Any) -> Any:
    raise AssertionError("this must not be asked")
