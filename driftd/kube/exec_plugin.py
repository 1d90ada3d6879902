"""Credentials from a program: the `exec` section of a kubeconfig's user (EKS, GKE, AKS, Teleport, kubelogin)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from driftd.kube.kubeconfig import Entry
from driftd.model.errors import KubeError

_LONG_WORD = re.compile(r"\S{40,}")
_EXTENSION = "client.authentication.k8s.io/exec"


@dataclass(frozen=True, slots=True)
class ExecCredential:
    """What the program printed. `expires` is in seconds since the epoch."""

    token: str | None = field(repr=False)
    certificate: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    expires: float | None


async def run_exec_plugin(
    user: Entry, cluster: Entry, environ: Mapping[str, str], patience: float = 60.0
) -> ExecCredential:
    """Runs the program of `user`. It gets no terminal, so it must not ask
    anything; `patience` is in seconds.

    kubernetes.aio has a runner too; it only logs what goes wrong and then carries on without credentials, has no
    limit of time, and gives the program neither the cluster nor a path relative to the kubeconfig.

    Raises: KubeError: the program is missing, failed, took too long, or printed something else.
    Source: kubernetes.io, "client-go credential plugins".
    """
    spec = user.fields["exec"]
    if not isinstance(spec, dict) or not spec.get("command") or not spec.get("apiVersion"):
        raise KubeError(f"kubeconfig user {user.name!r}: exec needs a command and an apiVersion")
    command = str(spec["command"])
    if os.sep in command and not command.startswith(os.sep):
        command = str(user.folder / command)
    variables = {str(item["name"]): str(item["value"]) for item in spec.get("env") or []}
    stdout = await _run(
        [command, *(str(argument) for argument in spec.get("args") or [])],
        {**environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(_exec_info(spec, cluster))},
        f"credential plugin {spec['command']!r} of kubeconfig user {user.name!r}",
        str(spec.get("installHint") or ""),
        patience,
    )
    return _credential(stdout, str(spec["apiVersion"]), f"credential plugin {spec['command']!r}")


def _exec_info(spec: Mapping[str, Any], cluster: Entry) -> dict[str, Any]:
    info: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        passed = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
        info["cluster"] = {key: cluster.fields[key] for key in passed if key in cluster.fields}
        for extension in cluster.fields.get("extensions") or []:
            if extension.get("name") == _EXTENSION:
                info["cluster"]["config"] = extension.get("extension")
    return {"apiVersion": spec["apiVersion"], "kind": "ExecCredential", "spec": info}


async def _run(command: list[str], environ: Mapping[str, str], what: str, hint: str, patience: float) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that the whole group can be ended, whatever it started
        )
    except OSError as error:
        raise KubeError(f"{what} cannot be started: {error.strerror}. {hint}".strip()) from error
    try:
        async with asyncio.timeout(patience):
            stdout, stderr = await process.communicate()
    except TimeoutError as error:
        raise KubeError(
            f"{what} did not finish in {patience:g} s (it cannot ask anything: it has no terminal)"
        ) from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise KubeError(f"{what} failed with {process.returncode}: {_last_words(stderr)} {hint}".strip())
    return stdout


def _last_words(stderr: bytes) -> str:
    """The last line that the program wrote, without anything long enough to be a token."""
    lines = stderr.decode(errors="replace").strip().splitlines()
    return _LONG_WORD.sub("…", lines[-1])[:300] if lines else "it said nothing"


def _credential(stdout: bytes, api_version: str, what: str) -> ExecCredential:
    try:
        answer = orjson.loads(stdout)
    except orjson.JSONDecodeError:
        # from None: the decoder's error carries the document, which may hold a token.
        raise KubeError(f"{what} printed something that is not JSON") from None
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict) or answer.get("apiVersion") != api_version:
        raise KubeError(f"{what} printed no ExecCredential of {api_version} with a status")
    token, certificate, key = (
        status.get(field) or None for field in ("token", "clientCertificateData", "clientKeyData")
    )
    if token is None and (certificate is None or key is None):
        raise KubeError(f"{what} gave neither a token nor a client certificate with its key")
    expires = status.get("expirationTimestamp")
    try:
        moment = datetime.fromisoformat(expires).timestamp() if expires else None
    except ValueError as error:
        raise KubeError(f"{what} gave an expirationTimestamp that is no RFC 3339 time") from error
    return ExecCredential(
        token=token.strip() if token else None,
        certificate=certificate.encode() if certificate else None,
        key=key.encode() if key else None,
        expires=moment,
    )
