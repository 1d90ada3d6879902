"""What Git sees of the world: our configuration only, no prompt, no hook; secrets only on their way to the server."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from driftd.git.address import Transport
from driftd.git.source import Auth, BasicAuth, GitSource, SshAuth, TokenAuth
from driftd.model.errors import DriftdError, GitError
from driftd.model.secret import Secret
from driftd.model.text import has_control_character

_NOWHERE = os.devnull

_SETTINGS = {
    "core.hooksPath": _NOWHERE,
    "core.attributesFile": _NOWHERE,
    "core.fsmonitor": "false",
    "credential.helper": "",
    # Git would start its housekeeping in the background, past any timeout of ours (see repository.py for our own).
    "gc.auto": "0",
    "maintenance.auto": "false",
    # One pack for each fetch, so that housekeeping has packs to count and no heap of loose objects.
    "fetch.unpackLimit": "1",
    "fetch.recurseSubmodules": "false",
    "protocol.version": "2",
    # Damaged or dangerous objects (a `.git` folder or `..` in a tree) are refused as they come in...
    "fetch.fsckObjects": "true",
}

# ... but not the harmless mistakes of old tools, that the histories of well-known repositories are full of.
_OLD_MISTAKES = (
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

_TOO_OPEN = 0o077


@dataclass(frozen=True, slots=True)
class Login:
    """The environment for talking to one remote, and the secrets in it, which no message may show."""

    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Login(...)"


def local(repository: Path) -> dict[str, str]:
    """The environment of a Git that works on one repository on this machine and talks to nobody."""
    return {
        "GIT_DIR": str(repository),
        "GIT_OBJECT_DIRECTORY": str(repository / "objects"),  # GitPython would hand on the one of this process
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": _NOWHERE,
        "GIT_CONFIG_GLOBAL": _NOWHERE,
        "GIT_ATTR_NOSYSTEM": "1",
        "HOME": _NOWHERE,
        "XDG_CONFIG_HOME": _NOWHERE,
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        **_configuration(_settings()),
    }


def login(source: GitSource, global_config: Path) -> Login:
    """What has to be added to `local` for a fetch from this source. The secrets are read now.

    A secret travels in the environment alone: it stands on no command line and in no file. `global_config` is a file
    that may be written, for the one setting that Git takes from nowhere else.
    Raises: GitError: a secret cannot be read, or is none that can be sent.
    """
    address = source.address
    settings = _settings()
    # Ends what hangs without us, should driftd itself be killed meanwhile.
    settings += [("http.lowSpeedLimit", "1"), ("http.lowSpeedTime", str(max(1, int(source.timeout))))]
    # With credentials no redirect is followed: Git would send them on to the other host.
    settings.append(("http.followRedirects", "initial" if source.auth is None else "false"))
    environment = {"GIT_ALLOW_PROTOCOL": address.transport.value}
    secrets: tuple[str, ...] = ()
    match address.transport:
        case Transport.HTTPS:
            environment |= _authorities(source)
            if source.auth is not None:
                username, password = _credentials(source, source.auth)
                encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
                settings.append(("http.extraHeader", f"Authorization: Basic {encoded}"))
                secrets = (password, encoded)
        case Transport.SSH:
            if shutil.which("ssh") is None:
                raise GitError(f"{source}: ssh is not installed, or not on the PATH: it is needed for ssh addresses")
            auth = source.auth if isinstance(source.auth, SshAuth) else SshAuth()
            environment |= {"GIT_SSH_COMMAND": _ssh(source, auth), "GIT_SSH_VARIANT": "ssh"}
        case Transport.FILE:
            # The user named this path, so it is trusted whoever owns it. Only a configuration file may say so.
            value = str(address.path).replace("\\", "\\\\").replace('"', '\\"')
            global_config.write_text(
                f'[safe]\n\tdirectory = "{value}"\n\tdirectory = "{value}/.git"\n', encoding="utf-8"
            )
            environment["GIT_CONFIG_GLOBAL"] = str(global_config)
    return Login(environment | _configuration(settings), secrets)


def unwanted(own: Iterable[str]) -> list[str]:
    """The variables of this process that Git must not see: those that would change what it does, or where.

    They are there, for one, where driftd is started by a Git hook. `own` are those that we set ourselves.
    """
    names = {name for name in os.environ if name.startswith("GIT_") or name in ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE")}
    return sorted(names - {"GIT_EXEC_PATH"} - set(own))


def _settings() -> list[tuple[str, str]]:
    return [*_SETTINGS.items(), *((f"fetch.fsck.{name}", "ignore") for name in _OLD_MISTAKES)]


def _configuration(settings: list[tuple[str, str]]) -> dict[str, str]:
    """Configuration by environment, as git-config(1) describes it under GIT_CONFIG_COUNT."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _authorities(source: GitSource) -> dict[str, str]:
    """Whom to trust: the source's own file, else what the machine's administrator has set for Git, if anything."""
    if source.ca_file is not None:
        return {"GIT_SSL_CAINFO": str(source.ca_file.absolute())}
    return {name: os.environ[name] for name in ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH") if name in os.environ}


def _credentials(source: GitSource, auth: Auth) -> tuple[str, str]:
    match auth:
        case TokenAuth(token, username):
            return username, _read(source, "token", token)
        case BasicAuth(username, password):
            return _read(source, "user's name", username), _read(source, "password", password)
        case SshAuth():
            raise GitError(f"{source}: an ssh key is of no use for https")


def _read(source: GitSource, noun: str, secret: Secret) -> str:
    try:
        text = secret.read()
    except DriftdError as error:
        raise GitError(f"{source}: the {noun} cannot be read: {error}") from error
    if not text:
        raise GitError(f"{source}: the {noun} is empty")
    if has_control_character(text):
        raise GitError(f"{source}: the {noun} has a line break or a control character in it: is it the right file?")
    return text


def _ssh(source: GitSource, auth: SshAuth) -> str:
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
        options |= {"UserKnownHostsFile": _file(source, auth.known_hosts_file), "GlobalKnownHostsFile": _NOWHERE}
    if auth.key_file is not None:
        _check_private(source, auth.key_file)
        options |= {
            "IdentityFile": _file(source, auth.key_file),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PreferredAuthentications": "publickey",
        }
    return shlex.join(["ssh", "-F", "none", *(f"-o{name}={value}" for name, value in options.items())])


def _file(source: GitSource, file: Path) -> str:
    """A path as ssh_config(5) wants it: quoted, for blanks, and with its percent signs doubled."""
    path = str(file.absolute())
    if '"' in path or "${" in path:
        raise GitError(f"{source}: ssh cannot take a path with a quote or ${{ in it: {path}")
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise GitError(f"{source}: {path}: {error.strerror}") from error
    return f'"{path.replace("%", "%%")}"'


def _check_private(source: GitSource, key: Path) -> None:
    """ssh refuses a key that others may read, with a page of text; a short sentence does."""
    try:
        status = key.stat()
    except OSError as error:
        raise GitError(f"{source}: {key}: {error.strerror}") from error
    if status.st_uid == os.getuid() and status.st_mode & _TOO_OPEN:
        raise GitError(f"{source}: {key}: others may read this private key, and ssh refuses it: chmod 600 {key}")
