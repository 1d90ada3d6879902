"""Addresses of repositories: https, ssh, or a local path where allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from driftd.model.errors import GitError
from driftd.model.text import has_control_character

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f:.]+")
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^@/:]+):(?P<path>[^:].*)")


class Transport(StrEnum):
    """The protocol, as GIT_ALLOW_PROTOCOL names it."""

    HTTPS = "https"
    SSH = "ssh"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class GitAddress:
    """The address of a repository. `url` is passed to Git and shown to users: it never contains a secret."""

    transport: Transport
    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def path(self) -> Path:
        """The folder of a local repository."""
        return Path(self.url)

    @classmethod
    def parse(cls, text: str, *, allow_file: bool) -> GitAddress:
        """Raises: GitError: not an address, another protocol, or an address with credentials.

        The errors do not quote the address: it may contain credentials.
        """
        if not text or text.startswith("-") or has_control_character(text):
            raise GitError("the url must be an https or ssh address, or a local path, without control characters")
        scheme, separator, _ = text.partition("://")
        if not separator:
            if "::" in text.split("/", maxsplit=1)[0]:
                raise GitError("the url must be an https or ssh address: Git's remote helpers are not allowed")
            scp_like = _SCP_LIKE.fullmatch(text)
            return _scp_like(scp_like, text) if scp_like else _local(text, allow_file)
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:
            raise GitError("the url cannot be read as an address") from None
        match scheme.lower():
            case "https":
                return _https(parts)
            case "ssh":
                return _ssh(parts)
            case "file":
                if parts.netloc not in ("", "localhost"):
                    raise GitError("a file:// url must name a local path: file:///path/to/repository")
                return _local(unquote(parts.path), allow_file)
            case "http":
                raise GitError("http would show the credentials and the manifests to anyone on the way: use https")
            case _:
                raise GitError("the url must start with https:// or ssh://: other protocols are not allowed")


def repository_key(text: str) -> str:
    """What the addresses of one repository have in common: host and path, by whatever protocol, user and port.

    Hosting services do not tell upper from lower case in either.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() != "file":
        host, _, path = rest.rpartition("@")[2].partition("/")
        host = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    elif not separator and (scp_like := _SCP_LIKE.fullmatch(text)):
        host, path = scp_like["host"], scp_like["path"]
    else:
        host, path = "", rest if separator else text
    return f"{host}/{path.strip('/').removesuffix('.git')}".lower()


def is_local_path(text: str) -> bool:
    """Whether an address can only be a path of this machine."""
    try:
        return GitAddress.parse(text, allow_file=True).transport is Transport.FILE
    except GitError:
        return False


def _https(parts: SplitResult) -> GitAddress:
    if "@" in parts.netloc:
        raise GitError(
            "the url holds credentials, which would show up in logs and messages: "
            "take them out, and give a token, or a user's name and password, as the source's auth"
        )
    if parts.query or parts.fragment:
        raise GitError("the url must not have a query (?...) or a fragment (#...)")
    return GitAddress(Transport.HTTPS, f"https://{_checked_host(parts)}{parts.path}")


def _ssh(parts: SplitResult) -> GitAddress:
    if parts.password is not None:
        raise GitError("the url holds a password: take it out, and use a key")
    user = f"{_checked_user(parts.username)}@" if parts.username is not None else ""
    if parts.path.strip("/") == "" or parts.query or parts.fragment:
        raise GitError("an ssh url must be ssh://USER@HOST/PATH")
    return GitAddress(Transport.SSH, f"ssh://{user}{_checked_host(parts)}{parts.path}")


def _scp_like(match: re.Match[str], text: str) -> GitAddress:
    if match["user"] is not None:
        _checked_user(match["user"])
    if "@" in match["path"].split("/", maxsplit=1)[0] or "\\" in text:
        raise GitError("the url holds a login, or has no https:// before it: logs and messages would show the login")
    if not _HOST.fullmatch(match["host"]) or match["path"].startswith("-"):
        raise GitError("the url must be USER@HOST:PATH, an https or ssh address, or a local path")
    return GitAddress(Transport.SSH, text)


def _local(text: str, allow_file: bool) -> GitAddress:
    if not allow_file:
        raise GitError("the url is a local path, which is not allowed here: use an https or ssh address")
    if not text:
        raise GitError("the url names no path")
    # Absolute, so that Git takes it for neither an option nor a host, and the working directory does not matter.
    return GitAddress(Transport.FILE, str(Path(text).absolute()))


def _checked_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise GitError("the url names no host, or one with characters that no host has")
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if parts.port is None else f"{bracketed}:{parts.port}"


def _checked_user(user: str) -> str:
    if not _USER.fullmatch(user):
        raise GitError("the url's user name has characters that are not allowed there")
    return user
