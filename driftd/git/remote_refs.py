"""The branches and tags of a remote, and which of them a reference names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from driftd.git.runner import GitRunner
from driftd.git.source import GitSource, Ref, RefKind, is_hash
from driftd.model.errors import RefNotFound

_MAX_NAMES = 5
_BRANCHES = "refs/heads/"
_TAGS = "refs/tags/"
FULL_HASH_LENGTHS = (40, 64)


@dataclass(frozen=True, slots=True)
class FetchTarget:
    """What to fetch: `remote` is a full reference name or a full hash, `name` the short name shown to users."""

    remote: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoteRefs:
    """The branches and tags of a remote. `default` is the branch that its HEAD points to, or None."""

    branches: frozenset[str]
    tags: frozenset[str]
    default: str | None

    @classmethod
    def ls_remote(cls, git: GitRunner, url: str, *options: str) -> RemoteRefs:
        """Lists the remote's references; with the option `--tags`, tags only. Raises: as `GitRunner.run`."""
        branches, tags, default = set(), set(), None
        out = git.run("ls-remote", "--symref", *options, "--end-of-options", url)
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
        return (
            f"it has {_shown_names('branch', 'branches', self.branches)} and {_shown_names('tag', 'tags', self.tags)}"
        )


def target_of(kind: RefKind, name: str) -> FetchTarget:
    """The fetch target of a branch or tag, by its short name."""
    return FetchTarget(f"{_BRANCHES if kind is RefKind.BRANCH else _TAGS}{name}", name)


def ref_not_found(ref: Ref, remote_refs: RemoteRefs, source: GitSource) -> RefNotFound:
    """The error for a reference that the remote does not have."""
    if ref.kind is RefKind.HEAD:
        return RefNotFound(f"{source}: its default branch has no commit yet: {remote_refs}")
    return RefNotFound(f"{source}: there is no {ref}: {remote_refs}")


def match_ref(text: str, remote_refs: RemoteRefs, source: GitSource) -> FetchTarget | None:
    """The branch or tag that a user typed; None where the text can only be an abbreviated hash.

    Raises: RefNotFound: there is no such reference, or both a branch and a tag.
    """
    if text == "HEAD":
        return FetchTarget("HEAD", remote_refs.default or "HEAD")
    if text.startswith((_BRANCHES, _TAGS)):
        name = text.removeprefix(_BRANCHES).removeprefix(_TAGS)
        if name in (remote_refs.branches if text.startswith(_BRANCHES) else remote_refs.tags):
            return FetchTarget(text, name)
    elif text in remote_refs.branches and text in remote_refs.tags:
        raise RefNotFound(
            f"{source}: there are both a branch and a tag {text!r}: say {_BRANCHES}{text} or {_TAGS}{text}"
        )
    elif text in remote_refs.branches:
        return target_of(RefKind.BRANCH, text)
    elif text in remote_refs.tags:
        return target_of(RefKind.TAG, text)
    elif is_hash(text):
        return None
    raise RefNotFound(f"{source}: there is no branch, tag or commit {text!r}: {remote_refs}")


def _shown_names(singular: str, plural: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    if not ordered:
        return f"no {singular}"
    shown = ", ".join(name.encode(errors="replace").decode() for name in ordered[:_MAX_NAMES])
    return f"the {singular if len(ordered) == 1 else plural} {shown}" + (
        f" and {len(ordered) - _MAX_NAMES} more" if len(ordered) > _MAX_NAMES else ""
    )
