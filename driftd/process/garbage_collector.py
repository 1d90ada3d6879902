"""The cyclic garbage collector: when it runs, and over what."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from driftd.process.memory import release_free_memory

_THRESHOLDS = (2_000, 10, 200)
"""New objects per collection of the young generation, collections of each generation per one of the next."""


class _Holders:
    count = 0
    was_enabled = False


@contextmanager
def gc_paused() -> Iterator[None]:
    """No cyclic collection inside, also with overlapping uses. Reference counting is not affected.

    Decoded JSON has no cycles, but every few thousand new dicts make the collector traverse all existing ones: 3 to 5
    times the time of decoding 10,000 objects.
    """
    if not _Holders.count:
        _Holders.was_enabled = gc.isenabled()
        gc.disable()
    _Holders.count += 1
    try:
        yield
    finally:
        _Holders.count -= 1
        if not _Holders.count and _Holders.was_enabled:
            gc.enable()


def disable_gc() -> None:
    """No collection until `enable_gc_after_imports`, or ever: for imports, and for processes of a few seconds.

    Imported modules are never freed, so that collections while they load find nothing.
    """
    gc.disable()


def enable_gc_after_imports() -> None:
    """Ends `disable_gc`, if it is in effect: collections then skip everything loaded so far."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def exclude_from_gc() -> None:
    """Makes later collections skip all objects that exist now, though most may be freed soon.

    For the end of a process, where `gc_paused` would otherwise be followed by a collection of everything.
    """
    gc.freeze()


def tune_gc() -> None:
    """Makes collections rarer, above all those of all generations: with 10,000 objects these take 0.2 s.

    Nearly everything is freed by its reference count, and cycles (a failed task) are freed while young.
    """
    gc.set_threshold(*_THRESHOLDS)


def freeze_heap() -> None:
    """Collects what loading has left over, excludes the rest from later collections, and releases free memory.

    Most objects that exist after loading are permanent, and need not be traversed again.
    """
    gc.collect()
    gc.freeze()
    release_free_memory()
