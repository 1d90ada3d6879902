"""A mirror survives what happens to folders, processes and remotes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from driftd.git.mirror import Mirror
from driftd.git.source import GitSource, Ref, RefKind
from driftd.model.errors import GitError, SourceUnreachable
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo, git_processes, silent_server

FILE = "apps/web/deploy.yaml"


async def content(tracked: Mirror, sha: str, file: str = FILE) -> bytes:
    tree = await tracked.tree(sha)
    return (await asyncio.to_thread(tree.read, [file]))[file]


async def test_a_file_url_is_a_local_path_too(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Bare repositories as well as checkouts, and names with blanks in them."""
    bare = repo.folder.with_name("a b%20.git")
    repo.git("clone", "--quiet", "--bare", repo.url, str(bare))
    assert (await mirror(url=f"file://{str(bare).replace('%', '%25').replace(' ', '%20')}").fetch()).sha == repo.head


async def test_a_remote_that_is_gone_leaves_what_was_fetched(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The error says where and what; the last revision and its files stay readable, also for a new process."""
    before = await mirror().fetch()
    repo.folder.rename(repo.folder.with_name("away"))
    with pytest.raises(SourceUnreachable, match=r"source shop \(.*shop\).*check the url"):
        await mirror().fetch()
    again = mirror()
    assert await again.resolve() == before
    assert await content(again, before.sha) == b"kind: Deployment\nreplicas: 3\n"


async def test_another_url_in_the_folder_is_mirrored_anew(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """A mirror of another address is never used for this source, not even while the remote cannot be reached."""
    await mirror().fetch()
    other = GitRepo(tmp_path / "other")
    with pytest.raises(GitError):
        await mirror(url=other.url).fetch()
    with pytest.raises(GitError, match="not fetched yet"):
        await mirror(url=other.url).resolve()
    sha = other.commit("Of another repository")
    tracked = mirror(url=other.url)
    assert (await tracked.fetch()).sha == sha
    with pytest.raises(GitError):
        await tracked.revision(repo.head)


async def test_a_repository_of_sha256_objects_is_mirrored_as_any_other(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """Also one that takes the place of a repository of the usual format."""
    await mirror().fetch()
    repo.folder.rename(tmp_path / "former")
    replaced = GitRepo(repo.folder, "main", "--object-format=sha256")
    replaced.write({FILE: "kind: Deployment\n"}).commit("Begin again")
    tracked = mirror()
    assert (await tracked.fetch()).sha == replaced.head
    assert len(replaced.head) == 64
    replaced.write({FILE: "kind: Deployment\nreplicas: 2\n"}).commit("Two")
    assert (await tracked.fetch()).subject == "Two"
    assert await content(tracked, replaced.head) == b"kind: Deployment\nreplicas: 2\n"
    blamed = await tracked.blame(replaced.head, {FILE: [1, 2]})
    first = replaced.git("rev-parse", "HEAD~1")
    assert [line.commit for line in blamed[FILE].values()] == [first, replaced.head]
    assert len(await tracked.log(replaced.head, [""], 5)) == 2


def _remove_head(repository: Path) -> None:
    (repository / "HEAD").unlink()


def _remove_objects(repository: Path) -> None:
    shutil.rmtree(repository / "objects")


def _break_packs(repository: Path) -> None:
    for pack in (repository / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(b"\0" * pack.stat().st_size)


def _remove_packs(repository: Path) -> None:
    for pack in (repository / "objects" / "pack").glob("*"):
        pack.unlink()


def _garble_refs(repository: Path) -> None:
    for ref in (repository / "refs" / "driftd").rglob("*"):
        if ref.is_file():
            ref.write_text("garbage\n")


def _remove_all(repository: Path) -> None:
    shutil.rmtree(repository)


def _garble_state(repository: Path) -> None:
    (repository.parent / "state.json").write_text('{"url": 7')


def _make_state_a_folder(repository: Path) -> None:
    (repository.parent / "state.json").unlink()
    (repository.parent / "state.json").mkdir()


def _garble_config(repository: Path) -> None:
    (repository / "config").write_text("[core\n")


def _make_a_lock_a_folder(repository: Path) -> None:
    (repository / "packed-refs.lock").mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        _remove_head, _remove_objects, _break_packs, _remove_packs, _garble_refs, _remove_all, _garble_state,
        _make_state_a_folder, _garble_config, _make_a_lock_a_folder,
    ],
)  # fmt: skip
@pytest.mark.parametrize("moved", [True, False], ids=["new-commit", "no-news"])
async def test_a_damaged_mirror_is_built_anew(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path, damage: object, moved: bool
) -> None:
    """Whether the remote has news or not, the next fetch gives a revision that can be read."""
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    damage(tmp_path / "mirror" / "repository.git")  # type: ignore[operator]
    if moved:
        repo.write({FILE: "replicas: 4\n"}).commit("Scale")
    revision = await tracked.fetch()
    assert revision.sha == repo.head
    assert await content(tracked, revision.sha) == (repo.folder / FILE).read_bytes()


async def test_damage_that_only_a_reader_meets_is_repaired_by_the_next_fetch(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """A lost file is an error, never a missing manifest."""
    repo.git("config", "transfer.unpackLimit", "100")
    tracked = mirror()
    revision = await tracked.fetch()
    repository = tmp_path / "mirror" / "repository.git"
    packs = list((repository / "objects" / "pack").glob("*.pack"))
    for pack in packs:
        moved = pack.rename(tmp_path / pack.name)
        pack.with_suffix(".idx").unlink()
        repo.git("unpack-objects", "-q", stdin=moved.read_bytes(), GIT_DIR=str(repository))
    blob = repo.git("rev-parse", f"HEAD:{FILE}")
    (repository / "objects" / blob[:2] / blob[2:]).unlink()
    tree = await tracked.tree(revision.sha)
    assert [file.path for file in tree.files()] == [FILE]
    with pytest.raises(GitError, match=r"damaged.*next fetch"):
        await asyncio.to_thread(tree.read, [FILE])
    assert (await tracked.fetch()).sha == revision.sha
    assert await content(tracked, revision.sha) == b"kind: Deployment\nreplicas: 3\n"


async def test_a_damaged_mirror_stays_while_the_remote_cannot_be_reached(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """What is left of it may be all that there is."""
    tracked = mirror()
    before = await tracked.fetch()
    (tmp_path / "mirror" / "suspect").touch()
    repo.folder.rename(repo.folder.with_name("away"))
    with pytest.raises(SourceUnreachable):
        await tracked.fetch()
    assert await content(tracked, before.sha) == b"kind: Deployment\nreplicas: 3\n"
    assert list((tmp_path / "mirror").glob("incoming-*")) == [] or await tracked.resolve() == before


async def test_locks_that_a_killed_git_left_block_nothing(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """Lock files of references and of packed-refs, and unfinished packs."""
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    repository = tmp_path / "mirror" / "repository.git"
    ref = next(path for path in (repository / "refs" / "driftd").iterdir())
    leftovers = [
        ref.with_name(f"{ref.name}.lock"),
        repository / "packed-refs.lock",
        repository / "shallow.lock",
        repository / "config.lock",
        repository / "objects" / "pack" / "tmp_pack_x",
        tmp_path / "mirror" / "incoming-1-1",
    ]
    for leftover in leftovers[:-1]:
        leftover.touch()
    leftovers[-1].mkdir()
    repo.commit("Later")
    assert (await tracked.fetch()).sha == repo.head
    assert [leftover for leftover in leftovers if leftover.exists()] == []


async def test_many_fetches_and_reads_at_once_all_see_a_whole_revision(mirror: MirrorMaker, repo: GitRepo) -> None:
    """While the remote moves on, in two mirrors of one folder, as a daemon and a command would have it."""
    one, two = mirror(), mirror()
    shas = {repo.head}
    await one.fetch()
    contents = {repo.head: b"kind: Deployment\nreplicas: 3\n"}

    async def follow(tracked: Mirror) -> None:
        for _ in range(6):
            sha = (await tracked.fetch()).sha
            assert await content(tracked, sha) == contents[sha]

    async def push() -> None:
        for number in range(6):
            text = f"replicas: {number}\n"
            await asyncio.to_thread(repo.write, {FILE: text})
            await asyncio.to_thread(repo.git, "add", "--all")
            tree = await asyncio.to_thread(repo.git, "write-tree")
            sha = await asyncio.to_thread(repo.git, "commit-tree", "-p", "HEAD", "-m", text, tree)
            contents[sha] = text.encode()
            shas.add(sha)
            await asyncio.to_thread(repo.git, "update-ref", "refs/heads/main", sha)

    await asyncio.gather(follow(one), follow(two), push())
    assert (await one.fetch()).sha == repo.head
    assert (await two.resolve()).sha == repo.head


async def test_two_processes_take_turns(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """A command waits for the daemon's fetch, but not for ever."""
    tracked = mirror(timeout=1.0)
    await tracked.fetch()
    with (tmp_path / "mirror" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(GitError, match="another driftd"):
            await tracked.fetch()
        assert (await tracked.resolve()).sha == repo.head
        waiting = asyncio.create_task(mirror(timeout=30.0).fetch())
        await asyncio.sleep(0)
        assert not waiting.done()
    assert (await waiting).sha == repo.head


async def test_a_killed_driftd_blocks_nobody(repo: GitRepo, tmp_path: Path) -> None:
    """Its Git may live on for a while; the next process does not wait for it."""
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from driftd.git.mirror import Mirror
        from driftd.git.source import GitSource
        asyncio.run(Mirror(GitSource("shop", sys.argv[1], timeout=100), Path(sys.argv[2])).fetch())
    """)
    with silent_server() as port:
        url = f"https://127.0.0.1:{port}/shop"
        child = subprocess.Popen([sys.executable, "-c", program, url, str(tmp_path / "mirror")])  # noqa: ASYNC220  # to be killed
        await _until(lambda: any("remote-https" in line for line in git_processes(f":{port}/shop")))
        child.kill()
        child.wait()
        revision = await Mirror(GitSource("shop", repo.url, allow_file=True, timeout=10), tmp_path / "mirror").fetch()
        assert revision.sha == repo.head
    await _until(lambda: not git_processes(f":{port}/shop"))
    assert await content(Mirror(GitSource("shop", repo.url, allow_file=True), tmp_path / "mirror"), repo.head)


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_folder_that_cannot_be_written_is_named(mirror: MirrorMaker, tmp_path: Path) -> None:
    """With what is wrong with it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GitError, match=r"file/mirror.*Not a directory"):
        await mirror(folder="file/mirror").fetch()


async def test_a_full_disk_is_an_error_of_the_fetch(
    mirror: MirrorMaker, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the folder; what was fetched before stays."""
    tracked = mirror()
    before = await tracked.fetch()
    repo.write({FILE: "replicas: 4\n"}).commit("Scale")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(GitError, match=r"mirror's folder cannot be written: No space left on device"):
            await tracked.fetch()
    assert await tracked.resolve() == before
    assert (await tracked.fetch()).sha == repo.head


async def test_packs_do_not_pile_up_and_nothing_is_lost(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """After many fetches there are few packs, and also what a force-push left behind is still there."""
    first = repo.head
    orphan = repo.commit("Soon gone")
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    repo.reset(first)
    for number in range(36):
        repo.write({FILE: f"replicas: {number}\n"}).commit(f"Scale to {number}")
        await tracked.fetch()
    packs = list((tmp_path / "mirror" / "repository.git" / "objects" / "pack").glob("*.pack"))
    assert len(packs) <= 32
    assert (await tracked.revision(orphan)).subject == "Soon gone"
    assert len(await tracked.log(repo.head, [""], 99)) == 37


async def test_a_hook_in_the_mirror_never_runs(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """Nor one in the repository that is fetched."""
    marker = tmp_path / "ran"
    tracked = mirror()
    await tracked.fetch()
    for hooks in (tmp_path / "mirror" / "repository.git" / "hooks", repo.folder / ".git" / "hooks"):
        hooks.mkdir(exist_ok=True)
        for name in ("reference-transaction", "post-update", "pre-auto-gc", "post-checkout"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
            (hooks / name).chmod(0o755)
    sha = repo.git("commit-tree", "-p", "HEAD", "-m", "Later", "HEAD^{tree}")
    (repo.folder / ".git" / "refs" / "heads" / "main").write_text(f"{sha}\n")
    assert (await tracked.fetch()).sha == sha
    assert not marker.exists()


async def test_a_repository_of_another_owner_can_be_mirrored(
    mirror: MirrorMaker, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted volume often belongs to another user; its path is configured, so it is trusted."""
    from driftd.git import environment  # noqa: PLC0415  # only this test bends it

    local = environment.local_environment
    monkeypatch.setattr(
        environment, "local_environment", lambda path: {**local(path), "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    )
    assert (await mirror().fetch()).sha == repo.head


async def test_odd_commits_are_read_as_far_as_they_can_be(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Dates that no calendar has, odd time zones, letters of another encoding, no subject at all."""
    tree = repo.git("rev-parse", "HEAD^{tree}")
    header = f"tree {tree}\nauthor J\xf6rg <j@x> 1767600000 -0330\ncommitter C <c@x> 1767600000 +0000\n"
    latin = f"{header}encoding latin1\n\nGr\xfc\xdfe\n"
    future = f"tree {tree}\nauthor  <> 99999999999999 +0000\ncommitter C <c@x> 0 +0000\n\n"
    for text, author, time_, subject in (
        (latin.encode("latin1"), "Jörg", "2026-01-05T04:30:00-03:30", "Grüße"),
        (future.encode(), "", "1970-01-01T00:00:00+00:00", ""),
    ):
        sha = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=text)
        repo.git("update-ref", "refs/heads/main", sha)
        revision = await mirror().fetch()
        assert (revision.sha, revision.author, revision.time.isoformat(), revision.subject) == (
            sha,
            author,
            time_,
            subject,
        )


async def test_commits_between_two_are_counted(mirror: MirrorMaker, repo: GitRepo) -> None:
    """None where one of them is not mirrored: that is not zero."""
    first = repo.head
    for number in range(3):
        repo.write({FILE: f"replicas: {number}\n"}).commit("Scale")
    tracked = mirror()
    await tracked.fetch()
    assert await tracked.commits_between(first, repo.head) == 3
    assert await tracked.commits_between(repo.head, first) == 0
    assert await tracked.commits_between(first, "f" * 40) is None
