"""Kubeconfig files, merged and resolved to one context as kubectl does it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from driftd.model.errors import ConfigError


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
    Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files", merging rules.
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


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise _error(str(path), f"kubeconfig {path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        # from None: PyYAML's message quotes the surrounding lines, which may contain a token.
        raise _error(str(path), f"kubeconfig {path}{place} is not YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _error(str(path), f"kubeconfig {path} is not YAML") from None
    if not isinstance(document, dict):
        raise _error(str(path), f"kubeconfig {path} is empty, or not a map")
    return document


def _entries(documents: Sequence[tuple[Path, Mapping[str, Any]]], section: str, key: str) -> dict[str, KubeconfigEntry]:
    entries: dict[str, KubeconfigEntry] = {}
    for path, document in documents:
        listed = document.get(section) or []
        if not isinstance(listed, list):
            raise _error(str(path), f"kubeconfig {path}: {section} is not a list")
        for index, item in enumerate(listed):
            fields = (item.get(key) or {}) if isinstance(item, dict) else None
            if not isinstance(fields, dict) or not item.get("name"):
                raise _error(str(path), f"kubeconfig {path}: {section}[{index}] needs a name and a map {key!r}")
            entries.setdefault(str(item["name"]), KubeconfigEntry(str(item["name"]), fields, path.absolute().parent))
    return entries


def _error(file: str, mistake: str) -> ConfigError:
    return ConfigError(file, [mistake])
