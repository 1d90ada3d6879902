"""Git's error messages, condensed to one line that a user can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from driftd.model.errors import GitError

_MAX_CHARACTERS = 300
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_PREFIX = re.compile(r"^(?:fatal|error|remote|ssh): *(?:fatal: *|error: *)?", re.IGNORECASE)
_NOISE = re.compile(
    r"hint:|warning:|Cloning into|From |Please make sure you have the correct access|and the repository exists"
    r"|Could not read from remote repository|The remote end hung up unexpectedly|the remote end hung up"
    r"|Enumerating|Counting|Compressing|Total |early EOF|fetch-pack: |index-pack failed|@@@|debug1:"
    r"|(?:In|Un)packing|Receiving|Resolving|\* \[new| \* branch|Pseudo-terminal",
    re.IGNORECASE,
)

_LOGIN = (
    r"authentication failed|could not read (?:username|password)|access denied|returned error: 40[13]"
    r"|permission denied|invalid credentials|not authorized|unauthorized"
)
_HOST_KEY = r"host key verification failed|no .* host key is known|remote host identification has changed"
_NOT_FOUND = r"not found|does not exist|does not appear to be a git repository|not a git repository|returned error: 404"

_ADVICE = (
    (
        _LOGIN,
        "check the login in the source's auth, and that it may read this repository",
    ),
    (
        _HOST_KEY,
        "check the server's key in the known_hosts file",
    ),
    (
        r"certificate|ssl ca|cafile|unable to get local issuer",
        "check the server's certificate, and the source's caFile",
    ),
    (
        r"redirect|returned error: 30\d|update url base",
        "the server sends on to another address: put that one into the url, often the same with .git at its end",
    ),
    (
        r"could not resolve|name or service not known|name resolution|no such host|connection refused"
        r"|failed to connect|connection timed out|network is unreachable|no route to host|timed out|couldn't connect",
        "check the url, and that the server can be reached from here",
    ),
    (
        _NOT_FOUND,
        "check the url; a server may also say so to a login that may not see the repository",
    ),
)


class CommandFailed(GitError):
    """Git exited with an error. `stderr` is its full text without credentials."""

    def __init__(self, command: str, stderr: str) -> None:
        self.command = command
        self.stderr = stderr
        super().__init__(f"git {command}: {summarize(stderr)}")


def other_object_format(error: CommandFailed) -> str | None:
    """The object format (`sha256`) of a remote whose objects do not fit into the repository; None for other errors."""
    mismatch = re.search(r"mismatched algorithms: client \w+; server (sha\w+)", error.stderr)
    return mismatch[1] if mismatch else None


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets and without credentials in URLs."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _CREDENTIALS.sub("***@", text)


def summarize(stderr: str) -> str:
    """The lines that state the error, as one of at most 300 characters."""
    lines = [_CONTROL.sub("", line).strip() for line in re.split(r"[\r\n]+", stderr)]
    lines = [line for line in lines if line]
    relevant = [line for line in lines if not _NOISE.search(line)] or lines[-1:]
    sentences = list(dict.fromkeys(_PREFIX.sub("", line).rstrip(".") for line in relevant[-3:]))
    text = "; ".join(sentence for sentence in sentences if sentence) or "it gave no reason"
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."


def advice(stderr: str) -> str:
    """What the user can do about the error; empty if nothing is known."""
    return next((text for pattern, text in _ADVICE if re.search(pattern, stderr, re.IGNORECASE)), "")


def asks_for_login(stderr: str) -> bool:
    """Whether a login, or the server's key, may have been lacking: some then say that there is no repository."""
    return re.search(f"{_LOGIN}|{_HOST_KEY}|{_NOT_FOUND}", stderr, re.IGNORECASE) is not None
