"""Comparison of two objects: the fields that were removed, modified and added.

Source: structured-merge-diff, "typed" (compare).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from driftd.sandbox.fields.atoms import Atom, ListType, Ref
from driftd.sandbox.fields.fieldset import FieldFilter, FieldPath, FieldSet, PathElement
from driftd.sandbox.fields.fieldset import field as field_element
from driftd.sandbox.fields.typed import ABSENT, as_kind, path_element


@dataclass(slots=True)
class Comparison:
    removed: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    added: FieldSet = field(default_factory=FieldSet)

    def filtered(self, keep: FieldFilter | None) -> Comparison:
        return self if keep is None else Comparison(keep(self.removed), keep(self.modified), keep(self.added))


def compare(old: Any, new: Any, ref: Ref) -> Comparison:
    result = Comparison()
    _compare(old, new, ref, (), result)
    return result


def _compare(old: Any, new: Any, ref: Ref, path: FieldPath, result: Comparison) -> None:
    if old is new:
        return
    atom = ref.resolve()
    old_atom = atom if old is ABSENT else atom.for_value(old)
    new_atom = atom if new is ABSENT else atom.for_value(new)
    if new is ABSENT:
        leaf = _compare_as(old_atom, old, new, path, result)
    elif old is ABSENT or old_atom is new_atom:
        leaf = _compare_as(new_atom, old, new, path, result)
    else:
        _compare_as(old_atom, old, new, path, result)
        leaf = _compare_as(new_atom, old, new, path, result)
    if not leaf:
        if old is ABSENT:
            result.added.insert(path)
        elif new is ABSENT:
            result.removed.insert(path)


def _compare_as(atom: Atom, old: Any, new: Any, path: FieldPath, result: Comparison) -> bool:
    """Compares two values as one of the possible types. Returns whether the value is a leaf, which is then recorded."""
    if atom.map is not None:
        left, right = as_kind(old, dict), as_kind(new, dict)
        if not atom.map.atomic and (left or right):
            for key in {**(left or {}), **(right or {})}:
                child = atom.map.type_of(key)
                if child is not None:
                    _compare(
                        (left or {}).get(key, ABSENT),
                        (right or {}).get(key, ABSENT),
                        child,
                        (*path, field_element(key)),
                        result,
                    )
            return False
    elif atom.list is not None and atom.scalar is None:
        before, after = as_kind(old, list), as_kind(new, list)
        if not atom.list.atomic and (before or after):
            _compare_lists(atom.list, before or [], after or [], path, result)
            return False
    if old is ABSENT:
        result.added.insert(path)
    elif new is ABSENT:
        result.removed.insert(path)
    elif not same(old, new):
        result.modified.insert(path)
    return True


def _compare_lists(shape: ListType, old: list[Any], new: list[Any], path: FieldPath, result: Comparison) -> None:
    before, after = _grouped(shape, old), _grouped(shape, new)
    for element in {**before, **after}:
        left, right = before.get(element, []), after.get(element, [])
        below = (*path, element)
        if len(left) <= 1 and len(right) <= 1:
            _compare(left[0] if left else ABSENT, right[0] if right else ABSENT, shape.element, below, result)
        elif len(left) >= 2 and len(right) >= 2:
            if not same(left, right):
                result.modified.insert(below)
        elif len(left) >= 2:
            if right:
                _compare(ABSENT, right[0], shape.element, below, result)
            result.removed.insert(below)
        else:
            if left:
                _compare(left[0], ABSENT, shape.element, below, result)
            result.added.insert(below)


def _grouped(shape: ListType, values: list[Any]) -> dict[PathElement, list[Any]]:
    groups: dict[PathElement, list[Any]] = {}
    for child in values:
        groups.setdefault(path_element(shape, child), []).append(child)
    return groups


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: `true` differs from 1, but 1 equals 1.0."""
    if left is right:
        return True
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(child, right[key]) for key, child in left.items())
        )
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    return isinstance(left, bool) == isinstance(right, bool) and left == right
