"""A hash of verdicts, to tell cheaply whether many of them still say the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from driftd.model.drift import Verdict
from driftd.model.report import changed_verdicts

_MODULUS = 2**256


class Fingerprints:
    """Hashes verdicts again and again. What is the very same verdict in the same place as before costs next to nothing.

    `essence` gives what of a verdict counts, as JSON; None where nothing of it does. The order does not count: the hash
    of many is the sum of the hashes of each (Bellare and Micciancio's AdHash), so a few can be taken out and put in.
    """

    def __init__(self, identity: Callable[[Verdict], object]) -> None:
        self._identity = identity
        self._verdicts: Sequence[Verdict] = ()
        self._hashes: list[int] = []
        self._sum = 0

    def of(self, verdicts: Sequence[Verdict]) -> str:
        """The hash of these, and of no others that were hashed before."""
        if len(self._verdicts) == len(verdicts):
            for place in changed_verdicts(self._verdicts, verdicts):
                fresh = self._hash(verdicts[place])
                self._sum += fresh - self._hashes[place]
                self._hashes[place] = fresh
        else:
            known = {id(verdict): value for verdict, value in zip(self._verdicts, self._hashes, strict=True)}
            self._hashes = [
                value if (value := known.get(id(verdict))) is not None else self._hash(verdict) for verdict in verdicts
            ]
            self._sum = sum(self._hashes)
        self._verdicts = verdicts
        return f"{self._sum % _MODULUS:064x}"

    def _hash(self, verdict: Verdict) -> int:
        essence = self._identity(verdict)
        if essence is None:
            return 0
        text = json.dumps(essence, sort_keys=True, default=str)
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
