"""From a kubeconfig or a pod's service account to server, headers and TLS material (client-go: `rest.Config`)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from yarl import URL

from driftd.kube.exec_plugin import ExecCredential, run_exec_plugin
from driftd.kube.kubeconfig import ClusterAccess, Context, KubeconfigEntry, default_files, load_context
from driftd.model.errors import ConfigError, DriftdError, KubeError
from driftd.process.files import read_file

if TYPE_CHECKING:
    from driftd.kube.auth_provider import AuthProvider

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_RELOAD_SECONDS = 60.0
"""Interval at which files are read again, since tokens and certificates are rotated. The same as in client-go."""


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS material as PEM."""

    ca: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """A client context. The key is on disk only while OpenSSL reads it.

        Raises: OSError, ValueError: the material is malformed (ssl.SSLError is an OSError).
        """
        context = ssl.create_default_context(cadata=self.ca.decode("ascii") if self.ca else None)
        # The default of Python 3.13: strict RFC 5280, which the CAs of many clusters do not comply with.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None and self.key is not None:
            with tempfile.TemporaryDirectory(prefix="driftd-") as folder:  # of mode 0700
                certificate, key = Path(folder, "certificate"), Path(folder, "key")
                certificate.write_bytes(self.certificate)
                key.write_bytes(self.key)
                context.load_cert_chain(certificate, key)
        return context


@dataclass(frozen=True, slots=True)
class RestConfig:
    """Everything that requests to one API server need. `renew_at` is in seconds of the monotonic clock.

    `context` is the name of the kubeconfig's context; within a cluster, "in-cluster".

    `compress` allows compressed responses, which save time over slow networks only. As in Kubernetes' own controllers
    it is off within the cluster and for a loopback server, unless the kubeconfig says otherwise
    (`disable-compression: false`, say for a tunnel). Source: kubernetes/kubernetes pull request 80919, issue 112296.
    """

    server: str
    origin: str
    namespace: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    tls: TlsConfig
    proxy: str | None
    compress: bool
    renew_at: float
    context: str = "in-cluster"


class RestConfigLoader:
    """Loads the configuration from scratch each time, so that rotated credentials are picked up."""

    def __init__(
        self, access: ClusterAccess, environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT
    ) -> None:
        self._access = access
        self._environ = environ
        self._service_account = service_account
        self._auth_provider: AuthProvider | None = None

    async def load(self) -> RestConfig:
        """Reads the files, and runs the credential plugin if the user has one.

        Raises: ConfigError: the kubeconfig is missing or broken. KubeError: there are no credentials.
        """
        access = self._access
        if access.kubeconfig is None and access.context is None and self._in_cluster():
            return await asyncio.to_thread(self._as_service_account)
        try:
            return await self._from_kubeconfig()
        except DriftdError:
            raise
        except Exception as error:  # noqa: BLE001  it may hold anything anywhere, and is one cluster's trouble
            file = str(access.kubeconfig or self._environ.get("KUBECONFIG") or "~/.kube/config")
            # from None: the original error may quote a credential.
            message = f"kubeconfig {file} cannot be used: something in it has a wrong type ({type(error).__name__})"
            raise ConfigError(file, [message]) from None

    async def _from_kubeconfig(self) -> RestConfig:
        context = await asyncio.to_thread(self._context)
        user, cluster = context.user, context.cluster
        expires = None
        if "exec" in user.fields:
            credential = await run_exec_plugin(user, cluster, self._environ)
            bearer = f"Bearer {credential.token}" if credential.token else None
            expires = credential.expires
        else:
            credential = None
            bearer = await self._authorization(context)
        return await asyncio.to_thread(_from_context, context, bearer, credential, expires)

    def _context(self) -> Context:
        file = self._access.kubeconfig
        return load_context([file.expanduser()] if file else default_files(self._environ), self._access.context)

    def _in_cluster(self) -> bool:
        return bool(self._environ.get("KUBERNETES_SERVICE_HOST")) and (self._service_account / "token").exists()

    def _as_service_account(self) -> RestConfig:
        """Source: kubernetes.io, "Accessing the Kubernetes API from a Pod"."""
        folder = self._service_account
        host, port = (self._environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
        try:
            token = read_file(folder / "token").decode().strip()
            ca = read_file(folder / "ca.crt")
            named = folder / "namespace"
            namespace = read_file(named).decode().strip() if named.exists() else "default"
        except (OSError, UnicodeDecodeError) as error:
            raise KubeError(f"the pod's service account in {folder} cannot be used: {error}") from error
        if not (port and token and ca):
            missing = "KUBERNETES_SERVICE_PORT is not set" if not port else "its token or its ca.crt is empty"
            raise KubeError(f"the pod's service account in {folder} cannot be used: {missing}")
        return RestConfig(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            origin=f"service account in {folder}",
            namespace=namespace,
            headers=(("Authorization", f"Bearer {token}"),),
            tls=TlsConfig(ca=ca),
            proxy=None,
            compress=False,
            renew_at=time.monotonic() + _RELOAD_SECONDS,
        )

    async def _authorization(self, context: Context) -> str | None:
        """The Authorization header from an auth-provider, token, token file, or password."""
        user = context.user
        if "auth-provider" in user.fields:
            if self._auth_provider is None:
                from driftd.kube.auth_provider import AuthProvider  # noqa: PLC0415  # slow to import

                self._auth_provider = AuthProvider(context)
            return await self._auth_provider.authorization()
        if token := await asyncio.to_thread(_token, context):
            return f"Bearer {token}"
        name, password = user.fields.get("username"), user.fields.get("password")
        if name is None or password is None:
            return None
        return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def _token(context: Context) -> str | None:
    """The content of `tokenFile`, else `token`. Source: client-go's `clientcmd/api`, AuthInfo."""
    user = context.user
    token = user.fields.get("token")
    if file := user.fields.get("tokenFile"):
        path = user.folder / str(file)
        try:
            if from_file := read_file(path).decode().strip():  # it usually ends with a newline
                return from_file
            problem = "is empty"
        except OSError as error:
            problem = str(error.strerror)
        except UnicodeDecodeError:
            problem = "is no text"
        if not token:
            raise KubeError(f"{context.origin}: user {user.name!r}: {path}: {problem}")
    return str(token).strip() if token else None


def _from_context(
    context: Context, bearer: str | None, credential: ExecCredential | None, expires: float | None
) -> RestConfig:
    cluster, user = context.cluster, context.user
    fields = cluster.fields
    server, server_name = _server(context), _server_name(context)
    proxy = fields.get("proxy-url")
    if proxy and not _is_http(str(proxy)):
        message = f"{context.origin}: proxy-url must be an http or https address (socks is not supported)"
        raise ConfigError(str(context.file), [message])
    try:
        ca = _pem(cluster, "certificate-authority")
        certificate = credential.certificate if credential else None
        key = credential.key if credential else None
        if certificate is None:
            certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
    except OSError as error:
        message = f"{context.origin}: {error.filename} cannot be read: {error.strerror}"
        raise ConfigError(str(context.file), [message]) from error
    except (binascii.Error, ValueError):
        # from None: the original error contains the value.
        raise ConfigError(str(context.file), [f"{context.origin}: a …-data field is not base64"]) from None
    if (certificate is None) != (key is None):
        raise ConfigError(str(context.file), [f"{context.origin}: a client certificate needs its key, and the key it"])
    if bearer and not (bearer.isprintable() and bearer.isascii()):
        raise ConfigError(str(context.file), [f"{context.origin}: the token has a line break or the like in it"])
    impersonation = tuple(_impersonation(user))
    if not all(value.isprintable() for _, value in impersonation):
        raise ConfigError(str(context.file), [f"{context.origin}: an `as` field has a line break or the like in it"])
    return RestConfig(
        context=context.name,
        server=server,
        origin=f"{context.origin}, user {user.name!r}",
        namespace=context.namespace,
        headers=((("Authorization", bearer),) if bearer else ()) + impersonation,
        tls=TlsConfig(
            ca=ca,
            certificate=certificate,
            key=key,
            verify=not fields.get("insecure-skip-tls-verify"),
            server_name=server_name,
        ),
        proxy=str(proxy) if proxy else None,
        compress=not fields.get("disable-compression", not proxy and _is_loopback(server)),
        renew_at=time.monotonic() + (_renew_after(expires) if credential else _RELOAD_SECONDS),
    )


def _server(context: Context) -> str:
    """The server's address. Raises: ConfigError: it is none, or holds what would show up in messages."""
    server = str(context.cluster.fields["server"]).rstrip("/")
    if not _is_http(server):
        raise ConfigError(str(context.file), [f"{context.origin}: the server is not an http(s) URL"])
    parts = urlsplit(server)
    if "@" in parts.netloc or parts.query or parts.fragment:
        message = f"{context.origin}: the server holds a login, a query or a fragment, which would show up in messages"
        raise ConfigError(str(context.file), [f"{message}: take it out, and give the user a token or a password"])
    return server


def _server_name(context: Context) -> str | None:
    """The name that the server's certificate is for, where it is another one. Raises: ConfigError."""
    name = str(context.cluster.fields.get("tls-server-name") or "")
    if len(name) > 253 or not (name.isprintable() and name.isascii() and " " not in name):
        message = f"{context.origin}: tls-server-name is no name that a server can have"
        raise ConfigError(str(context.file), [message])
    return name or None


def _is_http(address: str) -> bool:
    """Whether it is an http(s) URL with a host, and with a port that there can be."""
    try:
        parts = urlsplit(address)
        _ = parts.port, URL(address, encoded=True)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and address.isprintable() and " " not in address


def _is_loopback(server: str) -> bool:
    """Whether the server has a loopback address."""
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _renew_after(expires: float | None) -> float:
    """Seconds until a minute before a plugin's credentials expire, less for short-lived ones.

    `expires` is in seconds since the epoch; without it they are renewed only after a 401.
    """
    if expires is None:
        return float("inf")
    left = expires - time.time()
    return left - min(60.0, left / 10)


def _pem(entry: KubeconfigEntry, key: str) -> bytes | None:
    """PEM from `KEY-data` (base64), else from the file of `KEY`."""
    data = entry.fields.get(f"{key}-data")
    if data:
        return base64.b64decode("".join(str(data).split()), validate=True)
    file = entry.fields.get(key)
    return read_file(entry.folder / str(file)) if file else None


def _impersonation(user: KubeconfigEntry) -> Iterator[tuple[str, str]]:
    """Headers for `as…` of the kubeconfig user. Without them requests would run under another identity.

    Source: kubernetes.io, "User impersonation".
    """
    if name := user.fields.get("as"):
        yield "Impersonate-User", str(name)
    if uid := user.fields.get("as-uid"):
        yield "Impersonate-Uid", str(uid)
    for group in user.fields.get("as-groups") or []:
        yield "Impersonate-Group", str(group)
    for key, values in (user.fields.get("as-user-extra") or {}).items():
        for value in values:
            yield f"Impersonate-Extra-{quote(str(key), safe='')}", str(value)
