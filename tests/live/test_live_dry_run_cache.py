"""Dry-runs are cached: the API server gets no request twice for an unchanged object."""

from __future__ import annotations

from typing import Any, cast

import pytest

from driftd.kube.discovery import ApiResource
from driftd.live import dry_run_cache
from driftd.live.dry_run_cache import DryRunCache
from tests.support.samples import manifest

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, frozenset({"get", "list", "watch"}))


class CountingApi:
    """An API server that counts dry-runs; `version` is that of its object."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.version = "5"
        self.time = 0.0
        self.runs = DryRunCache(cast("Any", None), lambda: self.time)
        monkeypatch.setattr(dry_run_cache, "apply", self._apply)

    async def _apply(self, *_: object, **options: object) -> dict[str, Any]:
        assert options["dry_run"]
        self.count += 1
        return self._object(self.version) | {"number": self.count}

    async def dry_run(self, version: str = "5", value: str = "1") -> int:
        """The number of the request that gave the result."""
        config = manifest("ConfigMap", data={"a": value})
        result = await self.runs.dry_run(config, CONFIG_MAPS, self._object(version))
        return int(result["number"])

    @staticmethod
    def _object(version: str) -> dict[str, Any]:
        return {"metadata": {"name": "web", "uid": "u", "resourceVersion": version}}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> CountingApi:
    return CountingApi(monkeypatch)


async def test_a_manifest_is_dry_run_once_per_version_of_its_object(api: CountingApi) -> None:
    """For five minutes: the results of admission may change by themselves."""
    assert [await api.dry_run(), await api.dry_run()] == [1, 1]
    api.time += 301
    assert await api.dry_run() == 2


async def test_another_manifest_or_another_version_is_dry_run_again(api: CountingApi) -> None:
    """And the first result is still cached."""
    assert [await api.dry_run(), await api.dry_run(value="2")] == [1, 2]
    api.version = "6"
    assert [await api.dry_run(version="6"), await api.dry_run()] == [3, 1]


async def test_a_result_for_another_version_than_was_read_is_not_cached(api: CountingApi) -> None:
    """The object has changed between the two requests."""
    api.version = "6"
    assert [await api.dry_run(), await api.dry_run()] == [1, 2]


async def test_the_number_of_cached_results_is_bounded(api: CountingApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest ones are kept."""
    monkeypatch.setattr(dry_run_cache, "_MAX_ENTRIES", 2)
    for value in "123":
        await api.dry_run(value=value)
    assert [await api.dry_run(value=value) for value in "321"] == [3, 2, 4]
