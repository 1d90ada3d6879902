"""Apps, and how they are rendered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase

from driftd.model.engine import Engine
from driftd.model.plan import Mode, RollbackMode


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What charts may ask of their cluster: its version (`v1.37.2`), and the API versions that it serves.

    The latter are as Helm has them: `apps/v1`, and `apps/v1/Deployment` for each kind.
    """

    kube_version: str
    api_versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlainFiles:
    """Which files of a folder are read that has neither a kustomization file nor a chart.

    Those of its subfolders, too, if `recurse`; only those whose path in the folder matches `include`, and none that
    matches `exclude`. Both are patterns as Argo CD has them: `*` stands for any text, `{a,b}` for one of several.
    """

    recurse: bool = True
    include: str = ""
    exclude: str = ""
    source_ignore: str | None = None
    """Patterns as of `.gitignore` of what Flux leaves out of a repository, besides those of `.sourceignore` files; None
    where it is not Flux that deploys, so that there are no such files."""


@dataclass(frozen=True, slots=True)
class HelmParameter:
    """One value that is set by its path, as by `helm --set`; as a text, whatever it looks like, if `is_string`."""

    name: str
    value: str
    is_string: bool = False


@dataclass(frozen=True, slots=True)
class ExcludedKinds:
    """Kinds that a deployer leaves out, by patterns of groups and kinds (`*.cilium.io`); none means all."""

    groups: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def covers(self, group: str, kind: str) -> bool:
        return _is_any(self.groups, group) and _is_any(self.kinds, kind)


def _is_any(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """Inputs of rendering other than the files.

    `namespace` applies to objects that name none; `release` is Helm's release name. `values_files` are Helm's, each
    overriding those before it: relative to the chart or, with a leading `/`, to the repository's root. `kustomize` and
    `helm` are programs by name or path; `timeout` is in seconds, for each run of one of them. `kube_version` and
    `api_versions` are the cluster's capabilities for charts; without them, Helm's defaults. `allow_empty` says that a
    folder that declares nothing is no error.

    What a deployer adds to the files: `edits`, fields (as JSON) that it writes into the folder's own kustomization file
    (see `driftd.render.kustomization_edits`); `labels` and `annotations`, which it sets in all objects in the end;
    `values`, further values of Helm (YAML or JSON), which win over the files; `parameters`, which win over these, and
    so do `file_parameters`, names of values with the files whose contents they are; `substitutions`, the values of
    Flux' variables by name (without any, none is replaced). `overrides` are files of the folder that change all this,
    and that driftd does not read: where one of them is there, the folder cannot be rendered.
    """

    release: str = "release"
    namespace: str = "default"
    values_files: tuple[str, ...] = ()
    kustomize: str = "kustomize"
    helm: str = "helm"
    timeout: float = 60.0
    kube_version: str | None = None
    api_versions: tuple[str, ...] = ()
    allow_empty: bool = False
    plain: PlainFiles = PlainFiles()
    edits: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    values: tuple[str, ...] = field(default=(), repr=False)
    parameters: tuple[HelmParameter, ...] = field(default=(), repr=False)
    file_parameters: tuple[tuple[str, str], ...] = ()
    skip_crds: bool = False
    ignore_missing_values_files: bool = False
    substitutions: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secret_substitutions: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    overrides: tuple[str, ...] = ()

    def for_cluster(self, capabilities: Capabilities) -> RenderOptions:
        """The same options for a chart that is rendered for a cluster."""
        return replace(self, kube_version=capabilities.kube_version, api_versions=capabilities.api_versions)


@dataclass(frozen=True, slots=True)
class App:
    """One path of one source, deployed to one cluster.

    A revision is good after it has been in sync and healthy for `settle`, and bad if it is not healthy `deadline` after
    it was applied. It is written to its own namespace, to `namespaces`, and to the cluster-scoped `kinds`; with
    `confine_reads`, nothing else is read, either. What is `excluded` is not deployed, whatever declares it. Where
    driftd does not `deploys` it, somebody else brings in what Git declares: driftd puts back what hands have changed,
    and never writes what nobody has deployed. Where it does, what another deployer keeps is left to that one, unless
    driftd is to `take_over` what it writes.
    """

    name: str
    source: str
    cluster: str
    path: str = ""
    namespace: str | None = None
    namespaces: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    confine_reads: bool = False
    excluded: tuple[ExcludedKinds, ...] = ()
    mode: Mode = Mode.OBSERVE
    deploys: bool = True
    take_over: bool = False
    rollback: RollbackMode = RollbackMode.MANUAL
    engine: Engine = Engine.CLIENT
    interval: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=30)
    deadline: timedelta = timedelta(minutes=10)
    rendering: RenderOptions = field(default_factory=RenderOptions)
