"""An app: one path of one source, deployed to one cluster, and how it is rendered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from driftd.model.engine import Engine
from driftd.model.plan import Mode, RollbackMode


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What rendering needs besides the files.

    `namespace` is that of objects that name none; `release` is Helm's release name. `values_files` are Helm's, in the
    order in which they override each other: relative to the chart, or to the repository's root with a leading `/`.
    `kustomize` and `helm` are programs by name or path; `timeout` is in seconds, for each run of one of them.
    `kube_version` and `api_versions` are what a chart sees as the cluster's capabilities; without them, Helm's own.
    """

    release: str = "release"
    namespace: str = "default"
    values_files: tuple[str, ...] = ()
    kustomize: str = "kustomize"
    helm: str = "helm"
    timeout: float = 60.0
    kube_version: str | None = None
    api_versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class App:
    """One path of one source, deployed to one cluster.

    `settle` is how long everything must be in sync and healthy before a revision is good, `deadline` how long after it
    was applied a revision may take to become healthy before it is bad.
    """

    name: str
    source: str
    cluster: str
    path: str = ""
    namespace: str | None = None
    mode: Mode = Mode.OBSERVE
    rollback: RollbackMode = RollbackMode.MANUAL
    engine: Engine = Engine.CLIENT
    interval: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=30)
    deadline: timedelta = timedelta(minutes=10)
    rendering: RenderOptions = field(default_factory=RenderOptions)
