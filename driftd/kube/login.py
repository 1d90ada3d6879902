"""Who we are to an API server: from a kubeconfig's user or a pod's service account to headers and TLS material.

The one module that imports `kubernetes`. That takes half a second, so import this one only where a login is made.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import KubeConfigLoader

from driftd.kube.exec_plugin import ExecCredential, run_exec_plugin
from driftd.kube.kubeconfig import ClusterAccess, Context, Entry, read_context, usual_files
from driftd.model.errors import ConfigError, KubeError

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
        """The context of kubernetes.aio's client for this material. The key touches the disk only while it is read.

        Raises: OSError, ValueError: the material is not what it says it is (ssl.SSLError is an OSError).
        """
        configuration = Configuration(
            verify_ssl=self.verify,
            ca_cert_data=self.ca.decode("ascii") if self.ca else None,
        )
        # Python 3.13 reads certificates by RFC 5280's letter, which many a cluster's own CA does not pass.
        configuration.disable_strict_ssl_verification = True
        if self.certificate is None or self.key is None:
            return _ssl_context(configuration)
        with tempfile.TemporaryDirectory(prefix="driftd-") as folder:  # readable by its owner only
            for name, content in (("cert_file", self.certificate), ("key_file", self.key)):
                path = Path(folder, name)
                path.write_bytes(content)
                setattr(configuration, name, str(path))
            return _ssl_context(configuration)


@dataclass(frozen=True, slots=True)
class Login:
    """Everything that requests to one API server need. `renew_at` is in seconds since the epoch."""

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
        self._provider: Any = None  # keeps a refresh token that its issuer has rotated

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

        folder = self._service_account
        configuration = Configuration()
        make_loader: Any = InClusterConfigLoader  # untyped
        try:
            loader = make_loader(str(folder / "token"), str(folder / "ca.crt"), environ=self._environ)
            loader.load_and_set(configuration)
            namespace = (folder / "namespace").read_text().strip() if (folder / "namespace").exists() else "default"
            ca = (folder / "ca.crt").read_bytes()
        except (ConfigException, OSError) as error:
            raise KubeError(f"the pod's service account in {folder} cannot be used: {error}") from error
        token = configuration.api_key["BearerToken"].partition(" ")[2].strip()
        return Login(
            server=configuration.host,
            origin=f"service account in {folder}",
            namespace=namespace,
            headers=(("Authorization", f"Bearer {token}"),),
            tls=Tls(ca=ca),
            proxy=None,
            compress=True,
            renew_at=time.time() + _REREAD,
        )

    async def _authorization(self, context: Context) -> str | None:
        """The Authorization header by kubernetes.aio: token, token file, password, or an OIDC or GCP provider."""
        user = context.user
        if not user.fields.keys() & {"token", "tokenFile", "username", "auth-provider"}:
            return None

        if self._provider is None:
            # Only what authenticates goes in: given keys and certificates it would leave them in temporary files.
            fields = {key: value for key, value in user.fields.items() if not key.startswith("client-")}
            make_loader: Any = KubeConfigLoader  # untyped
            loader = make_loader(
                {
                    "current-context": "_",
                    "contexts": [{"name": "_", "context": {"cluster": "_", "user": "_"}}],
                    "clusters": [{"name": "_", "cluster": {"server": context.cluster.fields["server"]}}],
                    "users": [{"name": "_", "user": fields}],
                },
                config_base_path=str(user.folder),
            )
            if "auth-provider" in fields:
                self._provider = loader
        else:
            loader = self._provider
        configuration = Configuration()
        try:
            await loader.load_and_set(configuration)
        except OSError as error:
            raise KubeError(f"{context.origin}: user {user.name!r}: {error.filename}: {error.strerror}") from error
        except ConfigException as error:
            raise KubeError(f"{context.origin}: user {user.name!r}: {error}") from error
        except Exception as error:
            # The provider's own errors are of any type, and their text may quote its answer.
            raise KubeError(
                f"{context.origin}: user {user.name!r}: its auth-provider gave no token ({type(error).__name__})"
            ) from error
        header: str = configuration.api_key.get("BearerToken", "")
        return header.strip() or None  # a token file usually ends with a newline


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
        compress=not fields.get("disable-compression"),
        renew_at=_renewal(now, expires) if credential else now + _REREAD,
    )


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
    """`as` of the kubeconfig, which kubernetes.aio drops: we would then act as somebody else than asked.

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


def _ssl_context(configuration: Configuration) -> ssl.SSLContext:
    make_client: Any = RESTClientObject  # untyped
    context: ssl.SSLContext = make_client(configuration).ssl_context
    return context
