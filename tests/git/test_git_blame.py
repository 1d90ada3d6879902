"""Who wrote a line, and which commits touched a path."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from driftd.git.source import Ref, RefKind
from driftd.model.errors import PathNotFound, RefNotFound
from driftd.model.revision import GitLine
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo

FILE = "apps/web/deploy.yaml"
INDIA = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5, minutes=30)))


async def test_a_line_is_blamed_on_who_wrote_it_last(mirror: MirrorMaker, repo: GitRepo) -> None:
    """With the author's time in the author's time zone; other lines stay with their own."""
    first = repo.head
    second = repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up", author="Bo Büld", date=INDIA)
    tracked = mirror()
    await tracked.fetch()
    lines = await tracked.blame(second, FILE, {1, 2, 3, 0, -4})
    assert lines[2] == GitLine(FILE, 2, second, "Bo Büld", INDIA, "Scale up")
    assert lines[2].time is not None
    assert lines[2].time.isoformat() == "2026-02-03T04:05:06+05:30"
    assert (lines[1].commit, lines[1].author, lines[1].subject) == (first, "Ann Author", "Add the web app")
    assert lines.keys() == {1, 2}


async def test_a_reverted_line_is_blamed_on_the_revert(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The content is the one of the first commit again, and still another hand wrote it."""
    first = repo.head
    original = (repo.folder / FILE).read_text()
    repo.write({FILE: original.replace("3", "5")}).commit("Scale up")
    third = repo.write({FILE: original}).commit("Revert")
    tracked = mirror()
    await tracked.fetch()
    assert (await tracked.blame(first, FILE, [2]))[2].commit == first
    assert (await tracked.blame(third, FILE, [2]))[2].commit == third
    assert (await tracked.blame(first, FILE, [2]))[2].commit == first


async def test_many_lines_are_blamed_at_once(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Scattered ones and ranges, of a file without a newline at its end."""
    repo.write({FILE: "".join(f"line {number}\n" for number in range(1, 200)) + "last"})
    sha = repo.commit("Many")
    tracked = mirror()
    await tracked.fetch()
    wanted = [1, 2, 3, 50, 199, 200, 201]
    lines = await tracked.blame(sha, FILE, wanted)
    assert sorted(lines) == [1, 2, 3, 50, 199, 200]
    assert {line.commit for line in lines.values()} == {sha}
    assert all(number == line.line for number, line in lines.items())
    assert await tracked.blame(sha, FILE, wanted) == lines
    assert await tracked.blame(sha, FILE, []) == {}


async def test_a_renamed_file_and_a_linked_one_are_followed(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The line keeps the name that was asked for."""
    first = repo.head
    repo.git("mv", FILE, "moved.yaml")
    repo.link("apps/link.yaml", "../moved.yaml")
    sha = repo.commit("Move")
    tracked = mirror()
    await tracked.fetch()
    for name in ("moved.yaml", "apps/link.yaml"):
        line = (await tracked.blame(sha, name, [2]))[2]
        assert (line.file, line.commit) == (name, first)


async def test_a_shallow_history_blames_nobody_for_what_is_older(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """Git itself would blame the oldest commit that it has. What is newer is known."""
    repo.commit("Cut off here")
    newest = repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up")
    repo.git("clone", "--quiet", "--depth=2", f"file://{repo.folder}", str(tmp_path / "shallow"))
    tracked = mirror(url=str(tmp_path / "shallow"))
    assert (await tracked.fetch()).sha == newest
    lines = await tracked.blame(newest, FILE, [1, 2])
    assert lines[1] == GitLine(FILE, 1)
    assert lines[2].commit == newest


async def test_a_file_or_a_commit_that_is_not_there_is_not_found(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Nor is a folder a file."""
    tracked = mirror()
    await tracked.fetch()
    for path in ("nope.yaml", "apps", "apps/web/deploy.yaml/x"):
        with pytest.raises(PathNotFound):
            await tracked.blame(repo.head, path, [1])
    with pytest.raises(RefNotFound):
        await tracked.blame("0" * 40, FILE, [1])


async def test_the_log_is_of_the_commits_that_touched_a_path(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Newest first, and no more than were asked for."""
    first = repo.head
    repo.write({"other.yaml": "x"}).commit("Elsewhere")
    third = repo.write({FILE: "replicas: 5\n"}).commit("Scale up", author="Bo")
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    log = await tracked.log(third, "apps/web", 10)
    assert [(one.sha, one.author, one.subject) for one in log] == [
        (third, "Bo", "Scale up"),
        (first, "Ann Author", "Add the web app"),
    ]
    assert [one.sha for one in await tracked.log(third, "", 1)] == [third]
    assert len(await tracked.log(third, "", 10)) == 3
    assert await tracked.log(third, "nope", 10) == []
    with pytest.raises(RefNotFound):
        await tracked.log("main", "", 1)
