"""Fingerprints of verdicts: whether many of them still say the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from driftd.model.document import verdict_document
from driftd.model.drift import Status, Verdict
from driftd.model.path import format_path
from driftd.model.report import changed

_MODULUS = 2**256


def verdict_identity(verdict: Verdict, *, with_user: bool) -> object:
    """What of a verdict makes it another one, as JSON. Fingerprints of it are stored: a change of this opens incidents.

    The line in Git, the lag behind it, and when a field was set never count. With the user, as an incident counts it: a
    user who comes to be known is news. Without, as the history does: whoever did it, and None for what is in sync.
    """
    if with_user:
        document = verdict_document(verdict)
        document.pop("source")
        document.pop("behind", None)
        for field in document["fields"]:
            field.pop("git")
            field["by"] = (field.pop("by") or {}).get("user")
        return document
    if verdict.status is Status.IN_SYNC:
        return None
    fields = [[format_path(field.path), field.change, field.desired, field.live] for field in verdict.fields]
    return [str(verdict.ref), verdict.status, verdict.error, fields]


class Fingerprints:
    """Hashes verdicts pass after pass. The very same verdict in the same place as before is not hashed again.

    `identity` gives what of a verdict counts, as JSON; None where nothing of it does. Order does not count: the hash of
    many is the sum of the hashes of each (Bellare and Micciancio's AdHash), so a few can be taken out and put in.
    """

    def __init__(self, identity: Callable[[Verdict], object]) -> None:
        self._identity = identity
        self._verdicts: Sequence[Verdict] = ()
        self._hashes: list[int] = []
        self._sum = 0

    def of(self, verdicts: Sequence[Verdict]) -> str:
        """The hash of these, and of no others that were hashed before."""
        if len(self._verdicts) == len(verdicts):
            for place in changed(self._verdicts, verdicts):
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
        identity = self._identity(verdict)
        if identity is None:
            return 0
        text = json.dumps(identity, sort_keys=True, default=str)
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
