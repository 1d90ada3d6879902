"""Rules by which users ignore differences: in the configuration, and in an object's annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from driftd.diff.rules.cel import evaluate, validate
from driftd.diff.rules.deployer_options import option_of
from driftd.diff.rules.globs import covers, matches_any
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import DriftdError
from driftd.model.ignore_annotation import ANNOTATION, ignored_paths
from driftd.model.path import format_path
from driftd.model.resource import Json, JsonObject, ResourceRef

_KEYS = ("kind", "group", "name", "namespace", "path", "manager", "cel", "reason")


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """Differences that the user ignores. Empty tuples match everything; `*` matches any run of characters.

    A path covers its children: `spec.template` is all of the template, `metadata.annotations["a.io/*"]` some
    annotations, `spec.template.spec.containers[name=*].image` the image of each container.
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    cel: tuple[str, ...] = ()
    added_only: bool = False
    reason: str = ""
    origin: str = "configuration"

    @classmethod
    def parse(cls, raw: Mapping[str, Any], origin: str = "configuration") -> IgnoreRule:
        """A rule of the configuration's `ignore:` list; each key takes a string or a list of strings.

        Raises: DriftdError: an unknown key, a value of another type, or a rule without any condition.
        """
        unknown = sorted(set(raw) - set(_KEYS))
        if unknown:
            raise DriftdError(f"{origin}: {unknown[0]!r} is no key of an ignore rule; use one of {', '.join(_KEYS)}")
        values = {key: _string_list(raw.get(key), f"{origin}.{key}") for key in _KEYS}
        if not any(values[key] for key in _KEYS if key != "reason"):
            raise DriftdError(f"{origin}: a rule that names nothing would ignore everything; give it a kind or a path")
        return cls(
            paths=values["path"],
            kinds=values["kind"],
            groups=values["group"],
            names=values["name"],
            namespaces=values["namespace"],
            managers=values["manager"],
            cel=tuple(_validated_cel(expression, f"{origin}.cel") for expression in values["cel"]),
            reason=" ".join(values["reason"]),
            origin=origin,
        )

    def selects(self, ref: ResourceRef) -> bool:
        """Whether the rule applies to that object."""
        return (
            _matches_any(self.kinds, ref.kind)
            and _matches_any(self.groups, ref.group)
            and _matches_any(self.names, ref.name)
            and _matches_any(self.namespaces, ref.namespace or "")
        )

    def matches(self, ref: ResourceRef, drift: FieldDrift, declared: JsonObject | None = None) -> bool:
        """Whether the rule ignores this difference. CEL is evaluated last, with the `declared` object."""
        if not self._matches_object_and_field(ref, drift):
            return False
        return all(evaluate(expression, declared or {}, drift) for expression in self.cel)

    def _matches_object_and_field(self, ref: ResourceRef, drift: FieldDrift) -> bool:
        if not self.selects(ref) or (self.added_only and drift.change is not Change.ADDED):
            return False
        if self.managers and not (drift.by is not None and _matches_any(self.managers, drift.by.manager)):
            return False
        if not self.paths:
            return True
        path = format_path(drift.path)
        return any(covers(pattern, path) for pattern in self.paths)

    def __str__(self) -> str:
        parts = [
            f"{key} {', '.join(values)}"
            for key, values in (
                ("kind", self.kinds), ("group", self.groups), ("name", self.names), ("namespace", self.namespaces),
                ("path", self.paths), ("manager", self.managers), ("cel", self.cel),
            )
            if values
        ]  # fmt: skip
        return f"{self.origin}: {'; '.join(parts) or 'everything'}"


@dataclass(frozen=True, slots=True)
class IgnoreRuleSet:
    """The user's rules, and which of them have matched a difference so far."""

    rules: tuple[IgnoreRule, ...] = ()
    _used: set[int] = field(default_factory=set, repr=False, compare=False)

    def rule_for(self, ref: ResourceRef, declared: JsonObject, drift: FieldDrift) -> IgnoreRule | None:
        """The first rule that ignores this difference: the configuration's rules, then those of the manifest itself."""
        for index, rule in enumerate(self.rules):
            if rule.matches(ref, drift, declared):
                self._used.add(index)
                return rule
        return next((rule for rule in manifest_rules(declared) if rule.matches(ref, drift)), None)

    def covers_a_part(self, ref: ResourceRef, declared: JsonObject, drift: FieldDrift) -> bool:
        """Whether a rule ignores something within a live list or map that differs as a whole."""
        if drift.change is not Change.CHANGED or not isinstance(drift.live, dict | list):
            return False
        rules = [rule for rule in (*self.rules, *manifest_rules(declared)) if rule.paths and rule.selects(ref)]
        return bool(rules) and any(
            rule.matches(ref, part, declared) for part in _parts(drift, drift.live) for rule in rules
        )

    def unused(self) -> tuple[IgnoreRule, ...]:
        """The rules that have not matched any difference so far: complete after a full pass."""
        return tuple(rule for index, rule in enumerate(self.rules) if index not in self._used)


def annotation_rules(declared: JsonObject) -> tuple[IgnoreRule, ...]:
    """The rules of the annotation `driftd.io/ignore` in Git: paths, separated by commas or white space.

    `*`, `true` and `all` mean the whole object. The first 100 paths count, of up to 1,000 characters each. The live
    annotation does not count: a manual change could exempt itself.
    """
    metadata = declared.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    text = annotations.get(ANNOTATION) if isinstance(annotations, Mapping) else None
    if not isinstance(text, str):
        return ()
    paths = ignored_paths(text)
    if paths == ():
        return ()
    return (IgnoreRule(paths=paths or (), origin=f"annotation {ANNOTATION}"),)


def manifest_rules(declared: JsonObject) -> tuple[IgnoreRule, ...]:
    """The rules that a manifest has itself: by the annotation `driftd.io/ignore`, and by an option of its deployer."""
    rules = annotation_rules(declared)
    if (option := option_of(declared)) is None:
        return rules
    return (*rules, IgnoreRule(added_only=not option.declared, reason=option.reason, origin=str(option)))


def parse_rules(raw: Sequence[Mapping[str, Any]]) -> tuple[IgnoreRule, ...]:
    """The configuration's `ignore:` list. Raises: DriftdError: see `IgnoreRule.parse`."""
    return tuple(IgnoreRule.parse(rule, f"ignore[{index}]") for index, rule in enumerate(raw))


def _parts(whole: FieldDrift, live: Json) -> Iterator[FieldDrift]:
    """Everything within a live value as a difference of its own."""
    for key, value in live.items() if isinstance(live, dict) else enumerate(live):
        part = replace(whole, path=(*whole.path, key), desired=None, live=value)
        yield part
        if isinstance(value, dict | list):
            yield from _parts(part, value)


def _validated_cel(expression: str, origin: str) -> str:
    try:
        return validate(expression)
    except DriftdError as error:
        raise DriftdError(f"{origin}: {error}") from error


def _string_list(value: Any, origin: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise DriftdError(f"{origin}: give a string or a list of strings")


def _matches_any(patterns: Sequence[str], value: str) -> bool:
    return not patterns or matches_any(patterns, value)
