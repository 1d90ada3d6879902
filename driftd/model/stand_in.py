"""Stand-ins: values in Git in place of which the deployer puts something else, so that they cannot be compared."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping

from driftd.model.resource import Json

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_GIT_CRYPT = b"\0GITCRYPT\0"
SOPS_VALUE = b"ENC[AES256_GCM,data:"

_MARKS = (
    (LFS_POINTER, "a Git LFS pointer"),
    (SOPS_VALUE, "encrypted with SOPS"),
    (_GIT_CRYPT, "encrypted with git-crypt"),
    (b"$ANSIBLE_VAULT;", "encrypted with Ansible Vault"),
    (b"age-encryption.org/v1\n", "encrypted with age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "encrypted with age"),
)
FILE_STAND_INS = (LFS_POINTER, _GIT_CRYPT, b"$ANSIBLE_VAULT;", b"age-encryption.org/v1\n")
"""How a file begins that is nothing but a stand-in."""

_REFERENCE = re.compile(r"<path:[^<>#]{1,256}#[^<>]{1,256}>|\bref\+[a-z0-9]{1,32}://")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::?[-=][^{}]*|:[0-9:]+)?\}")
_ONE_VARIABLE = re.compile(r"\$\{[^{}]*\}")

_MAX_COMPARED = 10_000
"""Pairs of texts that are compared for one field."""


def stand_in(data: bytes) -> str | None:
    """What a file or a value is instead of its content: `a Git LFS pointer`; None if it is itself."""
    return next((what for mark, what in _MARKS if mark in data), None)


def stand_in_within(value: Json) -> str | None:
    """The same for any value: its texts, and what these are the base64 of."""
    return next((what for text in _texts(value) if (what := _of_text(text)) is not None), None)


def variables(text: Json) -> tuple[str, ...]:
    """The names of the variables that Flux would substitute in a text (`${REGION}`, `${DOMAIN:=example.com}`).

    Source: Flux, "Post build variable substitution" (drone/envsubst).
    """
    return tuple(dict.fromkeys(_VARIABLE.findall(text))) if isinstance(text, str) and "${" in text else ()


def replaces_variables(declared: Json, live: Json) -> bool:
    """Whether a live value, at any depth, lacks variables of the declared one: something else may be in their place."""
    names = {name for text in _texts(declared) for name in variables(text)}
    return bool(names) and not names <= {name for text in _texts(live) for name in variables(text)}


def looks_substituted(declared: Json, live: Json) -> bool:
    """Whether the live value has some text of the declared one, at any depth, with something in place of its variables.

    Assumed where there are too many texts to compare each with each.
    """
    there = frozenset(_texts(live))
    templates = [text for text in _texts(declared) if variables(text) and text not in there]
    if len(templates) * len(there) > _MAX_COMPARED:
        return True
    return any(may_be_substituted(text, found) for text in templates for found in there)


def may_be_substituted(declared: str, live: Json) -> bool:
    """Whether a live value is the declared text with something in place of its variables."""
    if not isinstance(live, str | int | float) or isinstance(live, bool):
        return False
    rest, found = str(live), 0
    parts = _ONE_VARIABLE.split(declared)
    if not rest.startswith(parts[0]) or not rest.endswith(parts[-1]):
        return False
    for part in parts:  # what stands between two variables is looked for once, from left to right
        found = rest.find(part, found)
        if found < 0:
            return False
        found += len(part)
    return True


def _of_text(text: str) -> str | None:
    raw = text.encode(errors="replace")
    if (what := stand_in(raw)) is not None:
        return what
    if _REFERENCE.search(text):
        return "a reference to a secret elsewhere"
    try:
        return stand_in(base64.b64decode(text, validate=True)) if len(text) % 4 == 0 else None
    except (binascii.Error, ValueError):
        return None


def _texts(value: Json) -> Iterator[str]:
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            pending += each.values()
        elif isinstance(each, list):
            pending += each
