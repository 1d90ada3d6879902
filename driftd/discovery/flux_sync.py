"""What a Kustomization has applied, and what it is still to apply, by Flux' own word.

Source: kustomize-controller 1.9, internal/controller/kustomization_controller.go.
"""

from __future__ import annotations

from dataclasses import replace

from driftd.discovery.deployed import Object, Unsupported, condition, message_of, section, text
from driftd.discovery.flux_sources import applied_identity
from driftd.model.deployer import Deployer
from driftd.model.next_deployment import PendingRevision

_FAILED_AFTER_APPLYING = frozenset({"HealthCheckFailed", "PruneFailed"})
"""Of the condition Ready: all was applied by then, though Flux does not say so before it is healthy as well."""


def applied_revision(kustomization: Object) -> str:
    """The revision that was applied last. Raises: Unsupported: there is none."""
    status = section(kustomization, "status")
    attempted = text(status, "lastAttemptedRevision")
    if attempted and text(condition(kustomization, "Ready"), "reason") in _FAILED_AFTER_APPLYING:
        return attempted
    if not text(status, "lastAppliedRevision"):
        raise Unsupported("Flux has not applied it yet")
    return text(status, "lastAppliedRevision")


def pending_revision(kustomization: Object, source: Object, applied: str) -> PendingRevision | None:
    """What Flux has fetched from a source and not applied, or that it cannot fetch.

    `applied` is a commit or a digest.
    """
    fetched = applied_identity(text(section(source, "status", "artifact"), "revision"))
    pending = PendingRevision(Deployer.FLUX.product, None)
    if fetched is not None and fetched != applied:
        reason = _why_not_applied(kustomization, fetched)
        if section(source, "spec").get("include"):  # nobody knows what is included then
            return replace(pending, reason=f"{fetched[:8]} was fetched" + (f", and {reason}" if reason else ""))
        return replace(pending, revision=fetched, reason=reason)
    ready, kind = condition(source, "Ready"), text(source, "kind")
    if text(ready, "status") == "False":
        return replace(pending, reason=f"its {kind} cannot be fetched: {message_of(ready)}")
    return replace(pending, reason=f"its {kind} is suspended") if _is_suspended(source) else None


def _why_not_applied(kustomization: Object, fetched: str) -> str | None:
    if _is_suspended(kustomization):
        return "it is suspended"
    ready = condition(kustomization, "Ready")
    if text(ready, "status") != "False":
        return None
    attempted = applied_identity(text(section(kustomization, "status"), "lastAttemptedRevision"))
    return message_of(ready) if attempted == fetched or text(ready, "reason") == "DependencyNotReady" else None


def _is_suspended(body: Object) -> bool:
    return section(body, "spec").get("suspend") is True
