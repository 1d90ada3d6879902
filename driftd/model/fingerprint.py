"""Fingerprints of many verdicts, cheap to update when a few of them change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from driftd.model.document import verdict_document
from driftd.model.drift import Status, Verdict
from driftd.model.path import format_path
from driftd.model.report import changed_verdicts

_MODULUS = 2**256


def verdict_identity(verdict: Verdict, *, with_user: bool) -> object:
    """The parts of a verdict that count in fingerprints, as JSON. These are stored: another result opens incidents.

    The line in Git, the lag behind it, whose the object is, whom a difference is left to, and the times of fields never
    count. With the user, for incidents: they change when the user becomes known. Without, for the history: any owner is
    the same, and None for objects in sync.
    """
    if with_user:
        document = verdict_document(verdict)
        document.pop("source")
        document.pop("behind", None)
        document.pop("left_to", None)
        document.pop("claim", None)
        for field in document["fields"]:
            field.pop("git")
            field.pop("left_to", None)
            field["by"] = (field.pop("by") or {}).get("user")
        return document
    if verdict.status is Status.IN_SYNC:
        return None
    fields = [[format_path(field.path), field.change, field.desired, field.live] for field in verdict.fields]
    return [str(verdict.ref), verdict.status, verdict.error, fields]


class Fingerprints:
    """Hashes sequences of verdicts, reusing the hash of every verdict that is the same object as before.

    `identity` returns the parts of a verdict that count, as JSON, or None if it does not count. The order does not
    matter: the hash is the sum of the hashes of the verdicts (Bellare and Micciancio's AdHash), so that single ones can
    be replaced.
    """

    def __init__(self, identity: Callable[[Verdict], object]) -> None:
        self._identity = identity
        self._verdicts: Sequence[Verdict] = ()
        self._hashes: list[int] = []
        self._sum = 0

    def of(self, verdicts: Sequence[Verdict]) -> str:
        """The hash of these verdicts alone."""
        if len(self._verdicts) == len(verdicts):
            for position in changed_verdicts(self._verdicts, verdicts):
                value = self._hash(verdicts[position])
                self._sum += value - self._hashes[position]
                self._hashes[position] = value
        else:
            cached = {id(verdict): value for verdict, value in zip(self._verdicts, self._hashes, strict=True)}
            self._hashes = [
                reused if (reused := cached.get(id(verdict))) is not None else self._hash(verdict)
                for verdict in verdicts
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
