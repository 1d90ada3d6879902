"""A real API server, accessed through `kubectl proxy`."""

from __future__ import annotations

import http.client
import json
import subprocess
from types import TracebackType
from typing import Any, Self


class Server:
    """Dry-run requests, one at a time, over one connection."""

    def __init__(self, kubectl: str, kubeconfig: str) -> None:
        self._command = [kubectl, "--kubeconfig", kubeconfig, "proxy", "--port=0"]
        self.requests = 0

    def __enter__(self) -> Self:
        self._proxy = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # the user's own kubectl
        if self._proxy.stdout is None:
            raise RuntimeError("kubectl proxy has no output")
        address = self._proxy.stdout.readline().rsplit(" ", 1)[1].strip()
        self._connection = http.client.HTTPConnection(address, timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._proxy.terminate()
        self._proxy.wait()

    def get(self, path: str) -> Any:
        """The document at a path. Raises: RuntimeError: the request was refused."""
        status, body = self._request("GET", path, None)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body}")
        return body

    def dry_run_create(self, collection: str, obj: dict[str, Any]) -> dict[str, Any] | None:
        """The object as it would be stored; None if the server refuses it."""
        self.requests += 1
        status, body = self._request("POST", f"{collection}?dryRun=All&fieldValidation=Strict", obj)
        return body if status in (200, 201) else None

    def _request(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, content.decode(errors="replace")
