"""Errors survive pickling to another process and back."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

import driftd.git.errors  # has errors of its own
from driftd.model.errors import ConfigError, DriftdError, KubeError, NotifyError, RenderError

OWN: dict[type[DriftdError], DriftdError] = {
    ConfigError: ConfigError("driftd.yaml", ["apps: wants a list", "sources: wants a list"]),
    driftd.git.errors.CommandFailed: driftd.git.errors.CommandFailed("fetch", "fatal: no such thing"),
    KubeError: KubeError("no", status=403, reason="Forbidden", retry_after=1.5),
    NotifyError: NotifyError("no", retry_after=2.0, permanent=True),
    RenderError: RenderError("wants a map", file="app/a.yaml", line=3, column=5),
}


def kinds(kind: type[DriftdError] = DriftdError) -> Iterator[type[DriftdError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


def one_of(kind: type[DriftdError]) -> DriftdError:
    """An error of a kind, made as its nearest ancestor is that has arguments of its own."""
    like = next((OWN[above] for above in kind.__mro__ if above in OWN), None)
    if like is None:
        return kind("no")
    error = kind.__new__(kind)
    error.__dict__.update(like.__dict__)
    error.args = like.args
    return error


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_an_error_is_the_same_in_another_process(kind: type[DriftdError]) -> None:
    """With its text and all of its attributes."""
    error = one_of(kind)
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is kind
    assert str(there) == str(error)
    assert there.__dict__ == error.__dict__
