"""Flux' variables: `${REGION}` in what Kustomize made, replaced as Flux replaces them after its build."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import yaml

from driftd.model.errors import RenderError
from driftd.model.resource import Manifest
from driftd.model.stand_in import variables as references
from driftd.render.manifests import InvalidObject, validate_object
from driftd.render.rendering import RenderedPart
from driftd.render.yaml.documents import read_documents

_DISABLED = ("kustomize.toolkit.fluxcd.io/substitute", "disabled")
"""A label or annotation of objects whose variables stay."""

_NAME = re.compile(r"[A-Za-z0-9_]+")
_OFFSETS = re.compile(r":(\d+)(?::(\d+))?\}")
_MAX_DEPTH = 20
"""Of defaults in defaults."""
_MAX_LENGTH = 16 << 20
"""Characters of one object."""


class UnknownSubstitution(ValueError):
    """The text has a `${…}` that is not understood."""


def substitute_part(part: RenderedPart, variables: Mapping[str, str], secret: Mapping[str, str]) -> RenderedPart:
    """A rendered part with the variables in its objects replaced; an object that cannot be is an error.

    Those that are `secret` are replaced in Secrets alone, whose values are never shown. Anywhere else they stay, as
    what the deployer puts in and nobody else knows.
    """
    manifests, errors = [], list(part.errors)
    for manifest in part.manifests:
        try:
            manifests.append(_substituted(manifest, variables, secret))
        except (UnknownSubstitution, InvalidObject, RenderError) as error:
            what = "with its variables replaced it is no YAML" if isinstance(error, RenderError) else str(error)
            errors.append(RenderError(f"{manifest.ref}: {what}", file=manifest.source.file, line=manifest.source.line))
    return replace(part, manifests=tuple(manifests), errors=tuple(errors))


def substitute(text: str, variables: Mapping[str, str], kept: Collection[str] = ()) -> str:
    """A text with its variables replaced; one without a value is empty, and the `kept` ones stay. `$$` stands for `$`.

    Known are `${A}`, its length `${#A}`, defaults (`${A:=x}`, `${A:-x}`, `${A=x}`), parts (`${A:2:3}`) and letter cases
    (`${A^}`, `${A^^}`, `${A,}`, `${A,,}`).
    Source: Flux, "Post build variable substitution" (fluxcd/pkg/envsubst). Raises: UnknownSubstitution.
    """
    result, _ = _Substitution(text, variables, kept).until(len(text), depth=0)
    return result


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _uncapitalized(text: str) -> str:
    return text[:1].lower() + text[1:]


_CASES: Mapping[str, Callable[[str], str]] = {
    "^^": str.upper,
    "^": _capitalized,
    ",,": str.lower,
    ",": _uncapitalized,
}


class _Substitution:
    def __init__(self, text: str, variables: Mapping[str, str], kept: Collection[str]) -> None:
        self._text = text
        self._variables = variables
        self._kept = kept

    def until(self, end: int, *, depth: int, at: int = 0, closing: bool = False) -> tuple[str, int]:
        """What the text says from `at` on, and where it ends: at `end` or, if `closing`, after the next `}`."""
        text, pieces, length = self._text, list[str](), 0
        while at < end:
            if closing and text[at] == "}":
                return "".join(pieces), at + 1
            if not closing and text.startswith("$$", at):
                piece, at = "$", at + 2
            elif text.startswith("${", at):
                start = at
                name, piece, at = self._variable(at + 2, depth)
                piece = self._as_it_is(start, at) if name in self._kept else piece
            else:
                following = re.compile(r"[$}]" if closing else r"\$").search(text, at + 1)
                stop = following.start() if following else end
                piece, at = text[at:stop], stop
            pieces.append(piece)
            length += len(piece)
            if length > _MAX_LENGTH:
                raise UnknownSubstitution(f"with its variables it is longer than {_MAX_LENGTH >> 20} MiB")
        if closing:
            raise UnknownSubstitution("a ${ has no closing }")
        return "".join(pieces), at

    def _as_it_is(self, start: int, end: int) -> str:
        raw = self._text[start:end]
        if not references(raw):
            raise UnknownSubstitution(f"{raw} takes a part of a Secret, or another form of it")
        return raw

    def _variable(self, at: int, depth: int) -> tuple[str, str, int]:
        """The name that begins at `at`, the value of that variable, and where the text goes on after its `}`."""
        text = self._text
        is_length = text.startswith("#", at)
        name = _NAME.match(text, at + is_length)
        if name is None or depth > _MAX_DEPTH:
            raise UnknownSubstitution("a ${ is not followed by a variable's name; write $${ for what is none")
        value, at = self._variables.get(name[0], ""), name.end()
        if is_length:
            value = str(len(value))
        elif (operator := next((each for each in (":=", ":-", "=") if text.startswith(each, at)), None)) is not None:
            default, at = self.until(len(text), depth=depth + 1, at=at + len(operator), closing=True)
            return name[0], value or default, at
        elif (offsets := _OFFSETS.match(text, at)) is not None:
            start, count = int(offsets[1]), int(offsets[2]) if offsets[2] else None
            return name[0], value[start:] if count is None else value[start : start + count], offsets.end()
        else:
            for mark, change in _CASES.items():
                if text.startswith(mark + "}", at):
                    return name[0], change(value), at + len(mark) + 1
        if not text.startswith("}", at):
            raise UnknownSubstitution(f"driftd does not know what ${{{name[0]}{text[at : at + 1]}…}} stands for")
        return name[0], value, at + 1


class _Dumper(yaml.CSafeDumper):
    """Writes texts of several lines as blocks, as Go's YAML does: a variable in one need not be quoted."""


def _represent_text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _substituted(manifest: Manifest, variables: Mapping[str, str], secret: Mapping[str, str]) -> Manifest:
    """Flux writes the object as YAML, replaces, and reads it again: what is nothing but a number becomes one."""
    metadata = manifest.body.get("metadata") or {}
    key, value = _DISABLED
    if any((metadata.get(field) or {}).get(key) == value for field in ("labels", "annotations")):
        return manifest
    text = yaml.dump(manifest.body, Dumper=_Dumper, allow_unicode=True, width=_MAX_LENGTH)
    if "$" not in text:
        return manifest
    if manifest.ref.kind == "Secret":
        replaced = substitute(text, {**variables, **secret})
    else:
        replaced = substitute(text, variables, secret.keys())
    [document] = read_documents(replaced.encode(), manifest.source.file)
    return replace(Manifest.of(validate_object(document.value), manifest.source), undetermined=manifest.undetermined)
