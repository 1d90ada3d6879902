"""An HTTP client for either API server, and normalization of what may differ between two runs of the same requests."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
CONTROLLERS = {"kube-controller-manager", "kubelet", "node-1"}
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")


@dataclass(slots=True)
class Answer:
    code: int
    body: Object
    headers: dict[str, str]

    @property
    def reason(self) -> str | None:
        return self.body.get("reason")


class ApiServer:
    """An API server, and a namespace for the test."""

    def __init__(
        self, name: str, url: str, session: aiohttp.ClientSession, tls: ssl.SSLContext | None, kubeconfig: Path
    ) -> None:
        self.name = name
        self.url = url
        self.kubeconfig = kubeconfig
        self.namespace = ""
        self._session = session
        self._tls = tls

    async def request(
        self, method: str, path: str, body: Any = None, media: str | None = None, **headers: str
    ) -> Answer:
        """Sends a request; a body that is not text is sent as JSON. `{ns}` stands for the test's namespace."""
        text = body if isinstance(body, str) else json.dumps(body)
        data = None if body is None else self._in_namespace(text).encode()
        sent = {"User-Agent": "contract/1.0", "Content-Type": media or "application/json", **headers}
        async with self._session.request(
            method, self.url + self._in_namespace(path), data=data, headers=sent, ssl=self._tls or False
        ) as answer:
            content = await answer.text()
            parsed = json.loads(content) if content.startswith("{") else {"text": content}
            return Answer(answer.status, parsed, dict(answer.headers))

    async def get(self, path: str, **headers: str) -> Object:
        answer = await self.request("GET", path, **headers)
        assert answer.code == 200, answer.body
        return answer.body

    async def post(self, path: str, body: Object) -> Object:
        answer = await self.request("POST", path, body)
        assert answer.code == 201, answer.body
        return answer.body

    async def apply(self, path: str, body: Object, manager: str = "applier", *, force: bool = False) -> Answer:
        joined = "&" if "?" in path else "?"
        query = f"{joined}fieldManager={manager}{'&force=true' if force else ''}"
        return await self.request("PATCH", path + query, body, APPLY)

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[Watch]:
        async with self._session.get(
            self.url + self._in_namespace(path), ssl=self._tls or False, timeout=aiohttp.ClientTimeout(total=None)
        ) as answer:
            yield Watch(answer)

    async def eventually(self, path: str, met: Callable[[Object], bool], seconds: float = 20.0) -> Object:
        """Polls the path until `met`; a missing object is a Status. Raises: AssertionError: after `seconds`."""
        answer = await self.request("GET", path)
        try:
            async with asyncio.timeout(seconds):
                while not met(answer.body):
                    await asyncio.sleep(0.05)
                    answer = await self.request("GET", path)
        except TimeoutError:
            raise AssertionError(f"{path} never became as wanted: {json.dumps(answer.body)[:2000]}") from None
        return answer.body

    async def gone(self, path: str, seconds: float = 20.0) -> None:
        await self.eventually(path, lambda body: body.get("code") == 404, seconds)

    def _in_namespace(self, text: str) -> str:
        return text.replace("{ns}", self.namespace)


class Watch:
    """The events of a watch, in order."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.code = answer.status
        self._answer = answer
        self._rest = b""

    async def next(self, seconds: float = 10.0) -> Object | None:
        """The next event; None at the end of the stream."""
        async with asyncio.timeout(seconds):
            while b"\n" not in self._rest:
                chunk = await self._answer.content.readany()
                if not chunk:
                    return None
                self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        event: Object = json.loads(line)
        return event

    async def of(self, name: str, seconds: float = 10.0) -> Object:
        """The next event of the object with that name."""
        async with asyncio.timeout(seconds):
            while True:
                event = await self.next(seconds)
                assert event is not None, f"the watch ended before an event of {name}"
                if event["object"].get("metadata", {}).get("name") == name:
                    return event


def normalise(answer: Answer, namespace: str = "\0") -> Object:
    """An answer without values that differ between any two runs: identities, times, and what controllers add."""
    text = json.dumps(answer.body).replace(namespace, "NAMESPACE")
    body: Object = json.loads(_UID.sub("UID", text))
    if body.get("kind") == "Status":
        details = body.get("details") or {}
        kept = {key: details[key] for key in ("causes", "name", "kind", "group") if key in details}
        if "causes" in kept:
            kept["causes"] = sorted(kept["causes"], key=_sorted_text)
        return {
            "code": answer.code,
            "reason": body.get("reason"),
            "message": _untimed(body.get("message")),
            **_untimed(kept),
        }
    return {"code": answer.code, "object": normalised_object(body)}


def normalised_object(obj: Object) -> Object:
    result = copy.deepcopy(obj)
    metadata = result.get("metadata", {})
    for key in _VOLATILE:
        metadata.pop(key, None)
    entries = [e for e in metadata.get("managedFields", ()) if e.get("manager") not in CONTROLLERS]
    for entry in entries:
        entry.pop("time", None)
    if entries:
        metadata["managedFields"] = sorted(entries, key=_sorted_text)
    else:
        metadata.pop("managedFields", None)
    annotations = metadata.get("annotations", {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    if not annotations:
        metadata.pop("annotations", None)
    if obj.get("kind") in (
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
        "CustomResourceDefinition",
        "Scale",
    ):
        result.pop("status", None)
    if obj.get("kind") == "CustomResourceDefinition" and metadata.get("managedFields"):
        metadata["managedFields"] = [e for e in metadata["managedFields"] if e.get("subresource") != "status"]
    if obj.get("kind") == "Service":
        _hide_addresses(result.get("spec", {}))
    return result


def _hide_addresses(spec: Object) -> None:
    for key in ("clusterIP", "clusterIPs"):
        if spec.get(key) not in (None, "None", ["None"]):
            spec[key] = "ADDRESS"
    for port in spec.get("ports", ()):
        if port.get("nodePort"):
            port["nodePort"] = "PORT"


def _sorted_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _untimed(value: Any) -> Any:
    return json.loads(re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", json.dumps(value)))


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """The differences between two JSON values, one line each."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        lines = []
        for key in sorted(expected.keys() | actual.keys()):
            if key not in actual:
                lines.append(f"{path}/{key}: the real one has {expected[key]!r}")
            elif key not in expected:
                lines.append(f"{path}/{key}: only the sandbox has {actual[key]!r}")
            else:
                lines.extend(differences(expected[key], actual[key], f"{path}/{key}"))
        return lines
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            line
            for index, (left, right) in enumerate(zip(expected, actual, strict=True))
            for line in differences(left, right, f"{path}[{index}]")
        ]
    same = type(expected) is type(actual) and expected == actual
    return [] if same else [f"{path}: {expected!r} on the real one, {actual!r} in the sandbox"]
