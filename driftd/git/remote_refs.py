"""What a remote has to offer, and which of it a reference means."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from driftd.git.runner import Shell
from driftd.git.source import GitSource, Ref, RefKind, is_hash
from driftd.model.errors import RefNotFound

_SOME = 5
_BRANCHES = "refs/heads/"
_TAGS = "refs/tags/"
FULL_HASH = (40, 64)


@dataclass(frozen=True, slots=True)
class Target:
    """What to fetch: a full reference name or a full hash, and the short name that the user knows it by."""

    remote: str
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The branches and tags of a remote. `default` is the branch that its HEAD stands for, or None."""

    branches: frozenset[str]
    tags: frozenset[str]
    default: str | None

    @classmethod
    def of(cls, shell: Shell, url: str, *only: str) -> Listing:
        """Asks the remote. `only` may be `--tags`, for that half. Raises: as Shell.run."""
        branches, tags, default = set(), set(), None
        out = shell.run("ls-remote", "--symref", *only, "--end-of-options", url)
        for line in os.fsdecode(out).split("\n"):
            value, _, name = line.partition("\t")
            if name == "HEAD" and value.startswith(f"ref: {_BRANCHES}"):
                default = value.removeprefix(f"ref: {_BRANCHES}")
            elif name.startswith(_BRANCHES):
                branches.add(name.removeprefix(_BRANCHES))
            elif name.startswith(_TAGS):
                tags.add(name.removeprefix(_TAGS).removesuffix("^{}"))
        return cls(frozenset(branches), frozenset(tags), default)

    def __str__(self) -> str:
        if not self.branches and not self.tags:
            return "the repository is empty: nothing was ever pushed to it"
        return f"it has {_some('branch', 'branches', self.branches)} and {_some('tag', 'tags', self.tags)}"


def named(kind: RefKind, name: str) -> Target:
    """A branch or a tag by its name."""
    return Target(f"{_BRANCHES if kind is RefKind.BRANCH else _TAGS}{name}", name)


def missing(ref: Ref, listing: Listing, source: GitSource) -> RefNotFound:
    """The error for a reference that the remote does not have."""
    if ref.kind is RefKind.HEAD:
        return RefNotFound(f"{source}: its default branch has no commit yet: {listing}")
    return RefNotFound(f"{source}: there is no {ref}: {listing}")


def typed(text: str, listing: Listing, source: GitSource) -> Target | None:
    """What of the remote's references a person means; None where it can only be the beginning of a hash.

    Raises: RefNotFound: nothing, or two things at once.
    """
    if text == "HEAD":
        return Target("HEAD", listing.default or "HEAD")
    if text.startswith((_BRANCHES, _TAGS)):
        name = text.removeprefix(_BRANCHES).removeprefix(_TAGS)
        if name in (listing.branches if text.startswith(_BRANCHES) else listing.tags):
            return Target(text, name)
    elif text in listing.branches and text in listing.tags:
        raise RefNotFound(
            f"{source}: there are both a branch and a tag {text!r}: say {_BRANCHES}{text} or {_TAGS}{text}"
        )
    elif text in listing.branches:
        return named(RefKind.BRANCH, text)
    elif text in listing.tags:
        return named(RefKind.TAG, text)
    elif is_hash(text):
        return None
    raise RefNotFound(f"{source}: there is no branch, tag or commit {text!r}: {listing}")


def _some(one: str, many: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    if not ordered:
        return f"no {one}"
    shown = ", ".join(name.encode(errors="replace").decode() for name in ordered[:_SOME])
    return f"the {one if len(ordered) == 1 else many} {shown}" + (
        f" and {len(ordered) - _SOME} more" if len(ordered) > _SOME else ""
    )
