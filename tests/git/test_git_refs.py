"""Every kind of reference resolves to the expected commit, and its error says when there is none."""

from __future__ import annotations

import pytest

from driftd.git.source import Ref, RefKind
from driftd.model.errors import RefNotFound
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo


async def test_the_default_branch_is_taken_where_none_is_named(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Whatever its name, which the revision has."""
    repo.git("branch", "-m", "main", "trunk")
    revision = await mirror().fetch()
    assert (revision.sha, revision.ref) == (repo.head, "trunk")
    assert (revision.author, revision.subject) == ("Ann Author", "Add the web app")
    assert revision.time.isoformat() == "2026-01-05T09:00:00+00:00"


async def test_a_detached_head_is_a_default_too(mirror: MirrorMaker, repo: GitRepo) -> None:
    """As in the checkouts of CI systems."""
    repo.git("checkout", "--quiet", "--detach")
    sha = repo.commit("On no branch")
    assert (await mirror().fetch()).sha == sha


async def test_a_branch_is_followed(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Also one with slashes in its name, that another branch's name begins with."""
    repo.switch("release/1.x", new=True)
    first = repo.commit("First")
    tracked = mirror(Ref(RefKind.BRANCH, "release/1.x"))
    assert (await tracked.fetch()).sha == first
    second = repo.commit("Second")
    assert (await tracked.fetch()).sha == second
    assert (await tracked.resolve()).sha == second


async def test_a_branch_may_become_a_folder_of_branches(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Git cannot have `release` and `release/2` at once; a mirror that had the one must take the other."""
    repo.branch("release")
    await mirror(Ref(RefKind.BRANCH, "release")).fetch()
    repo.git("branch", "-D", "release")
    repo.branch("release/2")
    assert (await mirror(Ref(RefKind.BRANCH, "release/2")).fetch()).sha == repo.head
    assert (await mirror(Ref(RefKind.ANY, repo.head[:9])).fetch()).sha == repo.head


@pytest.mark.parametrize("message", [None, "Release one"])
async def test_a_tag_comes_to_its_commit(mirror: MirrorMaker, repo: GitRepo, message: str | None) -> None:
    """An annotated tag is an object of its own; what counts is the commit."""
    tagged = repo.head
    repo.tag("v1.0.0", message=message)
    repo.commit("Later")
    revision = await mirror(Ref(RefKind.TAG, "v1.0.0")).fetch()
    assert (revision.sha, revision.ref) == (tagged, "v1.0.0")


async def test_a_moved_tag_is_moved_here_too(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The remote's state wins."""
    repo.tag("stable", message="one")
    tracked = mirror(Ref(RefKind.TAG, "stable"))
    await tracked.fetch()
    later = repo.commit("Later")
    repo.tag("stable", message="two")
    assert (await tracked.fetch()).sha == later


async def test_a_range_takes_the_highest_version_there_is_now(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Up with a new tag, and down again when it is withdrawn."""
    one = repo.head
    repo.tag("v1.2.0")
    repo.tag("v2.0.0")
    tracked = mirror(Ref(RefKind.SEMVER, ">=1.2 <2"))
    revision = await tracked.fetch()
    assert (revision.sha, revision.ref) == (one, "v1.2.0")
    two = repo.commit("Later")
    repo.tag("1.10.0", message="annotated")
    revision = await tracked.fetch()
    assert (revision.sha, revision.ref) == (two, "1.10.0")
    assert (await tracked.resolve()).ref == "1.10.0"
    repo.git("tag", "-d", "1.10.0")
    assert (await tracked.fetch()).ref == "v1.2.0"


async def test_a_range_without_a_version_names_the_tags_that_there_are(mirror: MirrorMaker, repo: GitRepo) -> None:
    """So that the mistake in the range shows."""
    repo.tag("v0.9.0")
    with pytest.raises(RefNotFound, match=r"'\^1'.*the tag v0\.9\.0"):
        await mirror(Ref(RefKind.SEMVER, "^1")).fetch()


async def test_a_commit_is_pinned(mirror: MirrorMaker, repo: GitRepo) -> None:
    """By its whole hash or the beginning of it, also when it is no branch's tip; later there is nothing to ask for."""
    pinned = repo.head
    repo.commit("Later")
    for text in (pinned, pinned[:10]):
        tracked = mirror(Ref(RefKind.COMMIT, text), folder=f"mirror-{len(text)}")
        revision = await tracked.fetch()
        assert (revision.sha, revision.ref) == (pinned, pinned)
        repo.folder.rename(repo.folder.with_name("away"))
        assert (await tracked.fetch()).sha == pinned
        repo.folder.with_name("away").rename(repo.folder)


async def test_what_a_person_types_is_a_branch_a_tag_or_a_commit(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Whole names of references too."""
    first = repo.head
    repo.tag("v1.0.0", message="one")
    second = repo.commit("Later")
    repo.branch("next")
    for typed, sha in {
        "HEAD": second,
        "main": second,
        "next": second,
        "v1.0.0": first,
        "refs/tags/v1.0.0": first,
        "refs/heads/next": second,
        first: first,
        first[:7]: first,
    }.items():
        assert (await mirror(Ref(RefKind.ANY, typed)).fetch()).sha == sha, typed


async def test_a_name_that_is_a_branch_and_a_tag_is_asked_about(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Git would take one of them and only warn."""
    repo.branch("stable")
    repo.git("tag", "stable")
    with pytest.raises(RefNotFound, match="refs/heads/stable or refs/tags/stable"):
        await mirror(Ref(RefKind.ANY, "stable")).fetch()


@pytest.mark.parametrize(
    "ref",
    [
        Ref(RefKind.BRANCH, "nope"),
        Ref(RefKind.TAG, "nope"),
        Ref(RefKind.ANY, "nope"),
        Ref(RefKind.ANY, "refs/heads/nope"),
        Ref(RefKind.ANY, "0badc0de"),
        Ref(RefKind.COMMIT, "0badc0de"),
        Ref(RefKind.COMMIT, "0badc0de" * 5),
        Ref(RefKind.BRANCH, "0badc0de"),
    ],
    ids=str,
)
async def test_a_reference_that_is_not_there_is_answered_with_those_that_are(
    mirror: MirrorMaker, repo: GitRepo, ref: Ref
) -> None:
    """The source is named as well."""
    repo.branch("dev")
    repo.tag("v1.0.0")
    with pytest.raises(RefNotFound, match=r"source shop .*nope|0badc0de.*the branches dev, main and the tag v1\.0\.0"):
        await mirror(ref).fetch()


async def test_a_long_list_of_references_is_cut_short(mirror: MirrorMaker, repo: GitRepo) -> None:
    """A message is to be read."""
    for number in range(9):
        repo.branch(f"b{number}")
    with pytest.raises(RefNotFound, match="b0, b1, b2, b3, b4 and 5 more and no tag"):
        await mirror(Ref(RefKind.BRANCH, "nope")).fetch()


@pytest.mark.parametrize(
    "ref", [Ref(), Ref(RefKind.BRANCH, "main"), Ref(RefKind.SEMVER, "*"), Ref(RefKind.ANY, "main")]
)
async def test_an_empty_repository_is_said_to_be_empty(mirror: MirrorMaker, tmp_path: object, ref: Ref) -> None:
    """Nothing was ever pushed: that is not an error of the reference's name."""
    empty = GitRepo(tmp_path / "empty")  # type: ignore[operator]
    with pytest.raises(RefNotFound, match="repository is empty"):
        await mirror(ref, url=empty.url).fetch()


async def test_a_default_branch_without_a_commit_is_said_to_have_none(mirror: MirrorMaker, repo: GitRepo) -> None:
    """HEAD may name a branch that nobody ever pushed."""
    repo.git("symbolic-ref", "HEAD", "refs/heads/unborn")
    with pytest.raises(RefNotFound, match=r"default branch has no commit yet.*the branch main"):
        await mirror().fetch()


async def test_a_deleted_branch_is_an_error_and_what_it_was_stays(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The last revision can still be read."""
    repo.branch("gone")
    tracked = mirror(Ref(RefKind.BRANCH, "gone"))
    before = await tracked.fetch()
    repo.git("branch", "-D", "gone")
    with pytest.raises(RefNotFound, match="there is no branch gone"):
        await tracked.fetch()
    assert await tracked.resolve() == before


async def test_a_force_push_wins(mirror: MirrorMaker, repo: GitRepo) -> None:
    """And what was there before can still be read, for the history and for a rollback."""
    first = repo.head
    second = repo.commit("Second")
    tracked = mirror(Ref(RefKind.BRANCH, "main"))
    await tracked.fetch()
    repo.reset(first)
    third = repo.commit("Third, instead of second")
    assert (await tracked.fetch()).sha == third
    assert (await tracked.revision(second)).subject == "Second"
    assert [commit.sha for commit in await tracked.log(third, [""], 9)] == [third, first]


async def test_a_tag_on_a_file_is_no_revision(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Git allows tags on anything."""
    blob = repo.git("hash-object", "-w", "apps/web/deploy.yaml")
    repo.git("tag", "odd", blob)
    with pytest.raises(RefNotFound, match="not a commit"):
        await mirror(Ref(RefKind.TAG, "odd")).fetch()


async def test_nothing_is_resolved_before_it_was_fetched(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Neither with no mirror at all, nor with one that was fetched for another reference."""
    with pytest.raises(RefNotFound, match="not fetched yet"):
        await mirror().resolve()
    await mirror().fetch()
    with pytest.raises(RefNotFound, match="branch dev was not fetched yet"):
        await mirror(Ref(RefKind.BRANCH, "dev")).resolve()


async def test_a_commit_that_the_mirror_does_not_have_is_not_found(mirror: MirrorMaker) -> None:
    """Also what is no hash at all."""
    tracked = mirror()
    await tracked.fetch()
    for text in ("0badc0de", "f" * 40, "--help", "main", "", "HEAD"):
        with pytest.raises(RefNotFound):
            await tracked.revision(text)
