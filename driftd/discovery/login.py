"""What a deployer logs in to a server with, and a source that logs in with it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlsplit

from driftd.artifacts.source import ArtifactSource, HttpsLogin
from driftd.discovery.deployed import Object, Unsupported, section
from driftd.git.address import Transport
from driftd.git.source import Auth, BasicAuth, BearerAuth, GitSource, HeldFiles
from driftd.model.secret import HeldSecret

NOT_ALLOWED = (
    "driftd takes no login from the deployer unless it is told to: --use-deployer-credentials, "
    "or deployerCredentials: true in a configuration"
)


@dataclass(frozen=True, slots=True)
class Login:
    """A login, and what a server is trusted by; what is empty is not given.

    `missing` is why there is none, to be told where the server asks for one.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    proxy: str = field(default="", repr=False)
    missing: str = ""

    def given_to(self, source: GitSource) -> GitSource:
        """The source with this login, as far as it is one for its protocol. Raises: GitError."""
        source = replace(source, why_no_login=self.missing)
        if source.address.transport is Transport.SSH:
            held = HeldFiles(ssh_key=self.ssh_key or None, known_hosts=self.known_hosts or None)
            return replace(source, held=held if held != HeldFiles() else None)
        return replace(
            source,
            auth=self.https_auth,
            held=self._held(),
            proxy=HeldSecret(self.proxy) if self.proxy else None,
        )

    def given_to_artifact(self, source: ArtifactSource) -> ArtifactSource:
        """The same of a chart or an artifact."""
        held = self._held()
        proxy = HeldSecret(self.proxy) if self.proxy else None
        return replace(source, login=HttpsLogin(self.https_auth, held, proxy, self.missing))

    def _held(self) -> HeldFiles | None:
        held = HeldFiles(
            ca=self.ca or None,
            client_certificate=self.client_certificate or None,
            client_key=self.client_key or None,
        )
        return held if held != HeldFiles() else None

    @property
    def https_auth(self) -> Auth | None:
        """What is sent to an https server. With a password alone, the user's name does not matter."""
        if self.bearer:
            return BearerAuth(HeldSecret(self.bearer))
        if self.password:
            return BasicAuth(HeldSecret(self.username or "x-access-token"), HeldSecret(self.password))
        return None


def secret_data(secret: Object) -> Mapping[str, str]:
    """The decoded values of a Secret that are texts."""
    decoded = {}
    for key, value in section(secret, "data").items():
        try:
            decoded[key] = base64.b64decode(str(value)).decode()
        except (binascii.Error, ValueError):
            continue
    return decoded


def with_proxy_login(address: str, username: str, password: str) -> str:
    """The address of a proxy with a login. Raises: Unsupported: it is no http or https address."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        raise Unsupported("the address of its proxy cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise Unsupported("its proxy is no http or https address without a login")
    login = f"{quote(username, safe='')}:{quote(password, safe='')}@" if username else ""
    return f"{parts.scheme}://{login}{parts.netloc}"
