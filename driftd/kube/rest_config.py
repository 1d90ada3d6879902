"""Who we are to an API server: from a kubeconfig's user or a pod's service account to headers and TLS material."""

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

from driftd.kube.exec_plugin import ExecCredential, run_exec_plugin
from driftd.kube.kubeconfig import ClusterAccess, Context, Entry, read_context, usual_files
from driftd.model.errors import ConfigError, KubeError

if TYPE_CHECKING:
    from driftd.kube.auth_provider import AuthProvider

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_REREAD = 60.0
"""Seconds after which files are read again: tokens and certificates on disk are rotated. client-go has the same."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a TLS connection is made from, as PEM."""

    ca: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """A client's context for this material. The key touches the disk only while it is read.

        Raises: OSError, ValueError: the material is not what it says it is (ssl.SSLError is an OSError).
        """
        context = ssl.create_default_context(cadata=self.ca.decode("ascii") if self.ca else None)
        # Python 3.13 reads certificates by RFC 5280's letter, which many a cluster's own CA does not pass.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None and self.key is not None:
            with tempfile.TemporaryDirectory(prefix="driftd-") as folder:  # readable by its owner only
                certificate, key = Path(folder, "certificate"), Path(folder, "key")
                certificate.write_bytes(self.certificate)
                key.write_bytes(self.key)
                context.load_cert_chain(certificate, key)
        return context


@dataclass(frozen=True, slots=True)
class Login:
    """Everything that requests to one API server need. `renew_at` is in seconds since the epoch.

    `compress` lets the server compress what it answers: over a slow network that is worth it, over a fast one it costs
    more time than it saves. From within the cluster, and to a server on this machine, nothing is compressed
    unless the kubeconfig asks for it (`disable-compression: false`, say for a tunnel), as Kubernetes' own controllers
    have it. Source: kubernetes/kubernetes pull request 80919, issue 112296.
    """

    server: str
    origin: str
    namespace: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    tls: Tls
    proxy: str | None
    compress: bool
    renew_at: float


class LoginSource:
    """Makes a login from scratch each time it is asked, so that whatever was rotated meanwhile is picked up."""

    def __init__(
        self, access: ClusterAccess, environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT
    ) -> None:
        self._access = access
        self._environ = environ
        self._service_account = service_account
        self._provider: AuthProvider | None = None

    async def log_in(self) -> Login:
        """Reads the files, and runs the credential plugin where the user has one.

        Raises: ConfigError: the kubeconfig is missing or broken. KubeError: there are no credentials to be had.
        """
        access = self._access
        if access.kubeconfig is None and access.context is None and self._in_cluster():
            return await asyncio.to_thread(self._as_service_account)
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
        return await asyncio.to_thread(_login, context, bearer, credential, expires)

    def _context(self) -> Context:
        file = self._access.kubeconfig
        return read_context([file.expanduser()] if file else usual_files(self._environ), self._access.context)

    def _in_cluster(self) -> bool:
        return bool(self._environ.get("KUBERNETES_SERVICE_HOST")) and (self._service_account / "token").exists()

    def _as_service_account(self) -> Login:
        """Source: kubernetes.io, "Accessing the Kubernetes API from a Pod"."""
        folder = self._service_account
        host, port = (self._environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
        try:
            token = (folder / "token").read_text().strip()
            ca = (folder / "ca.crt").read_bytes()
            namespace = (folder / "namespace").read_text().strip() if (folder / "namespace").exists() else "default"
        except (OSError, UnicodeDecodeError) as error:
            raise KubeError(f"the pod's service account in {folder} cannot be used: {error}") from error
        if not (port and token and ca):
            missing = "KUBERNETES_SERVICE_PORT is not set" if not port else "its token or its ca.crt is empty"
            raise KubeError(f"the pod's service account in {folder} cannot be used: {missing}")
        return Login(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            origin=f"service account in {folder}",
            namespace=namespace,
            headers=(("Authorization", f"Bearer {token}"),),
            tls=Tls(ca=ca),
            proxy=None,
            compress=False,
            renew_at=time.time() + _REREAD,
        )

    async def _authorization(self, context: Context) -> str | None:
        """The Authorization header: of an auth-provider, a token, a token file, or a password."""
        user = context.user
        if "auth-provider" in user.fields:
            if self._provider is None:
                from driftd.kube.auth_provider import AuthProvider  # noqa: PLC0415  # see there

                self._provider = AuthProvider(context)
            return await self._provider.authorization()
        if token := await asyncio.to_thread(_token, context):
            return f"Bearer {token}"
        name, password = user.fields.get("username"), user.fields.get("password")
        if name is None or password is None:
            return None
        return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def _token(context: Context) -> str | None:
    """What stands in `tokenFile`, else `token`. Source: client-go's `clientcmd/api`, AuthInfo."""
    user = context.user
    token = user.fields.get("token")
    if file := user.fields.get("tokenFile"):
        path = user.folder / str(file)
        try:
            if found := path.read_text().strip():  # it usually ends with a newline
                return found
            trouble = "is empty"
        except OSError as error:
            trouble = str(error.strerror)
        except UnicodeDecodeError:
            trouble = "is no text"
        if not token:
            raise KubeError(f"{context.origin}: user {user.name!r}: {path}: {trouble}")
    return str(token).strip() if token else None


def _login(context: Context, bearer: str | None, credential: ExecCredential | None, expires: float | None) -> Login:
    cluster, user = context.cluster, context.user
    fields = cluster.fields
    server = str(fields["server"]).rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise ConfigError(str(context.file), [f"{context.origin}: server {server!r} is not an http(s) URL"])
    proxy = fields.get("proxy-url")
    if proxy and not str(proxy).startswith(("http://", "https://")):
        raise ConfigError(
            context.origin, [f"{context.origin}: proxy-url must be http or https (socks is not supported)"]
        )
    try:
        ca = _material(cluster, "certificate-authority")
        certificate = credential.certificate if credential else None
        key = credential.key if credential else None
        if certificate is None:
            certificate, key = _material(user, "client-certificate"), _material(user, "client-key")
    except OSError as error:
        message = f"{context.origin}: {error.filename} cannot be read: {error.strerror}"
        raise ConfigError(str(context.file), [message]) from error
    except (binascii.Error, ValueError):
        # from None: the value is a key or a certificate.
        raise ConfigError(str(context.file), [f"{context.origin}: a …-data field is not base64"]) from None
    if (certificate is None) != (key is None):
        raise ConfigError(str(context.file), [f"{context.origin}: a client certificate needs its key, and the key it"])
    if bearer and not bearer.isprintable():
        raise ConfigError(str(context.file), [f"{context.origin}: the token has a line break or the like in it"])
    now = time.time()
    return Login(
        server=server,
        origin=f"{context.origin}, user {user.name!r}",
        namespace=context.namespace,
        headers=((("Authorization", bearer),) if bearer else ()) + tuple(_impersonation(user)),
        tls=Tls(
            ca=ca,
            certificate=certificate,
            key=key,
            verify=not fields.get("insecure-skip-tls-verify"),
            server_name=fields.get("tls-server-name") or None,
        ),
        proxy=str(proxy) if proxy else None,
        compress=not fields.get("disable-compression", not proxy and _is_near(server)),
        renew_at=_renewal(now, expires) if credential else now + _REREAD,
    )


def _is_near(server: str) -> bool:
    """Whether the server is on this machine."""
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _renewal(now: float, expires: float | None) -> float:
    """A minute before a plugin's credentials expire, sooner for short-lived ones; without expiry only after a 401."""
    return float("inf") if expires is None else expires - min(60.0, (expires - now) / 10)


def _material(entry: Entry, key: str) -> bytes | None:
    """PEM from `key-data` (base64), else from the file that `key` names."""
    data = entry.fields.get(f"{key}-data")
    if data:
        return base64.b64decode("".join(str(data).split()), validate=True)
    file = entry.fields.get(key)
    return (entry.folder / str(file)).read_bytes() if file else None


def _impersonation(user: Entry) -> Iterator[tuple[str, str]]:
    """`as` of the kubeconfig, which must not be dropped: we would then act as somebody else than asked.

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
            yield f"Impersonate-Extra-{quote(key, safe='')}", str(value)
