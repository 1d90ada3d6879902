"""A real API server with etcd and no controllers, filled with objects, with metrics and an audit log."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.api import Api
from benchmarks.world import DeclaredObject
from tests.support.controlplane import ADMIN_GROUP, ControlPlane

USER = "driftd"
"""driftd's user; the audit log has the requests of this user only."""

_OURS = ("/metrics", "/readyz")
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
}


class QuietControlPlane(ControlPlane):
    """A control plane without controllers: Deployments create no pods, and nothing runs in the background."""

    def _start_controller_manager(self) -> None:
        """Does nothing: there is no controller manager."""

    def _has_default_account(self) -> bool:
        """Does not wait: without controllers no account is created, and no pod needs one."""
        return True

    def api(self) -> Api:
        """The API as its administrator."""
        pair = self.credentials("admin", (ADMIN_GROUP,))
        context = ssl.create_default_context(cafile=str(self.certificate_authority))
        context.load_cert_chain(pair.certificate, pair.key)
        return Api(self.server, context)

    async def fill(self, objects: Iterable[DeclaredObject]) -> None:
        """Deploys objects."""
        async with self.api().session() as session:
            await session.deploy_all(objects)

    def load(self) -> ServerLoad:
        """The total load of the API server so far."""
        samples = self.apiserver_metrics()
        requests = sum(
            sample.value
            for sample in samples
            if sample.name == "apiserver_request_total" and sample.labels.get("subresource") not in _OURS
        )
        return ServerLoad(int(requests), next(s.value for s in samples if s.name == "process_cpu_seconds_total"))


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """Number of requests, and seconds of the API server's CPU."""

    requests: int
    cpu: float

    def since(self, before: ServerLoad) -> ServerLoad:
        return ServerLoad(self.requests - before.requests, self.cpu - before.cpu)


class Audit:
    """The API server's audit log of driftd's requests."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "audit.log"
        self._policy = folder / "audit-policy.json"
        self._policy.write_text(json.dumps(_POLICY))

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of the API server that enable the audit log."""
        return (f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}", "--audit-log-mode=blocking")

    def requests(self, begin: datetime, end: datetime) -> list[str]:
        """The requests received in an interval, as `verb URI`, in order."""
        requests: dict[str, str] = {}
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            event = json.loads(line)
            if begin <= datetime.fromisoformat(event["requestReceivedTimestamp"]) < end:
                requests[event["auditID"]] = f"{event['verb']} {event['requestURI']}"
        return list(requests.values())
