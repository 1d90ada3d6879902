"""Exec credential plugins: the `exec` section of a kubeconfig user (EKS, GKE, AKS, Teleport, kubelogin)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from driftd.kube.kubeconfig import KubeconfigEntry
from driftd.model.errors import KubeError
from driftd.process.groups import kill_group

_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_NAMED_SECRET = re.compile(
    r"(?<![^\W_])(?:(?:pass(?:word|phrase|wd)?|pwd|secret|token|key|authorization)[\"']?\s*[=:]\s*|bearer\s+|basic\s+)\S+",
    re.IGNORECASE,
)
_LONG_WORD = re.compile(r"\S{40,}")
_MAX_BYTES = 1 << 20
"""Of the output of a plugin: a token, or a certificate with its key."""
_DRAIN_SECONDS = 1.0
_EXTENSION = "client.authentication.k8s.io/exec"


@dataclass(frozen=True, slots=True)
class ExecCredential:
    """The plugin's output. `expires` is in seconds since the epoch."""

    token: str | None = field(repr=False)
    certificate: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    expires: float | None


async def run_exec_plugin(
    user: KubeconfigEntry, cluster: KubeconfigEntry, environ: Mapping[str, str], time_limit: float = 60.0
) -> ExecCredential:
    """Runs the plugin of `user`, without a terminal, for `time_limit` seconds at most.

    The runner of kubernetes.aio only logs errors and continues without credentials, has no time limit, and supports
    neither cluster info nor paths relative to the kubeconfig.

    Raises: KubeError: the plugin is missing, failed, took too long, or printed no ExecCredential.
    Source: kubernetes.io, "client-go credential plugins".
    """
    spec = user.fields["exec"]
    if not isinstance(spec, dict) or not spec.get("command") or not spec.get("apiVersion"):
        raise KubeError(f"kubeconfig user {user.name!r}: exec needs a command and an apiVersion")
    command = str(spec["command"])
    if os.sep in command and not command.startswith(os.sep):
        command = str(user.folder / command)
    variables = _variables(user, spec)
    stdout = await _run(
        [command, *(str(argument) for argument in spec.get("args") or [])],
        {**environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(_exec_info(spec, cluster))},
        f"credential plugin {spec['command']!r} of kubeconfig user {user.name!r}",
        str(spec.get("installHint") or ""),
        time_limit,
        tuple(variables.values()),
    )
    return _credential(stdout, str(spec["apiVersion"]), f"credential plugin {spec['command']!r}")


def _variables(user: KubeconfigEntry, spec: Mapping[str, Any]) -> dict[str, str]:
    """The `env` of the plugin. Raises: KubeError: it is no list of names and values, or an argument is no text."""
    env, arguments = spec.get("env") or [], spec.get("args") or []
    if not isinstance(env, list) or not all(isinstance(item, dict) and item.get("name") for item in env):
        raise KubeError(f"kubeconfig user {user.name!r}: exec.env is a list of maps, each with a name and a value")
    if not isinstance(arguments, list):
        raise KubeError(f"kubeconfig user {user.name!r}: exec.args is not a list")
    variables = {str(item["name"]): str(item.get("value") or "") for item in env}
    texts = (str(spec["command"]), *map(str, arguments), *variables, *variables.values())
    if any("\0" in text for text in texts) or any("=" in name for name in variables):
        raise KubeError(f"kubeconfig user {user.name!r}: exec has a NUL character, or a variable's name with =, in it")
    return variables


def _exec_info(spec: Mapping[str, Any], cluster: KubeconfigEntry) -> dict[str, Any]:
    info: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
        info["cluster"] = {key: cluster.fields[key] for key in keys if key in cluster.fields}
        for extension in cluster.fields.get("extensions") or []:
            if extension.get("name") == _EXTENSION:
                info["cluster"]["config"] = extension.get("extension")
    return {"apiVersion": spec["apiVersion"], "kind": "ExecCredential", "spec": info}


async def _run(
    command: list[str], environ: Mapping[str, str], what: str, hint: str, time_limit: float, secrets: Sequence[str]
) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a process group, which can be killed with all its children
        )
    except OSError as error:
        raise KubeError(f"{what} cannot be started: {error.strerror}. {hint}".strip()) from error
    ended = False
    assert process.stdout is not None  # noqa: S101  # they are pipes: for the type checker
    assert process.stderr is not None  # noqa: S101
    try:
        async with asyncio.timeout(time_limit):
            stdout, stderr = await asyncio.gather(
                *(_read(each, process.pid) for each in (process.stdout, process.stderr))
            )
            if max(len(stdout), len(stderr)) > _MAX_BYTES:
                raise KubeError(f"{what} printed more than {_MAX_BYTES >> 20} MiB")
            await process.wait()
            ended = True
    except TimeoutError as error:
        raise KubeError(
            f"{what} did not finish in {time_limit:g} s (it cannot ask anything: it has no terminal)"
        ) from error
    finally:
        if not ended:
            kill_group(process.pid)  # where it has ended itself, too: what it has started may hold its output open
            await _end(process, process.stdout, process.stderr)
    if process.returncode:
        raise KubeError(f"{what} failed with {process.returncode}: {_last_error_line(stderr, secrets)} {hint}".strip())
    return stdout


async def _read(stream: asyncio.StreamReader, leader: int) -> bytes:
    """All that a program prints, or the first byte too many of it: then the program is killed."""
    data = bytearray()
    while chunk := await stream.read(_MAX_BYTES + 1 - len(data)):
        data += chunk
        if len(data) > _MAX_BYTES:
            kill_group(leader)
            break
    return bytes(data)


async def _end(process: asyncio.subprocess.Process, *streams: asyncio.StreamReader) -> None:
    """Waits for a killed process. Its pipes are read to their end first: asyncio tells of its end only after theirs,
    and leaves a full one alone. A child that left the group may hold one open: it is not waited for.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await asyncio.gather(*(_drain(stream) for stream in streams))
            await process.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(_MAX_BYTES):
        pass


def _last_error_line(stderr: bytes, secrets: Sequence[str]) -> str:
    """The last line of stderr, without these texts, logins, and words that follow a password's name or are long enough
    to be a token.
    """
    lines = stderr.decode(errors="replace").strip().splitlines()
    if not lines:
        return "it said nothing"
    line = lines[-1]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        line = line.replace(secret, "…").replace(base64.b64encode(secret.encode()).decode().rstrip("="), "…")
    for pattern in (_LOGIN, _NAMED_SECRET, _LONG_WORD):
        line = pattern.sub("…", line)
    return line[:300]


def _credential(stdout: bytes, api_version: str, what: str) -> ExecCredential:
    try:
        answer = orjson.loads(stdout)
    except orjson.JSONDecodeError:
        # from None: the decoder's error contains the document, which may contain a token.
        raise KubeError(f"{what} printed something that is not JSON") from None
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict) or answer.get("apiVersion") != api_version:
        raise KubeError(f"{what} printed no ExecCredential of {api_version} with a status")
    token, certificate, key = (
        status.get(field) or None for field in ("token", "clientCertificateData", "clientKeyData")
    )
    if token is None and (certificate is None or key is None):
        raise KubeError(f"{what} gave neither a token nor a client certificate with its key")
    if not all(isinstance(value, str | None) for value in (token, certificate, key, status.get("expirationTimestamp"))):
        raise KubeError(f"{what} gave a token, a certificate or a time that is no text")
    expires = status.get("expirationTimestamp")
    try:
        moment = datetime.fromisoformat(expires).timestamp() if expires else None
    except (ValueError, OverflowError) as error:
        raise KubeError(f"{what} gave an expirationTimestamp that is no RFC 3339 time") from error
    return ExecCredential(
        token=token.strip() if token else None,
        certificate=certificate.encode() if certificate else None,
        key=key.encode() if key else None,
        expires=moment,
    )
