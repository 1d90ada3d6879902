"""A deployer that puts back what others change, as Argo CD does with `selfHeal`."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.support.controlplane import ADMIN_GROUP, ControlPlane
from tests.support.server_process import HOST

MANAGER = "argocd-controller"


class SelfHealer:
    """Server-side applies some manifests, each to the path of its object, and again `delay` seconds after a change."""

    def __init__(self, cluster: ControlPlane, manifests: Mapping[str, str], delay: float) -> None:
        self._cluster = cluster
        self._manifests = manifests
        self._delay = delay
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for path in self._manifests:
            self._apply(path)
            self._threads.append(threading.Thread(target=self._keep, args=(path,), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _keep(self, path: str) -> None:
        """Watches one object. Its own writes and the status are no changes to it."""
        collection, name = path.rsplit("/", 1)
        query = f"watch=true&fieldSelector={quote(f'metadata.name={name}')}&timeoutSeconds=300"
        while not self._stopped.is_set():
            connection = self._connect()
            with suppress(OSError, http.client.HTTPException):
                connection.request("GET", f"{collection}?{query}")
                answer = connection.getresponse()
                while not self._stopped.is_set() and (line := answer.readline()):
                    if self._is_change(json.loads(line)):
                        time.sleep(self._delay)
                        self._apply(path)
            connection.close()

    @staticmethod
    def _is_change(event: dict[str, Any]) -> bool:
        entries = [
            entry for entry in event["object"]["metadata"].get("managedFields", ())
            if entry.get("subresource") != "status" and entry["manager"] != "kube-controller-manager"
        ]  # fmt: skip
        return event["type"] == "DELETED" or [entry["manager"] for entry in entries] != [MANAGER]

    def _apply(self, path: str) -> None:
        connection = self._connect()
        body, options = self._manifests[path], f"fieldManager={MANAGER}&force=true"
        headers = {"Content-Type": "application/apply-patch+yaml"}
        connection.request("PATCH", f"{path}?{options}", body=body.encode(), headers=headers)
        answer = connection.getresponse()
        assert answer.status in (200, 201), answer.read()
        connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        pair = self._cluster.credentials("admin", (ADMIN_GROUP,))
        context = ssl.create_default_context(cafile=str(self._cluster.certificate_authority))
        context.load_cert_chain(pair.certificate, pair.key)
        port = int(self._cluster.server.rsplit(":", 1)[1])
        return http.client.HTTPSConnection(HOST, port, timeout=5, context=context)
