"""The interface of the daemon that the web server calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from driftd.model.audit import AuditEvent
from driftd.model.report import Report
from driftd.model.secret import Secret
from driftd.service.queries import Queries


class WebPort(Protocol):
    """Every method answers from memory: no I/O, no waiting."""

    def unhealthy(self) -> Sequence[str]:
        """The reasons why the process does not work any more, as sentences. Any makes Kubernetes restart the pod."""

    def not_ready(self) -> Sequence[str]:
        """The reasons why the daemon is not ready, as sentences; empty when it is.

        It is ready once every source was fetched or has failed once, every app has had a pass, and while the store can
        be written.
        """

    def warnings(self) -> Sequence[str]:
        """What somebody has to mend although the daemon is ready, as sentences."""

    def reports(self) -> Sequence[Report]:
        """The latest report of each app over which this process makes the passes; of a failed pass, with its error."""

    def apps_of_others(self) -> Mapping[str, str]:
        """The apps over which another process makes the passes, with that one: the store has their reports."""

    def queries(self) -> Queries | None:
        """What answers queries on the store; None while none is open."""

    def audit_token(self) -> Secret | None:
        """The bearer token of the audit webhook; None where no audit events are accepted."""

    def audit(self, cluster: str | None, events: Sequence[AuditEvent]) -> bool:
        """Records audit events of a cluster (None: the default one). Returns: False if there is no such cluster."""
