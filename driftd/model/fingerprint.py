"""Hashes of verdicts, to tell cheaply whether many of them still say the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable

from driftd.model.drift import Verdict
from driftd.model.resource import ResourceRef


class Fingerprints:
    """Each verdict is hashed once, for as long as it is the very same one: of many that differ, few are new.

    `essence` gives what of a verdict counts, as JSON.
    """

    def __init__(self, essence: Callable[[Verdict], object]) -> None:
        self._essence = essence
        self._known: dict[ResourceRef, tuple[Verdict, str]] = {}

    def of(self, verdicts: Iterable[Verdict]) -> list[str]:
        """The hashes of these, in their order. Others are forgotten."""
        fresh: dict[ResourceRef, tuple[Verdict, str]] = {}
        for verdict in verdicts:
            known = self._known.get(verdict.ref)
            fresh[verdict.ref] = known if known is not None and known[0] is verdict else (verdict, self._hash(verdict))
        self._known = fresh
        return [value for _, value in fresh.values()]

    def _hash(self, verdict: Verdict) -> str:
        text = json.dumps(self._essence(verdict), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
