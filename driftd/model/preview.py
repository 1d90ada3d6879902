"""What deploying another revision would do to a cluster: told from the base, that revision, and what is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from driftd.model.drift import Change, FieldDrift, Verdict
from driftd.model.resource import Json, ResourceRef
from driftd.model.revision import Revision


class Effect(StrEnum):
    """What becomes of a field or an object when the revision is deployed."""

    CREATED = "created"
    """The object is not there, and the revision brings it."""
    CHANGED = "changed"
    """Live is as the base declares it, and the revision declares something else."""
    CONFLICT = "conflict"
    """A hand has changed it live, the revision changes it too, and wins."""
    UNDONE = "undone"
    """A hand has changed it live, and the revision puts back what the base declares."""
    ADOPTED = "adopted"
    """A hand has changed it live to what the revision declares: nothing changes, and Git declares it from then on."""
    REMOVED = "removed"
    """The object is there, and the revision does not declare it any more."""
    STANDING = "standing"
    """It differs, and not by this revision: the object is declared as before, or nobody who deploys would touch it."""


@dataclass(frozen=True, slots=True)
class FieldPreview:
    """One field. `drift` is how live differs from the revision (of ADOPTED fields and removed objects, from the base).

    `before` is what the base declares, redacted as `drift` is; None where it declares nothing, or null.
    """

    drift: FieldDrift
    effect: Effect
    before: Json = None

    @property
    def after(self) -> Json:
        """The live value once the revision is deployed; None where there is none then."""
        keeps = self.effect is Effect.ADOPTED or (self.effect is Effect.STANDING and self.drift.change is Change.ADDED)
        return self.drift.live if keeps else self.drift.desired


@dataclass(frozen=True, slots=True)
class ObjectPreview:
    """One object. `verdict` is against the revision; of one that it does not declare any more, against the base.

    `effect` is None where only its fields tell. `kept` is the annotation by which its deployer leaves a removed object
    where it is.
    """

    verdict: Verdict
    effect: Effect | None
    fields: tuple[FieldPreview, ...] = ()
    kept: str | None = None

    def of(self, *effects: Effect) -> tuple[FieldPreview, ...]:
        """The fields with one of these effects."""
        return tuple([field for field in self.fields if field.effect in effects])

    @property
    def is_standing(self) -> bool:
        """Whether the revision has nothing to do with anything of the object."""
        return all(effect in (None, Effect.STANDING) for effect in (self.effect, *(f.effect for f in self.fields)))


@dataclass(frozen=True)
class Preview:
    """What deploying a revision would do. `base` is what it is told from, known to people as `base_name`; `error` says
    why it cannot be told.

    `objects` are those that differ from the revision or the base, in the order of the report, then the removed ones.
    """

    base_name: str
    base: Revision | None
    objects: tuple[ObjectPreview, ...] = ()
    error: str | None = None

    @cached_property
    def by_ref(self) -> Mapping[ResourceRef, ObjectPreview]:
        return {each.verdict.ref: each for each in self.objects}

    @cached_property
    def counts(self) -> Mapping[Effect, int]:
        """Number of each effect, zeros included: of objects, and of fields of objects that are none of these."""
        counts = dict.fromkeys(Effect, 0)
        for each in self.objects:
            if each.effect is not None:
                counts[each.effect] += 1
            for field in each.fields:
                counts[field.effect] += 1
        return counts
