"""Who ended the differences that passes have seen, told from the versions that an object had in between."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.attribution.reverted import Past
from driftd.detect.verdict_cache import differs
from driftd.diff.rules.field_managers import Managers
from driftd.incidents.endings import over
from driftd.live.version_log import SeenVersion
from driftd.model.drift import FieldOwner, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.resource import ResourceRef

_WHOLE: FieldPath = ()


class PutBack:
    """Who put back what differed: by object and field, until it differs once more.

    Known where only one manager wrote the object in between. Controllers are left aside: they note on it what it is.
    """

    def __init__(self, managers: Managers) -> None:
        self._managers = managers
        self._by: dict[ResourceRef, dict[FieldPath, FieldOwner]] = {}

    def observe(self, before: Verdict, now: Verdict, versions: Sequence[SeenVersion]) -> None:
        """Takes in two verdicts on an object that passes have found one after the other, and its versions from the one
        to the other; none where they are not known."""
        known = self._by.get(now.ref, {})
        if not known and not versions:
            return  # as after most passes over drift that lasts
        known = {path: by for path, by in known.items() if _is_over(path, now)}
        ended = over(before, now if differs(now) else None) if differs(before) else None
        if ended is not None and now.status is not Status.UNKNOWN:
            paths = [field.path for field in ended.fields] or [_WHOLE]
            by = self._writer(versions)
            known = {path: owner for path, owner in known.items() if path not in paths}
            known |= dict.fromkeys(paths, by) if by is not None else {}
        if known:
            self._by[now.ref] = known
        else:
            self._by.pop(now.ref, None)

    def by(self, drift: Verdict) -> FieldOwner | None:
        """Who ended some drift of an object; None where that is not known, or it was not one alone."""
        known = self._by.get(drift.ref, {})
        owners = {known.get(path) for path in ([field.path for field in drift.fields] or [_WHOLE])}
        return owners.pop() if len(owners) == 1 else None

    def _writer(self, versions: Sequence[SeenVersion]) -> FieldOwner | None:
        if len(versions) < 2:
            return None
        writes = Past.of(versions).writes
        if not all(write.owners for write in writes):
            return None
        owners = [owner for write in writes for owner in write.owners if not self._managers.is_controller(owner)]
        return owners[-1] if len({owner.manager for owner in owners}) == 1 else None


def _is_over(path: FieldPath, now: Verdict) -> bool:
    """Whether an object does not differ at a path."""
    if path == _WHOLE:
        return now.status is not Status.MISSING
    return not any(field.path == path for field in now.fields)
