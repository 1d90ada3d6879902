"""What an Application was synced to, and what it is still to be synced to, by Argo CD's own word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.discovery.argo_sources import AppliedSource
from driftd.discovery.deployed import Object, items, message_of, section, text

_FAILED = frozenset({"Failed", "Error"})
"""Of an operation: its phases."""


@dataclass(frozen=True, slots=True)
class PendingSync:
    """What Argo CD has yet to sync an Application to: None where it cannot tell. `reason` is why it has not yet."""

    target: list[AppliedSource] | None
    reason: str | None


def synced_sources(sources: Object, revisions: Object) -> list[AppliedSource] | None:
    """The `source` or `sources` of one section, with the `revision` or `revisions` of another.

    None where these do not fit together.
    """
    found = [each for each in items(sources, "sources") if isinstance(each, Mapping)] or [section(sources, "source")]
    commits = _revisions(revisions)
    if len(found) != len(commits):
        return None
    return [AppliedSource(source, commit) for source, commit in zip(found, commits, strict=True)]


def _revisions(body: Object) -> list[str]:
    return [str(each) for each in items(body, "revisions")] or [text(body, "revision")]


def pending_sync(application: Object) -> PendingSync | None:
    """What has yet to be synced; None where Argo CD says that everything is."""
    sync = section(application, "status", "sync")
    if text(sync, "status") == "Unknown":
        return PendingSync(None, f"Argo CD cannot compare it: {_comparison_error(application)}")
    if text(sync, "status") != "OutOfSync":
        return None
    target = synced_sources(section(sync, "comparedTo"), sync)
    if target is not None and not section(sync, "comparedTo"):
        target = synced_sources(section(application, "spec"), sync)
    return PendingSync(target, _why_not_synced(application, target))


def _why_not_synced(application: Object, target: list[AppliedSource] | None) -> str | None:
    state = section(application, "status", "operationState")
    tried = _revisions(section(state, "syncResult"))
    of_target = target is not None and tried == [source.revision for source in target]
    if of_target and text(state, "phase") in _FAILED:
        return f"its last sync failed: {message_of(state)}"
    if text(state, "phase") == "Running":
        return "it is being synced"
    if "automated" not in section(application, "spec", "syncPolicy"):
        return "it is synced by hand"
    automated = section(application, "spec", "syncPolicy", "automated")
    return "its automated sync is switched off" if automated.get("enabled") is False else None


def _comparison_error(application: Object) -> str:
    conditions = [each for each in items(section(application, "status"), "conditions") if isinstance(each, Mapping)]
    errors = [each for each in conditions if text(each, "type").endswith("Error")]
    return message_of(errors[0]) if errors else "it does not say why"
