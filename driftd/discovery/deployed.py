"""What was found of one deployment: an app that can be judged, or why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftd.diff.rules.ignore import IgnoreRule
from driftd.git.source import GitSource, Ref
from driftd.model.app import App


@dataclass(frozen=True, slots=True)
class DeployedApp:
    """What one object of a deployer deploys from one repository, at the `commit` that it says it has applied.

    `source` is the reference that it follows. `ignore` are the differences that its deployer ignores, too.
    """

    app: App
    source: GitSource
    commit: str
    ignore: tuple[IgnoreRule, ...] = ()


@dataclass(frozen=True, slots=True)
class NotJudged:
    """What cannot be judged. `name` is as that of an app; `reason` says what driftd lacks, and what can be done.

    `repositories` are the addresses that it is deployed from; None where they are not known.
    """

    name: str
    reason: str
    repositories: tuple[str, ...] | None = None


class Unsupported(Exception):
    """A deployer's object asks for something that driftd does not do; the message says what."""


Object = Mapping[str, Any]
"""An object of the cluster, or a map within it."""


def git_source(url: str, ref: Ref) -> GitSource:
    """The source at an address that a deployer names: never a path of this machine. Raises: GitError."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", url.rstrip("/").rpartition("/")[2].removesuffix(".git"))[:40]
    return GitSource(name=name.lstrip(".-") or "repository", url=url, ref=ref)


def app_name(plural: str, body: Object) -> str:
    """The name of an app by the object that deploys it: `application/argocd/guestbook`."""
    return f"{plural}/{name_of(body)}"


def name_of(body: Object) -> str:
    metadata = body["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def section(body: Object, *keys: str) -> Object:
    """A map within an object; an empty one where it is not there, or is none."""
    value: Any = body
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def items(body: Object, key: str) -> list[Any]:
    """A list within an object; an empty one where it is not there, or is none."""
    value = body.get(key)
    return value if isinstance(value, list) else []


def text(body: Object, key: str) -> str:
    """A text within an object; an empty one where it is not there, or is none."""
    value = body.get(key)
    return value if isinstance(value, str) else ""
