"""What deploying a revision would do to one object: its verdicts by the revision and by the base, laid side by side.

`touched` is an object that the revision declares otherwise than the base. Only for such a one is there a verdict by the
base: of any other it would be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from driftd.diff.locate import Locator
from driftd.diff.normalise import normalise_manifest
from driftd.diff.redact import Redactor
from driftd.diff.rules.deployer_options import kept_without_declaration
from driftd.diff.typed.schema import Schema
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.path import FieldPath, PathSet
from driftd.model.preview import Effect, FieldPreview, ObjectPreview
from driftd.model.resource import Json, JsonObject, Manifest


def standing(verdict: Verdict) -> ObjectPreview:
    """Of an object that is declared as before. One that was never deployed comes with the revision all the same."""
    if verdict.status is Status.MISSING:
        return ObjectPreview(verdict, Effect.CREATED if verdict.behind else Effect.STANDING)
    return ObjectPreview(verdict, None, tuple([FieldPreview(f, Effect.STANDING, f.desired) for f in verdict.fields]))


def removed(verdict: Verdict, manifest: Manifest) -> ObjectPreview | None:
    """Of an object that the base declares and the revision does not; None where it is not there.

    `verdict` is by the base: what hands have changed goes with the object, if its deployer deletes it.
    """
    if verdict.status is Status.MISSING:
        return None
    fields = [FieldPreview(f, Effect.UNDONE, f.desired) for f in verdict.fields if _is_edit(f)]
    return ObjectPreview(verdict, Effect.REMOVED, tuple(fields), kept_without_declaration(manifest.body))


def created(verdict: Verdict) -> ObjectPreview:
    """Of an object that only the revision declares. One that is there already is somebody's own."""
    if verdict.status is Status.MISSING:
        return ObjectPreview(verdict, Effect.CREATED)
    if verdict.status in (Status.IN_SYNC, Status.IGNORED):
        return ObjectPreview(verdict, Effect.ADOPTED)

    def effect(field: FieldDrift) -> Effect:
        if field.change is Change.ADDED or _changes_nothing(field):
            return Effect.STANDING
        return Effect.CONFLICT if field.by is not None and not field.behind else Effect.CHANGED

    return ObjectPreview(verdict, None, tuple([FieldPreview(f, effect(f)) for f in verdict.fields]))


@dataclass(frozen=True, slots=True)
class Declarations:
    """What the revision and the base declare of one object, to be asked for by the paths of fields.

    `is_deployers` tells whether its deployer has set a field that differs: what it has deployed already is no edit.
    """

    revision: Manifest
    base: Manifest
    live: JsonObject | None
    schema: Schema | None
    redactor: Redactor
    is_deployers: Callable[[FieldDrift], bool]

    def touched(self, revision: Verdict, base: Verdict) -> ObjectPreview:
        """Of an object that the revision declares otherwise than the base, by both verdicts."""
        if revision.status is Status.MISSING:
            return ObjectPreview(revision, Effect.CREATED if base.behind else Effect.UNDONE)
        if Status.UNKNOWN in (revision.status, base.status):
            return ObjectPreview(revision, None)
        sides = _Sides(self)
        edits = PathSet(field.path for field in base.fields if _is_edit(field))
        differing = PathSet(field.path for field in revision.fields)
        fields = [
            FieldPreview(field, sides.effect(field, edited=edits.overlaps(field.path)), sides.before(field.path))
            for field in revision.fields
        ]
        fields += [
            FieldPreview(field, Effect.ADOPTED, field.desired)
            for field in base.fields
            if _is_edit(field)
            and not (field.by is not None and self.is_deployers(field))
            and not differing.overlaps(field.path)
            and sides.is_touched(field.path)
        ]
        return ObjectPreview(revision, None, tuple(fields))


class _Sides:
    """The two declarations, each list of which is gone through once."""

    def __init__(self, declarations: Declarations) -> None:
        base = declarations.base.body
        self._revision = Locator(normalise_manifest(declarations.revision.body).body, declarations.schema)
        self._base = Locator(normalise_manifest(base).body, declarations.schema)
        self._redact = declarations.redactor.of(base, declarations.live, declarations.schema)

    def effect(self, field: FieldDrift, *, edited: bool) -> Effect:
        """What becomes of a field that differs from the revision; `edited`: it differs from the base by a hand, too."""
        if _changes_nothing(field):
            return Effect.STANDING
        if field.change is Change.ADDED and self._base.locate(field.path) is None:
            return Effect.STANDING  # nobody declares it, so that whoever deploys leaves it there
        if edited:
            return Effect.CONFLICT if self.is_touched(field.path) else Effect.UNDONE
        return Effect.CHANGED if self.is_touched(field.path) else Effect.STANDING

    def is_touched(self, path: FieldPath) -> bool:
        """Whether the two declare another value at a path."""
        return bool(_value(self._revision, path) != _value(self._base, path))

    def before(self, path: FieldPath) -> Json:
        """What the base declares at a path, without the values of Secrets."""
        located = self._base.locate(path)
        if located is None:
            return None
        return self._redact(FieldDrift(path, Change.CHANGED, located.value, None, located.at)).desired


def _value(side: Locator, path: FieldPath) -> Json:
    located = side.locate(path)
    return located.value if located is not None else None


def _is_edit(field: FieldDrift) -> bool:
    """Whether a difference from the base is a hand's: not lag, nor what no apply changes."""
    return not field.behind and not _changes_nothing(field)


def _changes_nothing(field: FieldDrift) -> bool:
    """Whether applying a manifest leaves the difference as it is."""
    return field.of_pods or field.of_deletion or field.no_such_field
