"""The rollout of a revision, to good or bad. Pure: it is given what was seen, and for how long.

A revision's quality is its rollout, and not the state of the cluster. What stays out of it:

- objects that somebody has changed or deleted since: what runs is not what the revision declares;
- an object that has been healthy for the settle time: a restart, a drain or a lost node comes after the rollout;
- what was unhealthy before the revision came;
- a Job that is running, a paused rollout, a deletion: these have a pace of their own;
- time in which nobody looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto

from driftd.model.health import Health, describe
from driftd.model.resource import ResourceRef
from driftd.model.revision import RevisionState

LOOK_EVERY = timedelta(seconds=10)
"""How often a rollout is looked at while time may decide on it."""

_LONGEST_LOOK = 2 * LOOK_EVERY
"""How much of the time between two looks counts: a process that was suspended in between has not looked."""

_ZERO = timedelta(0)
_NONE: frozenset[ResourceRef] = frozenset()


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one pass saw of the objects that a revision declares.

    `edited` are missing, or differ from Git in their specification: their health says nothing of the revision.
    `rewritten` were put back since the last sighting: whatever they do now, they began anew.
    """

    unhealthy: tuple[Health, ...] = ()
    edited: AbstractSet[ResourceRef] = _NONE
    rewritten: AbstractSet[ResourceRef] = _NONE


@dataclass(frozen=True, slots=True)
class RevisionAssessment:
    """The state of a revision from now on, why, and when to assess it again (None: time alone changes nothing)."""

    state: RevisionState
    reason: str = ""
    requeue_after: timedelta | None = None


class _Condition(Enum):
    HEALTHY = auto()
    UNHEALTHY = auto()
    WAITING = auto()  # at its own pace
    EDITED = auto()


@dataclass(slots=True)
class _ObjectRollout:
    """The rollout of one object that was not healthy all the time, or not as declared.

    `proven`: it was healthy for the settle time. `exempt`: it was unhealthy before the revision came, and has been ever
    since. `written` identifies what it was rolling out when it was last unhealthy.
    """

    condition: _Condition = _Condition.HEALTHY
    healthy_for: timedelta = _ZERO
    unhealthy_for: timedelta = _ZERO
    proven: bool = False
    exempt: bool = False
    written: str = ""

    @property
    def counts(self) -> bool:
        """Whether its health counts against the revision now."""
        return self.condition is _Condition.UNHEALTHY and not self.proven and not self.exempt

    def pass_time(self, elapsed: timedelta, settle: timedelta) -> None:
        """Adds the time since the last sighting to the condition that it was in."""
        if self.condition is _Condition.HEALTHY:
            self.healthy_for += elapsed
            self.proven |= self.healthy_for >= settle
        elif self.condition is _Condition.UNHEALTHY:
            self.unhealthy_for += elapsed

    def enter(self, condition: _Condition, health: Health | None, deadline: timedelta) -> None:
        """Takes in the condition that it was seen in. To fall ill again takes a moment to count, too."""
        if condition is _Condition.UNHEALTHY and self.condition is not condition:
            self.unhealthy_for = min(self.unhealthy_for, max(_ZERO, deadline - LOOK_EVERY))
        if condition is _Condition.HEALTHY:
            self.exempt = False
        else:
            self.healthy_for = _ZERO
        if condition is _Condition.EDITED:
            self.begin_anew()
        elif health is not None:
            if self.written and health.rollout != self.written:
                self.begin_anew()
            self.written = health.rollout
        self.condition = condition

    def begin_anew(self) -> None:
        """After a later write it has all of its deadline again."""
        self.unhealthy_for = _ZERO


@dataclass(slots=True)
class Rollout:
    """The rollout of a revision that is in the cluster.

    `settle` and `deadline`: for how long each object has to be healthy without a break, and how long it may be
    unhealthy until then. `changed` are the objects that the revision declares otherwise than the one before it did,
    `unhealthy_before` those that were unhealthy when it came, and that this cannot be blamed for.
    """

    settle: timedelta
    deadline: timedelta
    changed: AbstractSet[ResourceRef]
    unhealthy_before: AbstractSet[ResourceRef] = _NONE
    _begun: bool = False
    _observed: timedelta = _ZERO
    _objects: dict[ResourceRef, _ObjectRollout] = field(default_factory=dict)
    _unhealthy: tuple[Health, ...] = ()

    def observe(self, sighting: Sighting, elapsed: timedelta) -> None:
        """Takes in a sighting; `elapsed` is the time since the last one in which the app was observed."""
        elapsed = max(_ZERO, min(elapsed, _LONGEST_LOOK))
        self._observed += elapsed
        for one in self._objects.values():
            one.pass_time(elapsed, self.settle)
        unhealthy = {health.ref: health for health in sighting.unhealthy}
        for ref in (unhealthy.keys() | sighting.edited) - self._objects.keys():
            self._objects[ref] = self._until_now(exempt=not self._begun and ref in self.unhealthy_before)
        self._begun = True
        for ref, one in self._objects.items():
            if ref in sighting.rewritten:
                one.begin_anew()
            health = unhealthy.get(ref)
            one.enter(_condition(health, is_edited=ref in sighting.edited), health, self.deadline)
        self._unhealthy = sighting.unhealthy

    def _until_now(self, *, exempt: bool) -> _ObjectRollout:
        """The rollout of an object that was healthy at every sighting before this one."""
        return _ObjectRollout(healthy_for=self._observed, proven=self._observed >= self.settle, exempt=exempt)

    @property
    def blamed(self) -> tuple[Health, ...]:
        """The objects whose health counts against the revision now."""
        return tuple(health for health in self._unhealthy if self._objects[health.ref].counts)

    def assess(self, state: RevisionState) -> RevisionAssessment:
        """What becomes of the revision, which was in `state`.

        Good, once each of its objects was healthy for the settle time and all are at once; from then on it stays good:
        what breaks later is an incident, not its fault. Bad, when an object has been unhealthy for the deadline before
        that. A bad one that becomes healthy after all is good.
        """
        if state is RevisionState.GOOD or self._is_good():
            return RevisionAssessment(RevisionState.GOOD)
        waits = [self.settle - one.healthy_for for one in self._settling()]
        if self._observed < self.settle:
            waits.append(self.settle - self._observed)
        if state is not RevisionState.BAD:
            blamed = self.blamed
            if late := [health for health in blamed if self._left(health) <= _ZERO]:
                reason = f"not healthy within {_formatted(self.deadline)}: {describe(late)}"
                return RevisionAssessment(RevisionState.BAD, reason)
            waits += [self._left(health) for health in blamed]
        return RevisionAssessment(state, requeue_after=min([*waits, LOOK_EVERY]) if waits else None)

    def _is_good(self) -> bool:
        if not self._begun or self._observed < self.settle:
            return False
        ailing = (_Condition.UNHEALTHY, _Condition.WAITING)
        return all(one.proven and one.condition not in ailing for one in self._needed())

    def _needed(self) -> Iterable[_ObjectRollout]:
        """Drift of what the revision did not change is not of its rollout."""
        return (
            one for ref, one in self._objects.items() if ref in self.changed or one.condition is not _Condition.EDITED
        )

    def _settling(self) -> Iterable[_ObjectRollout]:
        return (one for one in self._needed() if one.condition is _Condition.HEALTHY and not one.proven)

    def _left(self, health: Health) -> timedelta:
        return self.deadline - self._objects[health.ref].unhealthy_for


@dataclass(slots=True)
class Application:
    """How a revision comes into the cluster, as long as the API server refuses some of its objects.

    A refusal for what an object says counts, by validation or a policy: missing rights, a webhook that does not answer
    and a cluster that cannot be reached are no fault of the revision. Nor is time in which nobody looked.
    """

    deadline: timedelta
    refused: dict[ResourceRef, str] = field(default_factory=dict)
    _refused_for: timedelta = _ZERO

    def observe(
        self, refused: Mapping[ResourceRef, str], not_applied: AbstractSet[ResourceRef], elapsed: timedelta
    ) -> None:
        """Takes in what the last writes were refused for; `elapsed` is the time since the last observation."""
        if self.refused:
            self._refused_for += max(_ZERO, min(elapsed, _LONGEST_LOOK))
        still = {**self.refused, **refused}
        self.refused = {ref: why for ref, why in still.items() if ref in not_applied}
        if not self.refused:
            self._refused_for = _ZERO

    def assess(self, state: RevisionState) -> RevisionAssessment:
        """What becomes of the revision: bad, once something of it was refused for the deadline."""
        left = self.deadline - self._refused_for
        if not self.refused:
            return RevisionAssessment(state)
        if left > _ZERO:
            return RevisionAssessment(state, requeue_after=min(left, LOOK_EVERY))
        told = "; ".join(f"{ref}: {why}" for ref, why in self.refused.items())
        return RevisionAssessment(RevisionState.BAD, f"refused for {_formatted(self.deadline)}: {told}")


def _condition(health: Health | None, *, is_edited: bool) -> _Condition:
    if is_edited:
        return _Condition.EDITED
    if health is None:
        return _Condition.HEALTHY
    return _Condition.WAITING if health.own_pace else _Condition.UNHEALTHY


def _formatted(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    minutes, seconds = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")
