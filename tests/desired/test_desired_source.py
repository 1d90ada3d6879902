"""The state of a source: its revision is where its reference leads to, or a commit that somebody else chose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.desired.provider import InProcessProvider
from driftd.desired.source import SourceState
from driftd.git.source import GitSource, Ref, RefKind
from tests.support.gitserver import GitRepo

A = "a: 1\n"


class Counting(InProcessProvider):
    """Counts what is asked of the remote."""

    fetches = 0

    async def fetch(self, source: GitSource):  # type: ignore[no-untyped-def]  # as the base class has it
        self.fetches += 1
        return await super().fetch(source)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepo:
    repository = GitRepo(tmp_path / "repository")
    repository.write({"a.yaml": A}).commit("First")
    return repository


@pytest.fixture
def provider(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "cache")


def pinned(repository: GitRepo, provider: Counting, commit: str) -> SourceState:
    source = GitSource("shop", repository.url, Ref(RefKind.BRANCH, "main"), allow_file=True)
    return SourceState(
        source, provider, timedelta(minutes=1), lambda: datetime.now(UTC), name="application/argocd/web", commit=commit
    )


async def test_a_chosen_commit_is_the_revision_wherever_the_branch_is(repository: GitRepo, provider: Counting) -> None:
    """The remote is asked for it once: a mirrored one is there."""
    first = repository.head
    repository.write({"a.yaml": "a: 2\n"}).commit("Second")
    state = pinned(repository, provider, first)
    assert await state.fetch()
    assert not await state.fetch()
    assert (state.name, state.revision and state.revision.sha, state.error) == ("application/argocd/web", first, None)
    assert provider.fetches == 1
    assert not state.asked_remote


async def test_apps_of_one_repository_are_told_of_as_one_when_it_cannot_be_fetched(
    repository: GitRepo, provider: Counting
) -> None:
    """However many commits of it are chosen; another reference of it is another one."""
    first, second = (pinned(repository, provider, commit) for commit in ("a" * 40, "b" * 40))
    await first.fetch()
    assert first.asked_remote
    assert first.repository == second.repository
    assert first.repository.startswith("shop-")


async def test_another_chosen_commit_is_taken_up_by_the_next_fetch(repository: GitRepo, provider: Counting) -> None:
    """It may be one that is not mirrored yet."""
    state = pinned(repository, provider, repository.head)
    await state.fetch()
    second = repository.write({"a.yaml": "a: 2\n"}).commit("Second")
    assert state.pin(second)
    assert not state.pin(second)
    assert await state.fetch()
    assert state.revision is not None
    assert state.revision.sha == second


async def test_a_chosen_commit_that_the_branch_has_lost_is_fetched_by_itself(
    repository: GitRepo, provider: Counting
) -> None:
    """After a force-push, as long as the remote still gives it."""
    first = repository.head
    lost = repository.write({"a.yaml": "a: 2\n"}).commit("Lost")
    repository.branch("kept")
    repository.reset(first)
    state = pinned(repository, provider, lost)
    assert await state.fetch()
    assert state.revision is not None
    assert state.revision.sha == lost


async def test_a_chosen_commit_that_is_nowhere_is_an_error(repository: GitRepo, provider: Counting) -> None:
    """And the revision before stays."""
    first = repository.head
    state = pinned(repository, provider, first)
    await state.fetch()
    state.pin("f" * 40)
    assert not await state.fetch()
    assert state.error
    assert state.revision is not None
    assert state.revision.sha == first


async def test_a_mirrored_commit_is_known_at_the_next_start(repository: GitRepo, provider: Counting) -> None:
    """Without asking the remote."""
    await pinned(repository, provider, repository.head).fetch()
    again = pinned(repository, provider, repository.head)
    await again.resume()
    assert again.revision is not None
    assert provider.fetches == 1
