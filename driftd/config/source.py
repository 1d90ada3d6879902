"""The configuration of sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import Field

from driftd.config.duration import Interval
from driftd.config.mistake import mistake
from driftd.config.secret import InlineValue, SecretReference, secret_reference
from driftd.config.section import KeyMistake, KeyRule, Needs, OneOf, Section
from driftd.config.values import Commit, FilePath, GitRef, GitUrl, Name, SemverText, Variable, transport_of
from driftd.git.address import Transport

_PASSWORD_KEYS = ("passwordFile", "passwordEnv")
_USERNAME_KEYS = ("username", "usernameFile", "usernameEnv")
_HTTPS_KEYS = ("tokenFile", "tokenEnv", *_USERNAME_KEYS, *_PASSWORD_KEYS, "caFile")
_SSH_KEYS = ("sshKeyFile", "knownHostsFile")


class RefConfig(Section):
    """What of the repository is wanted: exactly one of these."""

    rules: ClassVar[tuple[KeyRule, ...]] = (OneOf(("branch", "tag", "semver", "commit"), required=True),)

    branch: GitRef | None = Field(default=None, description="The newest commit of this branch.")
    tag: GitRef | None = Field(default=None, description="The commit of this tag.")
    semver: SemverText | None = Field(
        default=None, description="The highest version tag in this range.", examples=[">=1.2 <2", "1.x"]
    )
    commit: Commit | None = Field(default=None, description="This very commit, by its hash.")


class AuthConfig(Section):
    """How to log in to the Git server. Every secret is a file or an environment variable, never a value."""

    rules: ClassVar[tuple[KeyRule, ...]] = (
        OneOf(("tokenFile", "tokenEnv", *_PASSWORD_KEYS)),
        OneOf(_USERNAME_KEYS),
        OneOf(("tokenFile", "tokenEnv", "sshKeyFile")),
        Needs(_PASSWORD_KEYS, _USERNAME_KEYS, "basic authentication takes both"),
        Needs(_USERNAME_KEYS, (*_PASSWORD_KEYS, "tokenFile", "tokenEnv"), "basic authentication takes both"),
        Needs(("sshKeyFile",), ("knownHostsFile",), "an unknown server is never trusted"),
    )

    token_file: FilePath | None = Field(default=None, description="https: a file that holds an access token.")
    token_env: Variable | None = Field(
        default=None, description="https: an environment variable that holds an access token."
    )
    username: str | None = Field(default=None, description="https: the user's name.")
    username_file: FilePath | None = Field(default=None, description="https: a file that holds the user's name.")
    username_env: Variable | None = Field(default=None, description="https: a variable that holds the user's name.")
    password_file: FilePath | None = Field(default=None, description="https: a file that holds the password.")
    password_env: Variable | None = Field(default=None, description="https: a variable that holds the password.")
    ssh_key_file: FilePath | None = Field(
        default=None, description="ssh: the private key's file, without a passphrase."
    )
    known_hosts_file: FilePath | None = Field(
        default=None, description="ssh: the server's public keys, as known_hosts has it."
    )
    ca_file: FilePath | None = Field(default=None, description="https: certificates to trust, as a PEM file.")

    @property
    def token(self) -> SecretReference | None:
        return secret_reference("auth.token", self.token_file, self.token_env)

    @property
    def password(self) -> SecretReference | None:
        return secret_reference("auth.password", self.password_file, self.password_env)

    @property
    def user(self) -> SecretReference | InlineValue | None:
        """The user's name: a reference, or inline."""
        if self.username is not None:
            return InlineValue("auth.username", self.username)
        return secret_reference("auth.username", self.username_file, self.username_env)


class SourceConfig(Section):
    """A Git repository, mirrored on its interval."""

    name: Name = Field(description="What apps call it. Unique.")
    url: GitUrl = Field(
        description="An https or ssh address without credentials, or a local path.",
        examples=["https://git.example.com/shop/deploy.git", "ssh://git@git.example.com/shop/deploy.git"],
    )
    ref: RefConfig | None = Field(
        default=None, description="What is wanted of it; left out: the remote's default branch."
    )
    interval: Interval = Field(default=timedelta(seconds=60), description="How often to look for new commits.")
    timeout: Interval = Field(default=timedelta(seconds=60), description="When to give a fetch up.")
    auth: AuthConfig | None = Field(default=None, description="How to log in; left out: no login.")

    @classmethod
    def mistakes(cls, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        yield from super().mistakes(present)
        yield from _auth_fits(present.get("url"), present.get("auth"))


def _auth_fits(url: object, auth: object) -> Iterator[KeyMistake]:
    if not isinstance(url, str) or not isinstance(auth, Mapping):
        return
    unusable: tuple[str, ...]
    match transport_of(url):
        case Transport.HTTPS:
            unusable, hint = _SSH_KEYS, "an https address takes a token, or a user's name and password"
        case Transport.SSH:
            unusable, hint = _HTTPS_KEYS, "an ssh address takes sshKeyFile and knownHostsFile"
        case Transport.FILE:
            unusable, hint = (*_HTTPS_KEYS, *_SSH_KEYS), "a local path takes no login"
        case None:
            return
    for key in unusable:
        if key in auth:
            yield ("auth", key), mistake(f"has no use here: {hint}")
