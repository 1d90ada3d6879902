"""The configuration of ignore rules and of field managers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from driftd.config.mistake import mistake
from driftd.config.section import AnyOf, KeyMistake, KeyRule, Section
from driftd.diff.rules.cel import validate
from driftd.model.errors import DriftdError
from driftd.model.path import path_pattern_mistake


def _checked(text: str) -> str:
    try:
        return validate(text)
    except DriftdError as error:
        raise mistake(str(error)) from error


def _paths(patterns: str | list[str]) -> str | list[str]:
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if what := path_pattern_mistake(pattern):
            raise mistake(what)
    return patterns


def _object_mistakes(present: Mapping[str, Any]) -> Iterator[KeyMistake]:
    """Conditions that no object meets: they would leave unprotected what they were meant to protect."""
    kinds, groups, paths = (_texts(present.get(key)) for key in ("kind", "group", "path"))
    for kind in kinds:
        if kind[:1].islower():
            yield ("kind",), mistake(f"must be a kind as manifests name it: {kind[0].upper()}{kind[1:]}")
    for group in groups:
        if "/" in group:
            yield ("group",), mistake(f"must be a group without its version: {group.partition('/')[0]}")
    if kinds and _FLAT_KINDS.issuperset(kinds):
        for path in paths:
            if path_pattern_mistake(path) is None and (what := path_pattern_mistake(path, kinds[0])):
                yield ("path",), mistake(what)


def _texts(value: Any) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


Expression = Annotated[str, AfterValidator(_checked)]
Patterns = str | Annotated[list[str], Field(min_length=1)]
PathPatterns = Annotated[Patterns, AfterValidator(_paths)]

_CONDITIONS = ("kind", "group", "name", "namespace", "path", "manager", "cel")


_FLAT_KINDS = frozenset({"ConfigMap", "Secret"})
"""Their data are maps of texts, so that a path ends with one key."""


class WritesConfig(Section):
    """Undeclared fields that are the work of a controller. `*` is any run of characters."""

    manager: Patterns = Field(description="The controller's field manager, or several.", examples=["cost-controller"])
    path: PathPatterns = Field(
        description="The fields that it writes: the whole path.",
        examples=['metadata.annotations["cost.example.com/*"]'],
    )
    kind: Patterns | None = Field(default=None, description="The kinds of the objects; left out, all.")


class MarksConfig(Section):
    """Fields by which a deployer knows the objects that it deploys. `*` is any run of characters."""

    manager: Patterns = Field(description="The deployer's field manager, or several.", examples=["ci-*"])
    path: PathPatterns = Field(
        description="The fields: the whole path.", examples=['metadata.labels["ci.example.com/*"]']
    )


class ManagersConfig(Section):
    """Who is who in managedFields, beyond what driftd knows by itself. `*` is any run of characters.

    Any client may choose any name: prefer `writes`, which names fields, to `controllers`, which trusts with all.
    """

    controllers: tuple[str, ...] = Field(
        default=(),
        description="Managers whose own fields are their work, all of them, and nobody's drift.",
        examples=[["my-operator"]],
    )
    writes: tuple[WritesConfig, ...] = Field(
        default=(), description="Controllers that are trusted with some fields, which is the safer way."
    )
    deployers: tuple[str, ...] = Field(
        default=(), description="Managers that deploy manifests, as a pipeline of your own does.", examples=[["ci-*"]]
    )
    marks: tuple[MarksConfig, ...] = Field(
        default=(), description="What your deployers put on all that they deploy, without Git declaring it."
    )


class IgnoreConfig(Section):
    """Differences to pass over: all of the conditions must hold. `*` is any run of characters."""

    rules: ClassVar[tuple[KeyRule, ...]] = (AnyOf(_CONDITIONS),)

    @classmethod
    def mistakes(cls, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        yield from super().mistakes(present)
        yield from _object_mistakes(present)

    kind: Patterns | None = Field(default=None, description="The kind, or several.", examples=["Deployment"])
    group: Patterns | None = Field(default=None, description="The API group, or several.", examples=["apps"])
    name: Patterns | None = Field(default=None, description="The object's name, or several.")
    namespace: Patterns | None = Field(default=None, description="Its namespace, or several.")
    path: PathPatterns | None = Field(
        default=None,
        description="The field, with all that is below it, or several.",
        examples=["spec.template.spec.containers[name=*].image", 'metadata.annotations["example.com/*"]'],
    )
    manager: Patterns | None = Field(default=None, description="Who set the live value, or several.")
    cel: Expression | None = Field(
        default=None,
        description="A CEL expression over `object` (as Git declares it) and `field` (path, change, desired, live, "
        "manager).",
        examples=["field.live.startsWith('registry.example.com/')"],
    )
    reason: str | None = Field(default=None, description="Why, for whoever reads this next.")
