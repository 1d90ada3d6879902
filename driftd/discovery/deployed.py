"""What was found of one deployment: an app that can be judged, or why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftd.desired.sources import Source
from driftd.diff.rules.ignore import IgnoreRule
from driftd.git.source import GitSource, Ref
from driftd.model.app import App
from driftd.model.next_deployment import NextDeployment


@dataclass(frozen=True, slots=True)
class DeployedApp:
    """What one object of a deployer deploys from one source, at what it says it has applied: `commit` is that of a
    repository, or the version of a chart, or the digest of an artifact.

    `source` is the reference that it follows. `ignore` are the differences that its deployer ignores, too. `next` is
    what it has yet to deploy.
    """

    app: App
    source: Source
    commit: str
    ignore: tuple[IgnoreRule, ...] = ()
    next: NextDeployment | None = None


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

MAX_MESSAGE = 500
"""Characters of what a deployer says that are shown."""


def git_source(url: str, ref: Ref) -> GitSource:
    """The source at an address that a deployer names: never a path of this machine. Raises: GitError."""
    return GitSource(name=short_name(url), url=url, ref=ref)


def short_name(url: str) -> str:
    """A name for the source at an address that is safe as that of a folder."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", url.rstrip("/").rpartition("/")[2].removesuffix(".git"))[:40]
    return name.lstrip(".-") or "repository"


def app_name(plural: str, body: Object) -> str:
    """The name of an app by the object that deploys it: `application/argocd/guestbook`."""
    return f"{plural}/{name_of(body)}"


def name_of(body: Object) -> str:
    metadata = body["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def condition(body: Object, kind: str) -> Object:
    """The condition of this type in an object's status; an empty map where there is none."""
    conditions = [each for each in items(section(body, "status"), "conditions") if isinstance(each, Mapping)]
    return next((each for each in conditions if each.get("type") == kind), {})


def message_of(condition_or_state: Object) -> str:
    """What a deployer says in a condition, in one line.

    The API server quotes what it refuses, and deployers what it says: a message about a Secret is not shown.
    """
    message = " ".join(text(condition_or_state, "message").split())[:MAX_MESSAGE]
    if "secret" in message.lower():
        message = "its message is about a Secret, and is not shown"
    return message or text(condition_or_state, "reason") or "no reason is given"


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
