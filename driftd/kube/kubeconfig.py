"""Which cluster is meant: kubeconfig files, merged and resolved to one context as kubectl does it."""

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
    """How to reach one cluster.

    Neither file nor context: the cluster that driftd runs in, else the usual kubeconfig.
    """

    name: str
    kubeconfig: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One named entry of a kubeconfig. Relative paths in it start from `folder`."""

    name: str
    fields: Mapping[str, Any] = field(repr=False)  # may hold keys and tokens
    folder: Path


@dataclass(frozen=True, slots=True)
class Context:
    """A context with the cluster and the user it names."""

    name: str
    namespace: str
    cluster: Entry
    user: Entry
    file: Path

    @property
    def origin(self) -> str:
        """Where it came from, for messages."""
        return f"kubeconfig {self.file}, context {self.name!r}"


def usual_files(environ: Mapping[str, str]) -> list[Path]:
    """The files of $KUBECONFIG, or ~/.kube/config: those that exist.

    Raises: ConfigError: there is none.
    """
    listed = environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in listed.split(os.pathsep) if part] or [
        Path(environ.get("HOME") or "~").expanduser() / ".kube" / "config"
    ]
    files = [path for path in paths if path.exists()]
    if not files:
        where = " nor ".join(str(path) for path in paths)
        raise _broken(
            str(paths[0]),
            f"no cluster to talk to: neither inside one, nor is there a kubeconfig at {where}; "
            "name one (--kubeconfig, or KUBECONFIG)",
        )
    return files


def read_context(files: Sequence[Path], wanted: str | None) -> Context:
    """Merges the files (for every name, and for current-context, the first file wins) and picks one context.

    Raises: ConfigError: a file is missing or malformed, or there is no such context, cluster or user.
    Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files", merging rules.
    """
    documents = [(path, _read(path)) for path in files]
    file = str(files[0])
    contexts = _entries(documents, "contexts", "context")
    known = ", ".join(sorted(contexts)) or "none"
    name = wanted or next((str(d["current-context"]) for _, d in documents if d.get("current-context")), None)
    if name is None:
        raise _broken(file, f"kubeconfig {file} has no current-context; name one of: {known}")
    context = contexts.get(name)
    if context is None:
        raise _broken(file, f"kubeconfig {file} has no context {name!r}; it has: {known}")
    cluster_name, user_name = (str(context.fields.get(key) or "") for key in ("cluster", "user"))
    cluster = _entries(documents, "clusters", "cluster").get(cluster_name)
    if cluster is None or not cluster.fields.get("server"):
        raise _broken(file, f"kubeconfig {file}: context {name!r} names cluster {cluster_name!r}, which has no server")
    user = _entries(documents, "users", "user").get(user_name)
    if user is None:
        if user_name:
            raise _broken(file, f"kubeconfig {file}: context {name!r} names user {user_name!r}, which is not there")
        user = Entry("", {}, cluster.folder)
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
        raise _broken(str(path), f"kubeconfig {path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        # from None: PyYAML's own text quotes the lines around the mistake, and those may hold a token.
        raise _broken(str(path), f"kubeconfig {path}{place} is not YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _broken(str(path), f"kubeconfig {path} is not YAML") from None
    if not isinstance(document, dict):
        raise _broken(str(path), f"kubeconfig {path} is empty, or not a map")
    return document


def _entries(documents: Sequence[tuple[Path, Mapping[str, Any]]], section: str, key: str) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for path, document in documents:
        listed = document.get(section) or []
        if not isinstance(listed, list):
            raise _broken(str(path), f"kubeconfig {path}: {section} is not a list")
        for index, item in enumerate(listed):
            fields = (item.get(key) or {}) if isinstance(item, dict) else None
            if not isinstance(fields, dict) or not item.get("name"):
                raise _broken(str(path), f"kubeconfig {path}: {section}[{index}] needs a name and a map {key!r}")
            entries.setdefault(str(item["name"]), Entry(str(item["name"]), fields, path.absolute().parent))
    return entries


def _broken(file: str, mistake: str) -> ConfigError:
    return ConfigError(file, [mistake])
