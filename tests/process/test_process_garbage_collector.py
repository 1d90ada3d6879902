"""Collections run when they are of use."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from driftd.process import garbage_collector
from driftd.process.garbage_collector import (
    disable_gc,
    enable_gc_after_imports,
    exclude_from_gc,
    freeze_heap,
    gc_paused,
    tune_gc,
)


class Cycle:
    """Refers to itself, so that no reference count frees it."""

    def __init__(self, freed: list[str]) -> None:
        self.freed = freed
        self.itself = self

    def __del__(self) -> None:
        self.freed.append("freed")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The collector afterwards is as it was before."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


def test_no_collection_runs_while_any_load_does() -> None:
    """Overlapping loads count; an error ends one; a collector that was off before stays off."""
    assert gc.isenabled()
    with gc_paused():
        with pytest.raises(KeyError), gc_paused():
            raise KeyError
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    with gc_paused():
        pass
    assert not gc.isenabled()


def test_what_was_imported_is_never_collected() -> None:
    """The collector is off during imports, and skips their objects afterwards."""
    disable_gc()
    assert not gc.isenabled()
    enable_gc_after_imports()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_a_collector_that_was_never_off_is_left_alone() -> None:
    """As for the functions of the command that tests and other programs call."""
    enable_gc_after_imports()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_excluded_objects_are_not_collected() -> None:
    """Not even garbage among them."""
    freed: list[str] = []
    with gc_paused():
        Cycle(freed)
        exclude_from_gc()
    gc.collect()
    assert freed == []


def test_full_collections_become_rare() -> None:
    """Every collection runs over fewer objects per new one than by default."""
    before = gc.get_threshold()
    tune_gc()
    assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold()[2] > before[2]


def test_a_frozen_heap_has_no_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What loading left over is freed first, and its memory is released; the rest is not traversed again."""
    order: list[str] = []
    monkeypatch.setattr(garbage_collector, "release_free_memory", lambda: order.append("released"))
    Cycle(order)
    freeze_heap()
    assert order == ["freed", "released"]
    assert gc.get_freeze_count() > 1000
