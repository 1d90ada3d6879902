"""Differences from values that Git alone does not say: what comes out otherwise in each rendering, and stand-ins."""

from __future__ import annotations

from collections.abc import Iterable

from driftd.diff.rules.globs import matches_any
from driftd.diff.rules.rule import BuiltInRule
from driftd.diff.typed.values import decode_base64
from driftd.model.drift import Change, FieldDrift
from driftd.model.resource import Json, Manifest, Undetermined
from driftd.model.stand_in import looks_substituted, may_be_substituted, replaces_variables, stand_in_within, variables

UNDETERMINED = BuiltInRule(
    "undetermined",
    "it comes out otherwise in each rendering (random, a time, an install or an upgrade), so that Git does not say it",
)

STAND_IN = "stand-in"
"""The name of rules by which a difference makes the object unknown."""

_SUBSTITUTING = ("kustomize-controller", "flux*")
"""Deployers that put values in the place of `${VARIABLES}` in whatever they deploy."""


def rule_for(manifest: Manifest, drift: FieldDrift, deployer: str | None) -> BuiltInRule | None:
    """The rule by which a difference cannot be judged, or None. `drift.at` is its position in the manifest.

    `deployer` is the manager that deploys the object: only what it wrote itself can be a substituted variable.
    """
    if manifest.undetermined and _is_undetermined(manifest.undetermined, drift):
        return UNDETERMINED
    if drift.change is not Change.CHANGED:
        return None
    desired, live = _texts(manifest, drift)
    if (what := stand_in_within(desired)) is not None:
        return BuiltInRule(STAND_IN, f"{what} in Git, so that it cannot be compared")
    names = variables(desired)
    by_deployer = drift.by is None or drift.by.manager == deployer
    if names and by_deployer and may_be_substituted(desired, live):
        return BuiltInRule(STAND_IN, substituted(names))
    return None


def is_partly_undetermined(manifest: Manifest, drift: FieldDrift) -> bool:
    """Whether a declared value that differs comes out otherwise in each rendering, or some of it does: a list with a
    random value in it, or a random value that somebody has taken out. Written, it would be another one."""
    depth = len(drift.at)
    is_declared = drift.change is not Change.ADDED
    return is_declared and any(each.at[:depth] == drift.at for each in manifest.undetermined if each.at)


def is_stand_in(drift: FieldDrift, deployer: str | None) -> bool:
    """Whether a declared value that differs stands in for what its deployer writes, or some of it does.

    Nothing but the deployer knows what that is: encrypted values, and variables that were replaced, as what is live
    shows. Flux replaces them everywhere, and in an image no shell does.
    """
    if drift.change is Change.ADDED:
        return False
    if stand_in_within(drift.desired) is not None or looks_substituted(drift.desired, drift.live):
        return True
    by_flux = deployer is not None and matches_any(_SUBSTITUTING, deployer)
    return (by_flux or drift.path[-1] == "image") and replaces_variables(drift.desired, drift.live)


def _texts(manifest: Manifest, drift: FieldDrift) -> tuple[Json, Json]:
    """The two values; those of a Secret's `data` decoded, if both are base64."""
    if manifest.ref.kind == "Secret" and drift.path[:1] == ("data",):
        sides = [decode_base64(side) if isinstance(side, str) else None for side in (drift.desired, drift.live)]
        if None not in sides:
            desired, live = (side.decode(errors="replace") for side in sides if side is not None)
            return desired, live
    return drift.desired, drift.live


def substituted(names: Iterable[str]) -> str:
    """Why a text with variables in it cannot be compared."""
    listed = ", ".join(f"${{{name}}}" for name in names)
    return f"{listed} is put in by its deployer (as Flux does), so that Git does not say it"


def missing_but_unknown(manifest: Manifest) -> str | None:
    """Why an object that is not there may still not be missing, or None."""
    if (what := stand_in_within(manifest.body)) is not None:
        return f"some of it is {what} in Git, so that neither its values nor a name made from them are known"
    if any(not each.at for each in manifest.undetermined):
        return "two renderings differ in whether it exists, or in its name: Git does not say it"
    ref = manifest.ref
    if names := variables(f"{ref.namespace or ''}/{ref.name}"):
        return substituted(names)
    return None


def _is_undetermined(undetermined: Iterable[Undetermined], drift: FieldDrift) -> bool:
    return any(_covers(each, drift) for each in undetermined)


def _covers(undetermined: Undetermined, drift: FieldDrift) -> bool:
    at, optional = undetermined
    depth = len(drift.at)
    if drift.at[: len(at)] == at:
        # A value that is there in each rendering, whichever it is, and not in the cluster is gone.
        return optional or drift.change is not Change.REMOVED or depth > len(at)
    # Undeclared, and a member that another rendering has.
    is_member = at[:depth] == drift.at and at[depth : depth + 1] == drift.path[depth : depth + 1]
    return optional and drift.change is Change.ADDED and is_member
