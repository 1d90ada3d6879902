"""The index of a Helm repository was written by strangers: whatever is in it, the daemon goes on."""

from __future__ import annotations

import pytest

from driftd.artifacts import helm_repository
from driftd.artifacts.helm_repository import _entry
from driftd.artifacts.source import ArtifactKind, ArtifactSource
from driftd.model.errors import GitError

SOURCE = ArtifactSource(ArtifactKind.REPOSITORY_CHART, "web", "https://charts.example.com", "web", "1.0.0")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
@pytest.mark.parametrize("chart", ["web", "other"])
def test_an_index_that_is_nested_deeply_is_refused_at_once(opening: str, chart: str) -> None:
    """libyaml takes time by the square of the depth, and holds everything else up meanwhile."""
    index = f"entries:\n  {chart}: {opening * 100_000}\n"
    with pytest.raises(GitError, match="the index of the repository cannot be read"):
        _entry(index.encode(), SOURCE)


def test_the_entries_of_one_chart_are_bounded_and_those_of_others_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large repository has many charts; what is too much for one is no version of it."""
    monkeypatch.setattr(helm_repository, "_MAX_EVENTS", 100)
    many = "[" + "[]," * 200 + "]"
    with pytest.raises(GitError, match="the index of the repository cannot be read"):
        _entry(f"entries:\n  web: {many}\n".encode(), SOURCE)
    index = f"entries:\n  other: {many}\n  web:\n  - {{version: v1.0.0, urls: [a.tgz]}}\n"
    assert _entry(index.encode(), SOURCE)["urls"] == ["a.tgz"]
