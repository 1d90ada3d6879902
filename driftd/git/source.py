"""Configured Git sources: address, reference and credentials. Values only: nothing in this module runs Git."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from driftd.git.address import GitAddress, Transport
from driftd.model.errors import GitError
from driftd.model.secret import Secret

_FORBIDDEN_IN_REF_NAMES = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|[/.]$|\.lock(/|$)|^@$")
_HEX = re.compile(r"[0-9a-f]{4,64}")
_MIN_COMMIT_DIGITS = 7


class RefKind(StrEnum):
    """The kind of a reference."""

    HEAD = "HEAD"
    """The remote's default branch."""
    BRANCH = "branch"
    TAG = "tag"
    SEMVER = "semver"
    """The tag of the highest version in a range."""
    COMMIT = "commit"
    ANY = "revision"
    """As a user typed it: a branch, a tag, or a full or abbreviated hash."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference in the remote repository. `Ref()` is the remote's default branch.

    Raises: GitError: the value is not valid for the kind.
    """

    kind: RefKind = RefKind.HEAD
    value: str = ""

    def __post_init__(self) -> None:
        if self.kind is RefKind.HEAD:
            if self.value:
                raise GitError("the default branch has no name of its own: leave it out, or name a branch")
        elif self.kind is RefKind.SEMVER:
            from driftd.git.version_range import SemverRange  # noqa: PLC0415  # slow to import, and few refs are ranges

            SemverRange.parse(self.value)
        elif self.kind is RefKind.COMMIT:
            if not is_hash(self.value) or len(self.value) < _MIN_COMMIT_DIGITS:
                raise GitError(f"commit {self.value!r}: must be a commit's hash, of 7 to 64 hexadecimal digits")
        elif not is_ref_name(self.value):
            raise GitError(f"{self.kind} {self.value!r}: not a name that Git allows")

    def __str__(self) -> str:
        return "default branch" if self.kind is RefKind.HEAD else f"{self.kind} {self.value}"


def is_ref_name(text: str) -> bool:
    """Whether the text is a valid name of a branch or tag. Source: git-check-ref-format(1)."""
    return bool(text) and _FORBIDDEN_IN_REF_NAMES.search(text) is None


def is_hash(text: str) -> bool:
    """Whether the text is a full or abbreviated hash in lower-case hexadecimal digits."""
    return _HEX.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """An access token for https. Most servers accept any user name with it; some require a certain one."""

    token: Secret = field(repr=False)
    username: str = "x-access-token"


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """A user's name and password for https."""

    username: Secret = field(repr=False)
    password: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class SshAuth:
    """A private key without passphrase, and the server's public keys in the form of `known_hosts`.

    None means ssh's defaults: its agent and default keys, and ~/.ssh/known_hosts. Unknown servers are refused, whatever
    ssh's configuration says.
    """

    key_file: Path | None = None
    known_hosts_file: Path | None = None


@dataclass(frozen=True, slots=True)
class BearerAuth:
    """A token for https that is sent as it is, and not as a password."""

    token: Secret = field(repr=False)


Auth = TokenAuth | BasicAuth | BearerAuth | SshAuth


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What this side shows for https: a certificate and its private key, in PEM."""

    certificate_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """Contents of the files that ssh and TLS take, kept in memory: each is a file only while Git runs."""

    ssh_key: str | None = field(default=None, repr=False)
    known_hosts: str | None = field(default=None, repr=False)
    ca: str | None = field(default=None, repr=False)
    client_certificate: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)

    @property
    def identifies(self) -> bool:
        """Whether they tell the server who is asking."""
        return self.ssh_key is not None or self.client_key is not None


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository and a reference in it.

    `timeout` limits one fetch, in seconds. `allow_file` permits a local path or a file:// address as `url`. `borrow`
    reads the objects of a local repository in place, unchecked, instead of copying them: for a single check, since
    objects that the repository prunes are lost. `ca_file` has the certificates to trust for https, in PEM. `held` takes
    the place of files. `proxy` is the address of an HTTP proxy, perhaps with a login. `why_no_login` is told where the
    server asks for a login.
    Raises: GitError: the address is not allowed, or `auth` does not fit it.
    """

    name: str
    url: str
    ref: Ref = field(default_factory=Ref)
    auth: Auth | None = None
    timeout: float = 60.0
    allow_file: bool = False
    borrow: bool = False
    ca_file: Path | None = None
    client_certificate: ClientCertificate | None = None
    held: HeldFiles | None = None
    proxy: Secret | None = field(default=None, repr=False)
    why_no_login: str = ""

    def __post_init__(self) -> None:
        transport = self.address.transport
        if isinstance(self.auth, SshAuth) and transport is not Transport.SSH:
            raise GitError(f"source {self.name}: an ssh key is of no use for {self.address}")
        if isinstance(self.auth, TokenAuth | BasicAuth | BearerAuth) and transport is not Transport.HTTPS:
            raise GitError(f"source {self.name}: a token or a password is of no use for {self.address}")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise GitError(f"source {self.name}: the timeout must be more than zero seconds")

    def at(self, commit: str) -> GitSource:
        """The same repository, of which nothing is followed: this commit is the reference."""
        return replace(self, ref=Ref(RefKind.COMMIT, commit))

    @property
    def address(self) -> GitAddress:
        try:
            return GitAddress.parse(self.url, allow_file=self.allow_file)
        except GitError as error:
            raise GitError(f"source {self.name}: {error}") from error

    def __str__(self) -> str:
        return f"source {self.name} ({self.address})"
