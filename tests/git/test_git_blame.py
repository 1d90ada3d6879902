"""Which commit last changed a line, and which commits changed a path."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from driftd.git.mirror import Mirror
from driftd.git.runner import GitRunner
from driftd.git.source import Ref, RefKind
from driftd.model.errors import RefNotFound
from driftd.model.revision import GitLine
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo

FILE = "apps/web/deploy.yaml"
INDIA = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5, minutes=30)))


async def blame(mirror: Mirror, sha: str, file: str, lines: Collection[int]) -> dict[int, GitLine]:
    """The blame of lines of one file."""
    return (await mirror.blame(sha, {file: lines})).get(file, {})


async def test_a_line_is_blamed_on_who_wrote_it_last(mirror: MirrorMaker, repo: GitRepo) -> None:
    """With the author's time in the author's time zone; other lines stay with their own."""
    first = repo.head
    second = repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up", author="Bo Büld", date=INDIA)
    tracked = mirror()
    await tracked.fetch()
    lines = await blame(tracked, second, FILE, {1, 2, 3, 0, -4})
    assert lines[2] == GitLine(FILE, 2, second, "Bo Büld", INDIA, "Scale up")
    assert lines[2].time is not None
    assert lines[2].time.isoformat() == "2026-02-03T04:05:06+05:30"
    assert (lines[1].commit, lines[1].author, lines[1].subject) == (first, "Ann Author", "Add the web app")
    assert lines.keys() == {1, 2}


async def test_a_reverted_line_is_blamed_on_the_revert(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The content equals that of the first commit, and still another commit wrote it."""
    first = repo.head
    original = (repo.folder / FILE).read_text()
    repo.write({FILE: original.replace("3", "5")}).commit("Scale up")
    third = repo.write({FILE: original}).commit("Revert")
    tracked = mirror()
    await tracked.fetch()
    assert (await blame(tracked, first, FILE, [2]))[2].commit == first
    assert (await blame(tracked, third, FILE, [2]))[2].commit == third
    assert (await blame(tracked, first, FILE, [2]))[2].commit == first


async def test_many_lines_are_blamed_at_once(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Scattered ones and ranges, of a file without a newline at its end."""
    repo.write({FILE: "".join(f"line {number}\n" for number in range(1, 200)) + "last"})
    sha = repo.commit("Many")
    tracked = mirror()
    await tracked.fetch()
    numbers = [1, 2, 3, 50, 199, 200, 201]
    lines = await blame(tracked, sha, FILE, numbers)
    assert sorted(lines) == [1, 2, 3, 50, 199, 200]
    assert {line.commit for line in lines.values()} == {sha}
    assert all(number == line.line for number, line in lines.items())
    assert await blame(tracked, sha, FILE, numbers) == lines
    assert await blame(tracked, sha, FILE, []) == {}


async def test_a_renamed_file_and_a_linked_one_are_followed(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The line keeps the name that was asked for."""
    first = repo.head
    repo.git("mv", FILE, "moved.yaml")
    repo.link("apps/link.yaml", "../moved.yaml")
    sha = repo.commit("Move")
    tracked = mirror()
    await tracked.fetch()
    for name in ("moved.yaml", "apps/link.yaml"):
        line = (await blame(tracked, sha, name, [2]))[2]
        assert (line.file, line.commit) == (name, first)


async def test_a_shallow_history_blames_nobody_for_what_is_older(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """Git itself would blame the oldest commit that it has. Newer lines have their commits."""
    repo.commit("Cut off here")
    newest = repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up")
    repo.git("clone", "--quiet", "--depth=2", f"file://{repo.folder}", str(tmp_path / "shallow"))
    tracked = mirror(url=str(tmp_path / "shallow"))
    assert (await tracked.fetch()).sha == newest
    lines = await blame(tracked, newest, FILE, [1, 2])
    assert lines[1] == GitLine(FILE, 1)
    assert lines[2].commit == newest


async def test_a_file_that_is_not_there_has_no_lines(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Nor has a folder; the others are blamed all the same. A commit that is not there is an error."""
    tracked = mirror()
    await tracked.fetch()
    for path in ("nope.yaml", "apps", "apps/web/deploy.yaml/x"):
        assert await tracked.blame(repo.head, {path: [1], FILE: [1]}) == await tracked.blame(repo.head, {FILE: [1]})
    with pytest.raises(RefNotFound):
        await blame(tracked, "0" * 40, FILE, [1])


async def test_the_log_is_of_the_commits_that_touched_a_path(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Newest first, up to the limit."""
    first = repo.head
    repo.write({"other.yaml": "x"}).commit("Elsewhere")
    third = repo.write({FILE: "replicas: 5\n"}).commit("Scale up", author="Bo")
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    log = await tracked.log(third, ["apps/web"], 10)
    assert [(commit.sha, commit.author, commit.subject) for commit in log] == [
        (third, "Bo", "Scale up"),
        (first, "Ann Author", "Add the web app"),
    ]
    assert [commit.sha for commit in await tracked.log(third, [""], 1)] == [third]
    assert len(await tracked.log(third, [""], 10)) == 3
    assert await tracked.log(third, ["nope"], 10) == []
    with pytest.raises(RefNotFound):
        await tracked.log("main", [""], 1)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Git subcommands in the order in which they are run."""
    commands: list[str] = []
    run = GitRunner.run

    def record(git: GitRunner, *arguments: str, stdin: bytes | None = None) -> bytes:
        commands.append(arguments[0])
        return run(git, *arguments, stdin=stdin)

    monkeypatch.setattr(GitRunner, "run", record)
    return commands


async def test_a_commit_that_left_the_files_alone_costs_no_blame(
    mirror: MirrorMaker, repo: GitRepo, runs: list[str]
) -> None:
    """Whatever the number of files: the commits between are compared once, and the next blame runs no Git."""
    names = [f"apps/web/{number}.yaml" for number in range(5)]
    touched = repo.write(dict.fromkeys(names, "kind: ConfigMap\n")).commit("Many")
    tracked = mirror()
    await tracked.fetch()
    before = [await blame(tracked, touched, name, [1]) for name in names]
    newest = [repo.write({"README": text}).commit(text) for text in ("One", "Two", "Three")][-1]
    await tracked.fetch()
    runs.clear()
    assert [await blame(tracked, newest, name, [1]) for name in names] == before
    assert runs.count("rev-list") == runs.count("diff-tree") == 1
    assert "blame" not in runs
    runs.clear()
    assert [await blame(tracked, newest, name, [1]) for name in names] == before
    assert runs == []


async def test_a_file_that_was_changed_and_reverted_between_two_blames_is_blamed_anew(
    mirror: MirrorMaker, repo: GitRepo
) -> None:
    """Its content is the same at both commits, and the author of the line is another."""
    first = repo.head
    original = (repo.folder / FILE).read_text()
    tracked = mirror()
    await tracked.fetch()
    assert (await blame(tracked, first, FILE, [2]))[2].commit == first
    repo.write({FILE: original.replace("3", "5")}).commit("Scale up")
    third = repo.write({FILE: original}).commit("Revert")
    fourth = repo.write({"README": "words"}).commit("Words")
    await tracked.fetch()
    assert (await blame(tracked, fourth, FILE, [2]))[2].commit == third


async def test_what_a_merge_brings_in_is_blamed_as_git_does(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Whichever side changed a file, and whatever was cached before the merge."""
    other = "other.yaml"
    repo.write({other: "kind: Other\n"}).commit("Add another")
    repo.switch("side", new=True)
    side = repo.write({FILE: "kind: Deployment\nreplicas: 7\n"}).commit("On the side")
    repo.switch("main")
    main = repo.write({other: "kind: Another\n"}).commit("On main")
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    for file in (FILE, other):
        await blame(tracked, main, file, [1, 2] if file == FILE else [1])
    repo.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    assert (await tracked.fetch()).sha == repo.head
    assert (await blame(tracked, repo.head, FILE, [2]))[2].commit == side
    assert (await blame(tracked, repo.head, other, [1]))[1].commit == main


async def test_a_branch_that_took_main_in_is_blamed_as_git_does(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Main changed and reverted a file; the merge's first parent never had that change: the old commit is blamed."""
    first, original = repo.head, (repo.folder / FILE).read_text()
    repo.branch("side")
    repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up")
    reverted = repo.write({FILE: original}).commit("Revert")
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    assert (await blame(tracked, reverted, FILE, [2]))[2].commit == reverted
    repo.switch("side")
    repo.write({"README": "words"}).commit("Words")
    repo.git("merge", "--quiet", "--no-ff", "--no-edit", "main")
    merge = repo.head
    repo.branch("main", at=merge)
    await tracked.fetch()
    expected = repo.git("blame", "--porcelain", "-L2,2", merge, "--", FILE).split()[0]
    assert expected == first
    assert (await blame(tracked, merge, FILE, [2]))[2].commit == expected


async def test_a_linked_file_is_blamed_anew_when_what_it_leads_to_changes(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Although no commit changed the link."""
    before = repo.link("apps/link.yaml", "web/deploy.yaml").commit("Link")
    tracked = mirror()
    await tracked.fetch()
    await blame(tracked, before, "apps/link.yaml", [2])
    after = repo.write({FILE: "kind: Deployment\nreplicas: 9\n"}).commit("Scale up")
    await tracked.fetch()
    assert (await blame(tracked, after, "apps/link.yaml", [2]))[2].commit == after


async def test_a_shallow_mirror_is_deepened_by_a_blame_and_not_before(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path, runs: list[str]
) -> None:
    """The remote was shallow and has its whole history by now: a fetch does not deepen the mirror, a blame does."""
    first = repo.head
    newest = repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up")
    served = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.folder}", str(served))
    tracked = mirror(url=str(served))
    await tracked.fetch()
    repo.git("-C", str(served), "fetch", "--quiet", "--unshallow")
    assert (await tracked.fetch()).sha == newest
    assert (tmp_path / "mirror" / "repository.git" / "shallow").exists()
    lines = await blame(tracked, newest, FILE, [1, 2])
    assert {number: line.commit for number, line in lines.items()} == {1: first, 2: newest}
    assert [commit.sha for commit in await mirror(url=str(served)).log(newest, [FILE], 9)] == [newest, first]


async def test_a_remote_that_has_no_more_history_is_asked_once(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path, runs: list[str]
) -> None:
    """Neither a further blame nor a fetch asks again: only a new commit makes another attempt worthwhile."""
    repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up")
    served = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.folder}", str(served))
    tracked = mirror(url=str(served))
    newest = (await tracked.fetch()).sha
    runs.clear()
    for _ in range(3):
        assert await blame(tracked, newest, FILE, [2]) == {2: GitLine(FILE, 2)}
        assert len(await tracked.log(newest, [FILE], 9)) == 1
    assert runs.count("fetch") == 1
    await tracked.fetch()
    await tracked.log(newest, [FILE], 9)
    assert runs.count("fetch") == 2


async def test_a_remote_that_is_away_costs_no_answer(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """The history that the mirror has is still returned."""
    repo.write({FILE: "kind: Deployment\nreplicas: 5\n"}).commit("Scale up")
    served = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.folder}", str(served))
    tracked = mirror(url=str(served))
    newest = (await tracked.fetch()).sha
    served.rename(tmp_path / "away")
    assert await blame(tracked, newest, FILE, [2]) == {2: GitLine(FILE, 2)}


async def test_path_changes_are_the_files_in_which_each_commit_differs(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Compared with the next newer commit that changed the path; a blob's content can be read by its hash."""
    first, blob = repo.head, repo.git("rev-parse", f"HEAD:{FILE}")
    repo.git("mv", FILE, "apps/web/other.yaml")
    second = repo.commit("Move")
    repo.write({"README": "words"}).commit("Elsewhere")
    merge_base = repo.head
    repo.switch("side", new=True)
    repo.write({"apps/web/side.yaml": "kind: Side\n"}).commit("On the side")
    repo.switch("main")
    repo.write({"apps/web/main.yaml": "kind: Main\n"}).commit("On main")
    repo.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    changes = await tracked.path_changes(merge_base, "apps/web", 9)
    assert [change.revision.sha for change in changes] == [second, first]
    assert changes[0].differing_blobs == {}
    assert changes[1].differing_blobs == {"apps/web/other.yaml": None, FILE: blob}
    assert await tracked.read_blobs([blob], 1 << 20) == {blob: b"kind: Deployment\nreplicas: 3\n"}
    assert await tracked.read_blobs([blob], 5) == {}
    merged = await tracked.path_changes(repo.head, "apps/web", 9)
    assert merged[0].revision.sha == repo.head
    assert len(merged) == 5
    assert list(merged[1].differing_blobs.values()) == [None]
