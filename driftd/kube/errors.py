"""What an API server answered, or that it did not, as driftd's own errors."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from driftd.model.errors import ClusterUnreachable, Conflict, Forbidden, Gone, Invalid, KubeError, NotFound


class NoSuchPath(NotFound):
    """404, and not for an object: the server does not serve that resource at all."""


_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
}

_SECRETS = re.compile(r"/api/v1/(?:namespaces/[^/]+/)?secrets(?:/|$)")
_TYPED_PATCH = "failed to create typed patch object"
_HARMLESS = (
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
"""Messages about Secrets that quote names and fields only. Any other may quote a value."""


def refusal(status: int, payload: bytes, *, method: str, path: str) -> KubeError:
    """The error for an HTTP status of 300 and more, in the API's own words where they may be shown."""
    body = _status(payload)
    details = body.get("details") or {}
    reason = str(body.get("reason") or "") or None
    message = str(body.get("message") or "")
    if _SECRETS.search(path):
        message = _without_values(message, details)
    if not body or not message:
        message = f"{method} {path}: answered {status}" + ("" if body else ", not in the words of a Kubernetes API")
    if status == 500 and message.startswith(_TYPED_PATCH):
        status = 422  # the server calls a manifest that does not fit its schema an internal error
    kind = _BY_STATUS.get(status, KubeError)
    if status == 404 and not (body and details.get("name")):
        kind = NoSuchPath
    return kind(message, status=status, reason=reason)


def stated(status: Mapping[str, Any]) -> KubeError:
    """The error for a `Status` object that came in an answer of 200, as a watch's ERROR event does."""
    code = int(status.get("code") or 500)
    message = str(status.get("message") or "the API server gave no reason")
    return _BY_STATUS.get(code, KubeError)(message, status=code, reason=status.get("reason"))


def unreachable(error: Exception, *, cluster: str, server: str, proxy: str | None) -> ClusterUnreachable:
    """The error for a request without an answer: which server, what happened, and what to check."""
    return ClusterUnreachable(f"cluster {cluster}: {server} {_what_happened(error, proxy)}")


def is_broken_connection(error: BaseException) -> bool:
    """The connection broke after it stood: worth another try for what may be done twice."""
    if isinstance(error, aiohttp.ClientConnectorError | TimeoutError | ssl.SSLError):
        return False
    return isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError)


def _what_happened(error: Exception, proxy: str | None) -> str:
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


def _status(payload: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) and body.get("kind") == "Status" else {}


def _without_values(message: str, details: Mapping[str, Any]) -> str:
    """A message about a Secret, reduced to what cannot hold a value: field names and kinds of mistakes."""
    if any(pattern.fullmatch(message) for pattern in _HARMLESS):
        return message
    causes = [
        f"{cause.get('field')} ({cause.get('reason')})"
        for cause in details.get("causes") or []
        if cause.get("field") and cause.get("reason")
    ]
    if causes:
        return f'Secret "{details.get("name")}" is invalid: {", ".join(causes)}'
    return "the API server refused the Secret; its message is not shown, since it may quote a value"
