"""Edits that were put back before a pass saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.model.drift import FieldOwner, Status, Verdict
from driftd.model.text import plural


@dataclass(frozen=True, slots=True)
class RevertedEdit:
    """Drift of one object that one write has brought, and that another one has ended.

    `verdict` has it as it was: the fields with both values, whose hand and the line of Git; or that the object was
    missing. `version` is the resource version that the write made, or replaced where it deleted the object.
    `began` and `ended` are when the API server says that it was written, or else when a watch brought it. `seconds` lie
    between them, as exactly as is known. `put_back_by` is None where that is not known.
    """

    verdict: Verdict
    version: str
    began: datetime
    ended: datetime
    seconds: float
    put_back_by: FieldOwner | None

    @property
    def key(self) -> str:
        """Identifies it, whichever process tells of it."""
        ref = self.verdict.ref
        paths = sorted({"/".join(map(str, field.path)) for field in self.verdict.fields})
        return "\n".join([ref.group, ref.kind, ref.namespace or "", ref.name, self.version, *paths])


def summary(edits: Sequence[RevertedEdit]) -> str:
    """One line: `Deployment shop/web: 1 field changed by kubectl-edit, put back by argocd-controller after 3 s`."""
    texts = [f"{edit.verdict.ref}: {_edited(edit)}, put back{put_back(edit)}" for edit in edits]
    if len(texts) == 1:
        return texts[0]
    objects = {edit.verdict.ref for edit in edits}
    managers = sorted({edit.put_back_by.manager for edit in edits if edit.put_back_by is not None})
    by = f" by {', '.join(managers)}" if managers else ""
    return f"{plural(len(edits), 'edit')} of {plural(len(objects), 'object')} put back{by} before a pass saw them"


def put_back(edit: RevertedEdit) -> str:
    """Who put it back, where that is known, and after how long: ` by argocd-controller after 3 s`."""
    by = f" by {edit.put_back_by.manager}" if edit.put_back_by is not None else ""
    return f"{by} after {span(edit.seconds)}"


def span(seconds: float) -> str:
    """A span of time, to a tenth of a second below ten: `0.4 s`, `12 s`."""
    if seconds < 0.1:
        return "less than 0.1 s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _edited(edit: RevertedEdit) -> str:
    verdict = edit.verdict
    owners = {verdict.by, *(field.by for field in verdict.fields)} - {None}
    managers = sorted({owner.manager for owner in owners if owner is not None})
    by = f" by {', '.join(managers)}" if managers else ""
    if verdict.status is Status.MISSING:
        return f"deleted{by}"
    return f"{plural(len(verdict.fields), 'field')} changed{by}"
