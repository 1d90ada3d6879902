"""What to take from which repository, and how to log in there. Plain values: nothing here talks to Git."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from driftd.git.address import Address, Transport
from driftd.model.errors import GitError
from driftd.model.secret import Secret

_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|[/.]$|\.lock(/|$)|^@$")
_HEX = re.compile(r"[0-9a-f]{4,64}")
_SHORTEST_COMMIT = 7


class RefKind(StrEnum):
    """What a reference names."""

    HEAD = "HEAD"
    """The remote's default branch."""
    BRANCH = "branch"
    TAG = "tag"
    SEMVER = "semver"
    """The highest version among the tags that a range allows."""
    COMMIT = "commit"
    ANY = "revision"
    """What a person typed: a branch, a tag, a commit or the first digits of one."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference in the remote repository. `Ref()` is the remote's default branch.

    Raises: GitError: the value is not one that Git allows there.
    """

    kind: RefKind = RefKind.HEAD
    value: str = ""

    def __post_init__(self) -> None:
        if self.kind is RefKind.HEAD:
            if self.value:
                raise GitError("the default branch has no name of its own: leave it out, or name a branch")
        elif self.kind is RefKind.SEMVER:
            from driftd.git.versions import VersionRange  # noqa: PLC0415  # few refs are ranges, and it loads long

            VersionRange.parse(self.value)
        elif self.kind is RefKind.COMMIT:
            if not is_hash(self.value) or len(self.value) < _SHORTEST_COMMIT:
                raise GitError(f"commit {self.value!r}: must be a commit's hash, of 7 to 64 hexadecimal digits")
        elif not is_name(self.value):
            raise GitError(f"{self.kind} {self.value!r}: not a name that Git allows")

    def __str__(self) -> str:
        return "default branch" if self.kind is RefKind.HEAD else f"{self.kind} {self.value}"


def is_name(text: str) -> bool:
    """Whether Git allows it as the name of a branch or a tag. Source: git-check-ref-format(1)."""
    return bool(text) and _FORBIDDEN_IN_NAMES.search(text) is None


def is_hash(text: str) -> bool:
    """Whether it is an object's name in lower-case hexadecimal digits, or the beginning of one."""
    return _HEX.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """An access token for https. Most servers take any user name beside it; some want their own."""

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

    None stands for what the user's own ssh would take: its agent and default keys, and ~/.ssh/known_hosts. A server
    that is not known is refused, whatever ssh's configuration says.
    """

    key_file: Path | None = None
    known_hosts_file: Path | None = None


Auth = TokenAuth | BasicAuth | SshAuth


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository and the reference that is wanted of it.

    `timeout` is what one fetch may take, in seconds. `allow_file` lets `url` be a local path or a file:// address.
    With `borrow`, what a local repository has is read where it is, unchecked, and not copied: for who looks once, since
    what that repository throws away is gone. `ca_file` holds the certificates to trust for https, in PEM.
    Raises: GitError: the address is not one that driftd would fetch from, or the login does not fit it.
    """

    name: str
    url: str
    ref: Ref = field(default_factory=Ref)
    auth: Auth | None = None
    timeout: float = 60.0
    allow_file: bool = False
    borrow: bool = False
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        transport = self.address.transport
        if isinstance(self.auth, SshAuth) and transport is not Transport.SSH:
            raise GitError(f"source {self.name}: an ssh key is of no use for {self.address}")
        if isinstance(self.auth, TokenAuth | BasicAuth) and transport is not Transport.HTTPS:
            raise GitError(f"source {self.name}: a token or a password is of no use for {self.address}")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise GitError(f"source {self.name}: the timeout must be more than zero seconds")

    @property
    def address(self) -> Address:
        try:
            return Address.parse(self.url, allow_file=self.allow_file)
        except GitError as error:
            raise GitError(f"source {self.name}: {error}") from error

    def __str__(self) -> str:
        return f"source {self.name} ({self.address})"
