"""Types of configuration values, each with its validator."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from driftd.config.mistake import mistake
from driftd.git.address import GitAddress, Transport
from driftd.git.folder_pattern import FolderPattern
from driftd.git.source import is_ref_name
from driftd.git.version_range import SemverRange
from driftd.model.errors import GitError

FOLDER = "folder"
"""Key of the validation context: the folder that relative paths are resolved against."""

FILE = "file"
"""Key of the validation context: the configuration file, which its default store belongs to."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_KIND = rf"[A-Z][A-Za-z0-9]*(?:\.{_LABEL})*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_COMMIT = r"[0-9a-f]{7,64}"
_VARIABLES = re.compile(r"\{[^{}]*\}")
_TEMPLATE = rf"^(?:{_LABEL}|[-a-z0-9]*(?:\{{[a-z0-9]+\}}[-a-z0-9]*)+)$"
_CONTENT = re.compile(
    r"\n|://|^(?:gh[a-z]_|github_pat_|gl[a-z]{2,6}-|xox[a-z]-|xapp-|Bearer |Basic |eyJ[\w-]*\.|AKIA)"
    r"|^(?=.*[0-9])(?=.*[A-Z])[A-Za-z0-9+_=-]{20,}$"
)
"""What no path is: several lines, an address, or a token, by how well-known ones begin or by its length."""


_BOOLEAN: TypeAdapter[bool] = TypeAdapter(bool)


def boolean(value: object) -> bool | None:
    """What a key that is not validated yet says; None where it is left out, or is a mistake that is told there."""
    try:
        return _BOOLEAN.validate_python(value)
    except ValidationError:
        return None


def _name(text: str) -> str:
    if not re.fullmatch(_LABEL, text):
        raise mistake("must be a name of lower-case letters, digits and -, 63 at most, as a Kubernetes label has it")
    return text


def _name_template(text: str) -> str:
    _name(_VARIABLES.sub("x", text))  # whatever the variables stand for: that is checked for each app
    return text


def _namespace_template(text: str) -> str:
    return text if text == "*" else _name_template(text)


def _folder_pattern(text: str) -> str:
    path = _repository_path(text)
    try:
        FolderPattern(path)
    except ValueError as error:
        raise mistake(str(error)) from error
    return path


def _kind_or_any(text: str) -> str:
    if text != "*" and not re.fullmatch(_KIND, text):
        raise mistake("must be a kind as manifests name it (ClusterRole), with or without its group (Kind.group), or *")
    return text


def _variable(text: str) -> str:
    if not re.fullmatch(_VARIABLE, text):
        raise mistake("must be the name of an environment variable, not its value")
    return text


def _file(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        if _CONTENT.search(value) or not value.strip():
            raise mistake("must be the path of a file, not what is in it")
        folder = (info.context or {}).get(FOLDER, Path())
        return folder / Path(value).expanduser()
    return value


def _repository_path(text: str) -> str:
    if "\x00" in text or "\\" in text:
        raise mistake("must be a path inside the repository, with / between its folders")
    if text.startswith("/"):
        raise mistake("must be relative to the repository's root")
    path = posixpath.normpath(text) if text else ""
    if path == ".." or path.startswith("../"):
        raise mistake("must not lead out of the repository")
    return "" if path == "." else path


def _git_ref(text: str) -> str:
    if not is_ref_name(text):
        raise mistake("is not a name that Git allows for a branch or a tag")
    return text


def _commit(text: str) -> str:
    if not re.fullmatch(_COMMIT, text.lower()):
        raise mistake("must be a commit's hash: 7 to 64 hexadecimal digits")
    return text.lower()


def _semver(text: str) -> str:
    try:
        SemverRange.parse(text)
    except GitError as error:
        raise mistake('must be a range of versions such as ">=1.2 <2", "^1.2", "~1.2" or "1.x"') from error
    return text


def _git_url(text: str, info: ValidationInfo) -> str:
    try:
        address = GitAddress.parse(text, allow_file=True)
    except GitError as error:
        raise mistake(str(error)) from error
    if address.transport is Transport.FILE and "://" not in text:
        folder = (info.context or {}).get(FOLDER, Path())
        return str(folder / Path(text).expanduser())
    return address.url


def transport_of(url: str) -> Transport | None:
    """Git's transport for an address; None for an invalid one."""
    try:
        return GitAddress.parse(url, allow_file=True).transport
    except GitError:
        return None


def _http_url(text: str) -> str:
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise mistake("must be an address that starts with https:// or http://")
    if "@" in parts.netloc:
        raise mistake("must not hold credentials")
    return text


def _store_url(text: str, info: ValidationInfo) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("sqlite", "postgresql+psycopg"):
        raise mistake("must start with sqlite:/// or postgresql+psycopg://")
    if scheme == "sqlite":
        if not rest.startswith("/") or len(rest) == 1:
            raise mistake("must name a file: sqlite:///relative/path or sqlite:////absolute/path")
        folder = (info.context or {}).get(FOLDER, Path())
        return f"sqlite:///{(folder / rest[1:]).absolute()}"
    parts = _split(text)
    if parts.password is not None:
        raise mistake("must not hold a password: use passwordFile or passwordEnv beside it")
    # A file's path is no secret: sslkey, passfile.
    if any(key.lower().endswith(("password", "options")) for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise mistake("must not hold a password, nor options: use passwordFile or passwordEnv beside it")
    return text


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise mistake("is not an address that can be read") from None
    return parts


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """The address that a server listens on. `host` is a name or an IP address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen_address(text: str) -> ListenAddress:
    """Parses `0.0.0.0:8080`, `[::]:8080`, `localhost:8080`; `:8080` is every IPv4 address, port 0 any free one.

    Raises: ValueError: not such an address; the text is for users.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f'must be HOST:PORT, such as 0.0.0.0:8080 (got "{text}")')
    bare = host.removeprefix("[").removesuffix("]")
    if (":" in host) != (host.startswith("[") and host.endswith("]")) or re.search(r"[\s/@]", host):
        raise ValueError(f'must be HOST:PORT, with an IPv6 address in brackets (got "{text}")')
    return ListenAddress(bare or "0.0.0.0", int(port))  # noqa: S104 - an omitted host means all addresses


def _listen_address(value: Any) -> Any:
    if isinstance(value, ListenAddress):
        return value
    if not isinstance(value, str):
        raise mistake("must be HOST:PORT, such as 0.0.0.0:8080")
    try:
        return parse_listen_address(value)
    except ValueError as error:
        raise mistake(str(error)) from error


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_LABEL}$"})]
"""A DNS label (RFC 1123), as Kubernetes requires it of names."""
NameTemplate = Annotated[str, AfterValidator(_name_template), WithJsonSchema({"type": "string", "pattern": _TEMPLATE})]
"""The same, with or without variables in it, such as {folder}."""
NamespaceTemplate = Annotated[str, AfterValidator(_namespace_template)]
KindOrAny = Annotated[str, AfterValidator(_kind_or_any)]
Variable = Annotated[str, AfterValidator(_variable), WithJsonSchema({"type": "string", "pattern": f"^{_VARIABLE}$"})]
FilePath = Annotated[
    Path, BeforeValidator(_file), WithJsonSchema({"type": "string", "minLength": 1}), PlainSerializer(str)
]
"""A local file; a relative path is resolved against the configuration file's folder."""
FolderPath = Annotated[str, AfterValidator(_folder_pattern)]
"""A path in the repository, normalised: no leading or trailing slash; the root is empty. * is any run of characters
within one folder's name."""
GitRef = Annotated[str, AfterValidator(_git_ref)]
Commit = Annotated[str, AfterValidator(_commit), WithJsonSchema({"type": "string", "pattern": f"^{_COMMIT}$"})]
SemverText = Annotated[str, AfterValidator(_semver)]
GitUrl = Annotated[str, AfterValidator(_git_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
StoreUrl = Annotated[
    str,
    AfterValidator(_store_url),
    WithJsonSchema({"type": "string", "pattern": r"^(sqlite:///|postgresql\+psycopg://)"}),
]
Listen = Annotated[
    ListenAddress,
    BeforeValidator(_listen_address),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^.*:[0-9]{1,5}$", "examples": ["0.0.0.0:8080", "[::]:8080"]}),
]
