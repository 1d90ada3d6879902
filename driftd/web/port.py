"""What the web server asks the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from driftd.model.report import Report
from driftd.model.secret import Secret
from driftd.web.audit import AuditWrite


class WebPort(Protocol):
    """Answers at once, from what is in memory: no I/O, no waiting."""

    def alive(self) -> bool:
        """Whether the daemon's loops still turn. False makes Kubernetes restart the pod."""

    def ready(self) -> Sequence[str]:
        """Why the daemon is not ready yet, in sentences; empty when it is.

        It is ready once every source was fetched, or failed, once, its caches are listed and the store is open.
        """

    def reports(self) -> Sequence[Report]:
        """The last report of each app that has one."""

    def audit_token(self) -> Secret | None:
        """The bearer token of the audit webhook; None where no audit events are accepted."""

    def audit(self, cluster: str | None, writes: Sequence[AuditWrite]) -> bool:
        """Takes in what the audit log of a cluster (None: the default one) tells. False: there is no such cluster."""
