"""The environment of Git: driftd's settings only, no prompts, no hooks, and the secrets for one remote."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from driftd.git.address import Transport
from driftd.git.source import Auth, BasicAuth, BearerAuth, GitSource, SshAuth, TokenAuth
from driftd.model.errors import DriftdError, GitError
from driftd.model.secret import Secret
from driftd.model.text import has_control_character
from driftd.process.files import check_file

_NO_FILE = os.devnull

_SETTINGS = {
    "core.hooksPath": _NO_FILE,
    "core.attributesFile": _NO_FILE,
    "core.fsmonitor": "false",
    "credential.helper": "",
    # Git would run maintenance in the background, past driftd's deadlines (`RefFetcher.repack` does it instead).
    "gc.auto": "0",
    "maintenance.auto": "false",
    # One pack per fetch instead of loose objects, so that the number of packs says when to repack.
    "fetch.unpackLimit": "1",
    "fetch.recurseSubmodules": "false",
    "protocol.version": "2",
    # Larger blobs are streamed instead of being held in memory.
    "core.bigFileThreshold": "32m",
    # Damaged or dangerous objects (a `.git` folder or `..` in a tree) are refused when fetched...
    "fetch.fsckObjects": "true",
}

# ... but not the harmless mistakes of old tools, which the histories of well-known repositories contain.
_IGNORED_FSCK_MESSAGES = (
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badFilemode",
    "badName",
    "badTimezone",
    "extraHeaderEntry",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingTaggerEntry",
    "multipleAuthors",
    "nulInCommit",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
)

_GROUP_AND_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class RemoteAccess:
    """Environment variables for access to one remote, and the secrets in them, which no message may contain."""

    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "RemoteAccess(...)"


def local_environment(repository: Path, settings: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """The environment of Git for one local repository, without network access. `settings` are added to driftd's."""
    return {
        "GIT_DIR": str(repository),
        "GIT_OBJECT_DIRECTORY": str(repository / "objects"),  # GitPython would pass on this process' own
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": _NO_FILE,
        "GIT_CONFIG_GLOBAL": _NO_FILE,
        "GIT_ATTR_NOSYSTEM": "1",
        "HOME": _NO_FILE,
        "XDG_CONFIG_HOME": _NO_FILE,
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        **_config_variables([*_settings(), *settings]),
    }


def remote_access(source: GitSource, global_config: Path) -> RemoteAccess:
    """What a fetch from this source adds to `local_environment`. Reads the secrets.

    Secrets are passed in the environment only: neither on a command line nor in a file. `global_config` is a path to
    write to, for the one setting that Git reads from nowhere else (`safe.directory`).
    Raises: GitError: a secret cannot be read, or cannot be sent.
    """
    address = source.address
    settings = _settings()
    # Ends a hanging transfer even if driftd is killed meanwhile.
    settings += [("http.lowSpeedLimit", "1"), ("http.lowSpeedTime", str(max(1, int(source.timeout))))]
    # With credentials, redirects are not followed: Git would send them to the other host.
    anonymous = source.auth is None and source.client_certificate is None
    settings.append(("http.followRedirects", "initial" if anonymous else "false"))
    environment = {"GIT_ALLOW_PROTOCOL": address.transport.value}
    secrets: tuple[str, ...] = ()
    match address.transport:
        case Transport.HTTPS:
            environment |= _tls_variables(source)
            if source.auth is not None:
                authorization, secrets = _authorization(source, source.auth)
                settings.append(("http.extraHeader", f"Authorization: {authorization}"))
            if source.proxy is not None:
                proxy = _read_secret(source, "proxy", source.proxy)
                settings.append(("http.proxy", proxy))
                secrets += (proxy,)
        case Transport.SSH:
            if shutil.which("ssh") is None:
                raise GitError(f"{source}: ssh is not installed, or not on the PATH: it is needed for ssh addresses")
            auth = source.auth if isinstance(source.auth, SshAuth) else SshAuth()
            environment |= {"GIT_SSH_COMMAND": _ssh_command(source, auth), "GIT_SSH_VARIANT": "ssh"}
        case Transport.FILE:
            # The user configured this path, so it is trusted whoever owns it. Git accepts that from a file only.
            value = str(address.path).replace("\\", "\\\\").replace('"', '\\"')
            global_config.write_text(
                f'[safe]\n\tdirectory = "{value}"\n\tdirectory = "{value}/.git"\n', encoding="utf-8"
            )
            environment["GIT_CONFIG_GLOBAL"] = str(global_config)
    return RemoteAccess(environment | _config_variables(settings), secrets)


def inherited_variables(own: Iterable[str]) -> list[str]:
    """The variables of this process that would configure Git, and so have to be unset. `own` are those driftd sets.

    Such variables exist when a Git hook starts driftd, for example.
    """
    names = {name for name in os.environ if name.startswith("GIT_") or name in ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE")}
    return sorted(names - {"GIT_EXEC_PATH"} - set(own))


def _settings() -> list[tuple[str, str]]:
    return [*_SETTINGS.items(), *((f"fetch.fsck.{name}", "ignore") for name in _IGNORED_FSCK_MESSAGES)]


def _config_variables(settings: list[tuple[str, str]]) -> dict[str, str]:
    """Settings as environment variables. Source: git-config(1), GIT_CONFIG_COUNT."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _tls_variables(source: GitSource) -> dict[str, str]:
    """The certificate authorities to trust: the source's own, else those that this machine sets for Git, if any.

    And the certificate to show.
    """
    variables = {name: os.environ[name] for name in ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH") if name in os.environ}
    if source.ca_file is not None:
        _check_file(source, source.ca_file)
        variables = {"GIT_SSL_CAINFO": str(source.ca_file.absolute())}
    if (own := source.client_certificate) is not None:
        for file in (own.certificate_file, own.key_file):
            _check_file(source, file)
        variables |= {"GIT_SSL_CERT": str(own.certificate_file), "GIT_SSL_KEY": str(own.key_file)}
    return variables


def _authorization(source: GitSource, auth: Auth) -> tuple[str, tuple[str, ...]]:
    """The header's value, and the secrets in it."""
    match auth:
        case TokenAuth(token, username):
            password = _read_secret(source, "token", token)
        case BasicAuth(user, secret):
            username, password = _read_secret(source, "user's name", user), _read_secret(source, "password", secret)
        case BearerAuth(token):
            bearer = _read_secret(source, "token", token)
            return f"Bearer {bearer}", (bearer,)
        case SshAuth():
            raise GitError(f"{source}: an ssh key is of no use for https")
    encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
    return f"Basic {encoded}", (password, encoded)


def _read_secret(source: GitSource, noun: str, secret: Secret) -> str:
    try:
        text = secret.read()
    except DriftdError as error:
        raise GitError(f"{source}: the {noun} cannot be read: {error}") from error
    if not text:
        raise GitError(f"{source}: the {noun} is empty")
    if has_control_character(text):
        raise GitError(f"{source}: the {noun} has a line break or a control character in it: is it the right file?")
    return text


def _ssh_command(source: GitSource, auth: SshAuth) -> str:
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "ClearAllForwardings": "yes",
        "ControlPath": "none",
        "PermitLocalCommand": "no",
        "ConnectTimeout": str(max(1, int(source.timeout))),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
    }
    if auth.known_hosts_file is not None:
        options |= {"UserKnownHostsFile": _quoted_path(source, auth.known_hosts_file), "GlobalKnownHostsFile": _NO_FILE}
    if auth.key_file is not None:
        _check_key_mode(source, auth.key_file)
        options |= {
            "IdentityFile": _quoted_path(source, auth.key_file),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PreferredAuthentications": "publickey",
        }
    return shlex.join(["ssh", "-F", "none", *(f"-o{name}={value}" for name, value in options.items())])


def _quoted_path(source: GitSource, file: Path) -> str:
    """A path in the syntax of ssh_config(5): quoted, for blanks, and with percent signs doubled."""
    path = str(file.absolute())
    if '"' in path or "${" in path:
        raise GitError(f"{source}: ssh cannot take a path with a quote or ${{ in it: {path}")
    _check_file(source, file)
    return f'"{path.replace("%", "%%")}"'


def _check_file(source: GitSource, file: Path) -> None:
    try:
        check_file(file)
    except OSError as error:
        raise GitError(f"{source}: {file.absolute()}: {error.strerror}") from error


def _check_key_mode(source: GitSource, key: Path) -> None:
    """Refuses a key that others may read: ssh would too, but with a page of text."""
    try:
        status = key.stat()
    except OSError as error:
        raise GitError(f"{source}: {key}: {error.strerror}") from error
    if status.st_uid == os.getuid() and status.st_mode & _GROUP_AND_OTHERS:
        raise GitError(f"{source}: {key}: others may read this private key, and ssh refuses it: chmod 600 {key}")
