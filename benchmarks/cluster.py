"""A real API server with etcd and no controllers, filled with objects; it tells what was asked of it and by whom."""

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
"""Who driftd is to the API server, which writes down what this user asks."""

_OURS = ("/metrics", "/readyz")
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
}


class QuietControlPlane(ControlPlane):
    """Nobody acts on what is written: Deployments make no pods, and nothing is done in the background."""

    def _start_controller_manager(self) -> None:
        """There is none."""

    def _has_default_account(self) -> bool:
        """Nobody makes one, and no pod needs it."""
        return True

    def api(self) -> Api:
        """The API server for its administrator."""
        pair = self.credentials("admin", (ADMIN_GROUP,))
        context = ssl.create_default_context(cafile=str(self.certificate_authority))
        context.load_cert_chain(pair.certificate, pair.key)
        return Api(self.server, context)

    async def fill(self, objects: Iterable[DeclaredObject]) -> None:
        """Deploys objects."""
        async with self.api().session() as session:
            await session.deploy_all(objects)

    def load(self) -> ServerLoad:
        """How much the API server has done until now."""
        samples = self.apiserver_metrics()
        requests = sum(
            sample.value
            for sample in samples
            if sample.name == "apiserver_request_total" and sample.labels.get("subresource") not in _OURS
        )
        return ServerLoad(int(requests), next(s.value for s in samples if s.name == "process_cpu_seconds_total"))


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """Requests that were answered, and seconds of the API server's CPU."""

    requests: int
    cpu: float

    def since(self, before: ServerLoad) -> ServerLoad:
        return ServerLoad(self.requests - before.requests, self.cpu - before.cpu)


class Audit:
    """The API server's own record of what driftd asks."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "audit.log"
        self._policy = folder / "audit-policy.json"
        self._policy.write_text(json.dumps(_POLICY))

    @property
    def flags(self) -> tuple[str, ...]:
        """What the API server has to be started with."""
        return (f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}", "--audit-log-mode=blocking")

    def requests(self, begin: datetime, end: datetime) -> list[str]:
        """What was asked between two moments, as `verb URI`, in the order of asking."""
        requests: dict[str, str] = {}
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            event = json.loads(line)
            if begin <= datetime.fromisoformat(event["requestReceivedTimestamp"]) < end:
                requests[event["auditID"]] = f"{event['verb']} {event['requestURI']}"
        return list(requests.values())
