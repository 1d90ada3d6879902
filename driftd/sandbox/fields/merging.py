"""Merging of two objects, and removal of fields.

Source: structured-merge-diff, "typed" (merge, remove).
"""

from __future__ import annotations

from typing import Any

from driftd.sandbox.fields.atoms import Atom, ListType, MapType, Ref
from driftd.sandbox.fields.fieldset import FieldSet, PathElement, element_text
from driftd.sandbox.fields.fieldset import field as field_element
from driftd.sandbox.fields.typed import ABSENT, TypedError, as_kind, path_element


def merge(live: Any, config: Any, ref: Ref) -> Any:
    """`live` overwritten by the fields of `config`; list items are matched by their keys."""
    merged = _merge(live, config, ref)
    return None if merged is ABSENT else merged


def _merge(live: Any, config: Any, ref: Ref) -> Any:
    atom = ref.resolve()
    live_atom = atom if live is ABSENT else atom.for_value(live)
    config_atom = atom if config is ABSENT else atom.for_value(config)
    if config is ABSENT:
        return _merge_as(live_atom, live, config)
    return _merge_as(config_atom, live, config)


def _merge_as(atom: Atom, live: Any, config: Any) -> Any:
    if atom.map is not None:
        left, right = as_kind(live, dict), as_kind(config, dict)
        if not atom.map.atomic and (left or right):
            merged = {}
            for key in {**(left or {}), **(right or {})}:
                ref = atom.map.type_of(key)
                if ref is None:
                    continue
                child = _merge((left or {}).get(key, ABSENT), (right or {}).get(key, ABSENT), ref)
                if child is not ABSENT:
                    merged[key] = child
            return merged or ABSENT
    elif atom.list is not None and atom.scalar is None:
        before, after = as_kind(live, list), as_kind(config, list)
        if not atom.list.atomic and (before or after):
            return _merge_lists(atom.list, before or [], after or []) or ABSENT
    return live if config is ABSENT else config


def _merge_lists(shape: ListType, live: list[Any], config: list[Any]) -> list[Any]:
    """Items of `live` keep their positions, shared items take the order of `config`, duplicates in `live` are kept."""
    return _ListMerge(shape, live, config).run()


class _ListMerge:
    """Merges two lists in one pass over each. Shared items are emitted in the order of `config`."""

    def __init__(self, shape: ListType, live: list[Any], config: list[Any]) -> None:
        self._shape = shape
        self._live = live
        self._left, self._in_live = _indexed(shape, live, duplicates=True)
        self._right, self._in_config = _indexed(shape, config, duplicates=False)
        self._shared = [element for element in self._right if element in self._in_live]
        self._merged: list[Any] = []
        self._done: set[PathElement] = set()
        self._turn = 0

    def run(self) -> list[Any]:
        i = j = 0
        while i < len(self._left) or j < len(self._right):
            if i < len(self._left) and j < len(self._right):
                if self._left[i] == self._right[j]:
                    self._take_config(self._right[j])
                    i, j = i + 1, j + 1
                    continue
                if self._waits(self._left[i]):
                    i += 1
                    continue
            if i < len(self._left):
                if self._left[i] not in self._in_config:
                    self._take(self._left[i], self._live[i])
                    i += 1
                    continue
                if self._left[i] in self._done:
                    i += 1
            if j < len(self._right):
                self._take_config(self._right[j])
                j += 1
        return self._merged

    def _waits(self, element: PathElement) -> bool:
        """Whether a shared item is not yet next in the order of `config`."""
        return element in self._in_config and self._turn < len(self._shared) and self._shared[self._turn] != element

    def _take_config(self, element: PathElement) -> None:
        self._done.add(element)
        self._take(element, self._in_live.get(element, ABSENT))
        if self._turn < len(self._shared) and self._shared[self._turn] == element:
            self._turn += 1

    def _take(self, element: PathElement, live: Any) -> None:
        result = _merge(live, self._in_config.get(element, ABSENT), self._shape.element)
        if result is not ABSENT:
            self._merged.append(result)


def _indexed(
    shape: ListType, values: list[Any], *, duplicates: bool
) -> tuple[list[PathElement], dict[PathElement, Any]]:
    elements: list[PathElement] = []
    values_by_element: dict[PathElement, Any] = {}
    for child in values:
        element = path_element(shape, child)
        if element in values_by_element:
            if not duplicates:
                raise TypedError([f"duplicate entries for key {element_text(element)}"])
            values_by_element[element] = None  # duplicates are replaced by the new value, not merged with it
        else:
            values_by_element[element] = child
        elements.append(element)
    return elements, values_by_element


def remove(value: Any, fields: FieldSet, ref: Ref) -> Any:
    """The value without the paths of `fields` and those below them; None if it becomes empty."""
    atom = ref.resolve().for_value(value)
    if atom.map is not None:
        if not isinstance(value, dict) or not value or atom.map.atomic:
            return None
        return _remove_from_map(value, fields, atom.map)
    if atom.scalar is not None:
        return value
    if atom.list is not None:
        if not isinstance(value, list) or not value or atom.list.atomic:
            return None
        return _remove_from_list(value, fields, atom.list)
    return None


def _remove_from_map(value: dict[str, Any], fields: FieldSet, shape: MapType) -> dict[str, Any] | None:
    kept: dict[str, Any] = {}
    for key, child in value.items():
        element = field_element(key)
        if element in fields.members:
            continue
        below = fields.under(element)
        ref = shape.type_of(key)
        kept[key] = remove(child, below, ref) if below and ref is not None else child
    return kept or None


def _remove_from_list(value: list[Any], fields: FieldSet, shape: ListType) -> list[Any] | None:
    kept: list[Any] = []
    for child in value:
        element = path_element(shape, child)
        if element in fields.members:
            continue
        below = fields.under(element)
        kept.append(remove(child, below, shape.element) if below else child)
    return kept or None
