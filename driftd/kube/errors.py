"""API errors: a response status, a `Status` object or a failed connection as one of driftd's errors."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import aiohttp
import orjson

from driftd.model.errors import (
    ClusterUnreachable,
    Conflict,
    DriftdError,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    UnknownKind,
)


class NoSuchPath(NotFound):
    """404, not for an object: the server does not serve that resource."""


_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
}

_NOT_PERMITTED = re.compile(r"cannot \w+ resource")
"""Part of RBAC's error. Those of admission name the policy or the webhook."""

_DENIED = re.compile(r"admission webhook .* denied the request")
_NO_WEBHOOK = "failed calling webhook"

_SECRETS = re.compile(r"/api/v1/(?:namespaces/[^/]+/)?secrets(?:/|$)")
_PATCHED_OBJECT = re.compile(r'\s*"" is invalid: patch: Invalid value: ".*": ', re.DOTALL)
"""How the API server begins when the outcome of a patch does not fit the kind: with all of the object."""

_TYPED_PATCH = "failed to create typed patch object"
_SAFE_MESSAGES = (
    re.compile(r'secrets? "[^"]*" (?:not found|already exists)'),
    re.compile(r'namespaces "[^"]*" not found'),
    re.compile(r'secrets(?: "[^"]*")? is forbidden: User "[^"]*" cannot \w+ resource "secrets" in API group ""[^{}]*'),
    re.compile(r'Operation cannot be fulfilled on secrets "[^"]*": the object has been modified[\w ;.]*'),
    re.compile(r'Apply failed with \d+ conflicts?: (?:conflicts? with "[^"]*"[^"{}]*)+', re.DOTALL),
    re.compile(r"[^{}]*illegal base64 data at input byte \d+"),
    re.compile(r"[^{}]*json: cannot unmarshal \w+ into Go struct field \S+ of type \S+"),
    re.compile(rf"{_TYPED_PATCH} [^:]*: \S+: field not declared in schema"),
    re.compile(r"[\w ,.-]*resource ?version[\w ,.()-]*", re.IGNORECASE),
    re.compile(r"the server [\w ,.-]*"),
    re.compile(r"Unauthorized|Too many requests[\w ,.-]*"),
)
"""Messages about Secrets that contain names and fields only. Any other may contain a value."""


_QUOTING = frozenset({400, 403, 413, 422, 500})
"""Statuses of validation and admission, whose messages quote what was sent."""
_NO_RIGHT = re.compile(r'[\w./-]+(?: "[^"]*")? is forbidden: User "[^"]*" cannot ')


def response_error(status: int, payload: bytes, *, method: str, path: str, sent: bytes | None = None) -> KubeError:
    """The error for an HTTP status of 300 and above, with the API's own message where that may be shown."""
    body = _parse_status(payload)
    details: Mapping[str, Any] = body["details"] if isinstance(body.get("details"), dict) else {}
    reason = str(body.get("reason") or "") or None
    message = str(body.get("message") or "")
    if _SECRETS.search(path):
        message = _redacted_message(message, details)
    elif status in _QUOTING and sent is not None and not _NO_RIGHT.match(message) and _contains_secret(sent):
        message = "the API server refused the object; its message is not shown: it may quote the Secret that is in it"
    message = _PATCHED_OBJECT.sub("the patch is invalid: ", message)
    if not body or not message:
        message = f"{method} {path}: answered {status}" + ("" if body else ", not in the words of a Kubernetes API")
    if status == 500 and message.startswith(_TYPED_PATCH):
        status = 422  # the server reports a manifest that does not fit its schema as an internal error
    kind = _BY_STATUS.get(status, KubeError)
    if status == 404 and not _is_about_object(details, method, path):
        kind = NoSuchPath
    return kind(message, status=status, reason=reason)


def _is_about_object(details: Mapping[str, Any], method: str, path: str) -> bool:
    """Whether a 404 is about an object: for a GET the one that was asked for, else also its namespace."""
    name = details.get("name")
    return bool(name) and (method != "GET" or name == unquote(path.rpartition("/")[2]))


def status_error(status: Mapping[str, Any]) -> KubeError:
    """The error for a `Status` object in a response of 200, such as a watch's ERROR event.

    Never NotFound: that something does not exist is said by a status of 404 alone.
    """
    code, reason = status.get("code"), str(status.get("reason") or "") or None
    code = code if isinstance(code, int) else 500
    message = str(status.get("message") or "the API server gave no reason")
    kind = _BY_STATUS.get(code, KubeError)
    return (KubeError if kind is NotFound else kind)(message, status=code, reason=reason)


def connection_error(error: Exception, *, cluster: str, server: str, proxy: str | None) -> ClusterUnreachable:
    """The error for a request without a response: which server, what happened, and what to check."""
    return ClusterUnreachable(f"cluster {cluster}: {server} {_describe(error, proxy)}")


def unknown_kind(kind: str, api_version: str) -> UnknownKind:
    """The error for a resource that the server does not serve."""
    return UnknownKind(f"the cluster does not serve {kind} of {api_version} (any more)")


def is_broken_connection(error: BaseException) -> bool:
    """Whether an established connection broke: an idempotent request may be repeated."""
    if isinstance(error, aiohttp.ClientConnectorError | TimeoutError | ssl.SSLError):
        return False
    return isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError)


def _describe(error: Exception, proxy: str | None) -> str:
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return f"cannot be reached through the proxy {_without_user(proxy or 'of the environment')}: check the proxy"
    certificate = _certificate_error(error)
    if certificate is not None:
        return (
            f"has a certificate that is not to be trusted ({certificate.verify_message}): "
            "check certificate-authority and tls-server-name in the kubeconfig"
        )
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLError):
        return f"ended the TLS handshake ({cause.reason}): check the client certificate, and that the port speaks TLS"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has a host name that cannot be resolved: check the server's name and DNS"
    if isinstance(cause, ConnectionRefusedError):
        return "refused the connection: check that the API server runs and that the port is right"
    if isinstance(cause, TimeoutError):
        return "did not answer in time: check the network, firewalls, and the API server's load"
    if is_broken_connection(error):
        return f"closed the connection before it had answered ({type(error).__name__})"
    text = (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
    return f"cannot be reached ({text}): check the network"


def _certificate_error(error: Exception) -> ssl.SSLCertVerificationError | None:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return inner if isinstance(inner, ssl.SSLCertVerificationError) else None


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _parse_status(payload: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}


def _contains_secret(sent: bytes) -> bool:
    """Whether a body holds a whole Secret, as a template or a list does; a reference to one is none."""
    if b'"Secret"' not in sent:
        return False
    try:
        left = [orjson.loads(sent)]
    except orjson.JSONDecodeError:
        return True
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if value.get("kind") == "Secret" and not {"data", "stringData"}.isdisjoint(value):
                return True
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return False


def _redacted_message(message: str, details: Mapping[str, Any]) -> str:
    """A message about a Secret, reduced to field names and reasons, which contain no values."""
    if any(pattern.fullmatch(message) for pattern in _SAFE_MESSAGES):
        return message
    causes = [
        f"{cause.get('field')} ({cause.get('reason')})"
        for cause in details.get("causes") or []
        if cause.get("field") and cause.get("reason")
    ]
    if causes:
        return f'Secret "{details.get("name")}" is invalid: {", ".join(causes)}'
    return "the API server refused the Secret; its message is not shown, since it may quote a value"


def is_refusal(error: DriftdError) -> bool:
    """Whether validation or admission refuses the write: webhooks do with any status, RBAC with Forbidden as well."""
    return is_refused_content(error) or _NO_WEBHOOK in str(error)


def is_refused_content(error: DriftdError) -> bool:
    """Whether validation, a policy or a webhook refuses the content of a write, and not its sender."""
    by_policy = isinstance(error, Forbidden) and _NOT_PERMITTED.search(str(error)) is None
    return isinstance(error, Invalid) or by_policy or _DENIED.search(str(error)) is not None
