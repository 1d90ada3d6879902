"""The API server is not asked twice what it has just said."""

from __future__ import annotations

from typing import Any, cast

import pytest

from driftd.kube.discovery import ApiResource
from driftd.live import dry_run_cache
from driftd.live.dry_run_cache import DryRunCache
from tests.support.samples import manifest

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, frozenset({"get", "list", "watch"}))


class Asked:
    """An API server that counts dry-runs; `version` is that of the object which it has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.version = "5"
        self.time = 0.0
        self.runs = DryRunCache(cast("Any", None), lambda: self.time)
        monkeypatch.setattr(dry_run_cache, "apply", self._apply)

    async def _apply(self, *_: object, **options: object) -> dict[str, Any]:
        assert options["dry_run"]
        self.count += 1
        return self._object(self.version) | {"asked": self.count}

    async def answer(self, version: str = "5", value: str = "1") -> int:
        """Which of the answers was given."""
        wanted = manifest("ConfigMap", data={"a": value})
        answer = await self.runs.dry_run(wanted, CONFIG_MAPS, self._object(version))
        return int(answer["asked"])

    @staticmethod
    def _object(version: str) -> dict[str, Any]:
        return {"metadata": {"name": "web", "uid": "u", "resourceVersion": version}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


async def test_the_same_manifest_against_the_same_object_is_asked_once(asked: Asked) -> None:
    """For five minutes: what admission does may change by itself."""
    assert [await asked.answer(), await asked.answer()] == [1, 1]
    asked.time += 301
    assert await asked.answer() == 2


async def test_another_manifest_or_another_version_is_another_question(asked: Asked) -> None:
    """And the first answer is still there."""
    assert [await asked.answer(), await asked.answer(value="2")] == [1, 2]
    asked.version = "6"
    assert [await asked.answer(version="6"), await asked.answer()] == [3, 1]


async def test_an_answer_about_another_version_than_was_read_is_not_kept(asked: Asked) -> None:
    """The object has changed between the two requests."""
    asked.version = "6"
    assert [await asked.answer(), await asked.answer()] == [1, 2]


async def test_no_more_answers_are_kept_than_fit(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest ones."""
    monkeypatch.setattr(dry_run_cache, "_MAX_ENTRIES", 2)
    for value in "123":
        await asked.answer(value=value)
    assert [await asked.answer(value=value) for value in "321"] == [3, 2, 4]
