"""Kubeconfig files, merged and resolved to one context as kubectl does it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from driftd.model.errors import ConfigError
from driftd.process.files import read_file

_MAX_DEPTH = 40
_MAX_NODES = 100_000
"""Limits of a kubeconfig file: some have hundreds of clusters, each with a certificate."""

_TEXT: tuple[type, ...] = (str, int, float, date)
"""YAML reads a token of digits as a number, and one like a date as a date."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(
        (
            *("server", "proxy-url", "tls-server-name", "certificate-authority", "certificate-authority-data"),
            *("client-certificate", "client-certificate-data", "client-key", "client-key-data", "token", "tokenFile"),
            *("username", "password", "as", "as-uid", "namespace", "cluster", "user"),
        ),
        _TEXT,
    ),
    **dict.fromkeys(("insecure-skip-tls-verify", "disable-compression"), (bool,)),
    **dict.fromkeys(("as-groups", "extensions"), (list,)),
    **dict.fromkeys(("as-user-extra", "exec", "auth-provider"), (dict,)),
}
_TYPE_NAMES: Mapping[tuple[type, ...], str] = {
    _TEXT: "text",
    (bool,): "true or false",
    (list,): "a list",
    (dict,): "a map",
}


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where the configuration of one cluster is.

    With neither file nor context: the cluster that driftd runs in, else the default kubeconfig. `name` is what reports
    call it; None for the name of its context.
    """

    name: str | None
    kubeconfig: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class KubeconfigEntry:
    """One named entry of a kubeconfig. Its relative paths start at `folder`."""

    name: str
    fields: Mapping[str, Any] = field(repr=False)  # may contain keys and tokens
    folder: Path


@dataclass(frozen=True, slots=True)
class Context:
    """A context with its cluster and user."""

    name: str
    namespace: str
    cluster: KubeconfigEntry
    user: KubeconfigEntry
    file: Path

    @property
    def origin(self) -> str:
        """File and context, for messages."""
        return f"kubeconfig {self.file}, context {self.name!r}"


def default_files(environ: Mapping[str, str]) -> list[Path]:
    """The existing files of $KUBECONFIG, or ~/.kube/config. Raises: ConfigError: there is none."""
    listed = environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in listed.split(os.pathsep) if part] or [
        Path(environ.get("HOME") or "~").expanduser() / ".kube" / "config"
    ]
    files = [path for path in paths if path.exists()]
    if not files:
        where = " nor ".join(str(path) for path in paths)
        raise _error(
            str(paths[0]),
            f"no cluster to talk to: neither inside one, nor is there a kubeconfig at {where}; "
            "name one (--kubeconfig, or KUBECONFIG)",
        )
    return files


def load_context(files: Sequence[Path], context_name: str | None) -> Context:
    """Merges the files (the first one wins, for each name and for current-context) and resolves one context.

    Raises: ConfigError: a file is missing or malformed, or there is no such context, cluster or user.
    Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files", merging rules; that a name is twice in
    one file is refused as in client-go (`clientcmd/api/v1/conversion.go`).
    """
    documents = [(path, _read(path)) for path in files]
    file = str(files[0])
    contexts = _entries(documents, "contexts", "context")
    available = ", ".join(sorted(contexts)) or "none"
    name = context_name or next((str(d["current-context"]) for _, d in documents if d.get("current-context")), None)
    if name is None:
        raise _error(file, f"kubeconfig {file} has no current-context; name one of: {available}")
    context = contexts.get(name)
    if context is None:
        raise _error(file, f"kubeconfig {file} has no context {name!r}; it has: {available}")
    cluster_name, user_name = (str(context.fields.get(key) or "") for key in ("cluster", "user"))
    cluster = _entries(documents, "clusters", "cluster").get(cluster_name)
    if cluster is None or not cluster.fields.get("server"):
        raise _error(file, f"kubeconfig {file}: context {name!r} names cluster {cluster_name!r}, which has no server")
    user = _entries(documents, "users", "user").get(user_name)
    if user is None:
        if user_name:
            raise _error(file, f"kubeconfig {file}: context {name!r} names user {user_name!r}, which is not there")
        user = KubeconfigEntry("", {}, cluster.folder)
    return Context(
        name=name,
        namespace=str(context.fields.get("namespace") or "default"),
        cluster=cluster,
        user=user,
        file=files[0],
    )


class _Loader(yaml.SafeLoader):
    """Reads YAML without what only an attack has in a kubeconfig: nesting, and merges that multiply."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise yaml.YAMLError("nested too deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MAX_NODES:
            raise yaml.YAMLError("merges too much")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = _parsed(read_file(path))
    except OSError as error:
        raise _error(str(path), f"kubeconfig {path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        # from None: PyYAML's message quotes the surrounding lines, which may contain a token.
        raise _error(str(path), f"kubeconfig {path}{place} is not YAML") from None
    except (yaml.YAMLError, ValueError, ArithmeticError, TypeError, RecursionError):
        # PyYAML raises any of these for scalars that it takes for a number or a date.
        raise _error(str(path), f"kubeconfig {path} is not YAML that a kubeconfig can be written in") from None
    if not isinstance(document, dict):
        raise _error(str(path), f"kubeconfig {path} is empty, or not a map")
    return document


def _parsed(data: bytes) -> Any:
    """Raises: yaml.YAMLError: it is no YAML, or of a shape that no kubeconfig has; what PyYAML raises besides."""
    loader = _Loader(data)
    try:
        document = loader.get_single_data()
    finally:
        loader.dispose()
    nodes = [(document, 0)]
    for seen in count():
        if not nodes:
            return document
        value, depth = nodes.pop()
        if seen > _MAX_NODES or depth > _MAX_DEPTH:  # aliases may repeat a value, or hold themselves
            raise yaml.YAMLError("holds itself, or too much")
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        nodes += [(item, depth + 1) for item in below]
    return document


def _entries(documents: Sequence[tuple[Path, Mapping[str, Any]]], section: str, key: str) -> dict[str, KubeconfigEntry]:
    entries: dict[str, KubeconfigEntry] = {}
    for path, document in documents:
        listed = document.get(section) or []
        if not isinstance(listed, list):
            raise _error(str(path), f"kubeconfig {path}: {section} is not a list")
        names: set[str] = set()
        for index, item in enumerate(listed):
            fields = (item.get(key) or {}) if isinstance(item, dict) else None
            if not isinstance(fields, dict) or not item.get("name"):
                raise _error(str(path), f"kubeconfig {path}: {section}[{index}] needs a name and a map {key!r}")
            name = str(item["name"])
            if name in names:
                raise _error(str(path), f"kubeconfig {path}: {section} has {name!r} twice: which one is meant?")
            names.add(name)
            _check_types(path, section, name, fields)
            entries.setdefault(name, KubeconfigEntry(name, fields, path.absolute().parent))
    return entries


def _check_types(path: Path, section: str, name: str, fields: Mapping[str, Any]) -> None:
    """Raises: ConfigError: a field has another type than kubectl reads: it would mean another identity, or none."""
    for key, value in fields.items():
        expected = _TYPES.get(key)
        if expected is None or value is None or isinstance(value, expected):
            continue
        raise _error(str(path), f"kubeconfig {path}: {section} {name!r}: {key} is not {_TYPE_NAMES[expected]}")


def _error(file: str, mistake: str) -> ConfigError:
    return ConfigError(file, [mistake])
