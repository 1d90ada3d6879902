"""The configuration of apps."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import Field

from driftd.config.duration import Duration, Interval, format_duration, parse_duration
from driftd.config.mistake import mistake
from driftd.config.section import KeyMistake, KeyRule, OneOf, Section
from driftd.config.template import template_mistakes
from driftd.config.values import FolderPath, KindOrAny, Name, NamespaceTemplate, NameTemplate, boolean
from driftd.git.folder_pattern import WILDCARD
from driftd.model.engine import Engine
from driftd.model.plan import Mode, RollbackMode


class HelmConfig(Section):
    """How the chart in the app's folder is rendered."""

    release_name: NameTemplate | None = Field(default=None, description="The release's name; left out: the app's.")
    values_files: tuple[str, ...] = Field(
        default=(),
        description="Values files, later ones win. A path starts at the chart's folder, or with / at the repository's "
        "root, and stays in the repository.",
    )


class AppConfig(Section):
    """One folder of a source, and the cluster that it describes; or, with a * in `path` or with `clusters`, many apps.

    Variables go into `name`, `namespace`, `namespaces`, `cluster` and `helm` then: `{folder}` is the folder's own name,
    `{1}` what the first * of the path stands for, `{2}` the second, and `{cluster}`, in `path` too, the cluster's name.
    """

    rules: ClassVar[tuple[KeyRule, ...]] = (OneOf(("cluster", "clusters")),)

    name: NameTemplate = Field(description="What it is called in reports, metrics and messages. Unique.")
    source: Name = Field(description="The name of its source.")
    path: FolderPath = Field(
        default="",
        description="The folder in the repository; left out: all of it. * is any run of characters within one name: "
        "with it, each folder that is there is an app, as folders come and go.",
    )
    exclude: tuple[FolderPath, ...] = Field(
        default=(), description="With a * in path: folders that are no apps, with all below them. * as there."
    )
    namespace: NameTemplate | None = Field(default=None, description="For objects that name none.")
    namespaces: tuple[NamespaceTemplate, ...] = Field(
        default=(),
        description="Namespaces besides its own that driftd may write to for this app; * for all of them.",
    )
    kinds: tuple[KindOrAny, ...] = Field(
        default=(),
        description="Cluster-scoped kinds that driftd may write for this app: ClusterRole, or with the group "
        "ClusterRole.rbac.authorization.k8s.io; * for all of them.",
    )
    confine_reads: bool | None = Field(
        default=None,
        description="true: what lies outside of its namespaces and kinds is not read, either, and is unknown. "
        "Left out: what confineReads says for all apps.",
    )
    cluster: NameTemplate | None = Field(default=None, description="The name of its cluster; left out: the first one.")
    clusters: tuple[Name, ...] = Field(
        default=(), description="An app for each of these clusters, with {cluster} in its name."
    )
    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="observe: report only. approve: repair when a person says so, by `driftd sync APP`. heal: repair "
        "by itself, and deploy what Git declares.",
    )
    deploys: bool | None = Field(
        default=None,
        description="false: something else deploys the app (Argo CD, Flux, a pipeline). Then heal and `driftd sync` "
        "put back what hands have changed, and leave to it what Git has moved on to. Left out: what deploys says for "
        "all apps.",
    )
    take_over: bool | None = Field(
        default=None,
        description="true: objects that another GitOps deployer keeps, by its marks, are taken over when driftd writes "
        "them. false: they are left to it. Left out: what takeOver says for all apps.",
    )
    rollback: RollbackMode = Field(
        default=RollbackMode.MANUAL,
        description="auto: a revision that is not healthy by its deadline is replaced by the one before, if good.",
    )
    interval: Interval = Field(default=timedelta(minutes=5), description="A full pass even when no event came.")
    engine: Engine = Field(
        default=Engine.CLIENT,
        description="client: compare here, with get, list and watch only. server: ask by dry-run, which needs patch.",
    )
    settle: Duration = Field(
        default=timedelta(seconds=30),
        description="How long each workload has to be healthy, without a break, for a revision to be good.",
    )
    deadline: Interval = Field(
        default=timedelta(minutes=10), description="A revision with a workload that was unhealthy for so long is bad."
    )
    allow_empty: bool = Field(
        default=False, description="Whether the folder may declare nothing. Else that cannot be told from a mistake."
    )
    helm: HelmConfig | None = Field(default=None, description="For a folder that holds a Helm chart.")

    @classmethod
    def mistakes(cls, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        yield from super().mistakes(present)
        if present.get("rollback") == "auto" and present.get("mode", "observe") == "observe":
            yield ("rollback",), mistake("auto works in mode approve or heal: an observed app is never written to")
        if boolean(present.get("takeOver")) and present.get("mode", "observe") == "observe":
            yield ("takeOver",), mistake("true works in mode approve or heal: an observed app is never written to")
        yield from _settle_fits_into_deadline(
            present, *(cls.model_fields[key].default for key in ("settle", "deadline"))
        )
        yield from _values_files_stay_inside(present)
        yield from template_mistakes(present)

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for many apps."""
        return WILDCARD in self.path or bool(self.clusters)


def _settle_fits_into_deadline(
    present: Mapping[str, Any], default_settle: timedelta, default_deadline: timedelta
) -> Iterator[KeyMistake]:
    try:
        settle, deadline = (
            default if text is None else parse_duration(str(text))
            for text, default in (
                (present.get("settle"), default_settle),
                (present.get("deadline"), default_deadline),
            )
        )
    except ValueError:  # told where the key itself is checked
        return
    if settle > deadline:
        key = "settle" if "settle" in present else "deadline"
        yield (
            (key,),
            mistake(
                f"settle ({format_duration(settle)}) must not be longer than deadline ({format_duration(deadline)}): "
                "no revision could be healthy for so long before it counts as bad"
            ),
        )


def _values_files_stay_inside(present: Mapping[str, Any]) -> Iterator[KeyMistake]:
    helm, folder = present.get("helm"), present.get("path", "")
    files = helm.get("valuesFiles") if isinstance(helm, Mapping) else None
    if not isinstance(files, list | tuple) or not isinstance(folder, str):
        return
    for index, file in enumerate(files):
        if isinstance(file, str):
            path = posixpath.normpath(file.lstrip("/") if file.startswith("/") else posixpath.join(folder, file))
            if path == ".." or path.startswith("../") or "://" in file:
                yield ("helm", "valuesFiles", index), mistake("must not lead out of the repository")
