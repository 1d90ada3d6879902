"""Argo CD's Applications as apps.

Source: argo-cd 3.6, pkg/apis/application/v1alpha1/types.go and reposerver/repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from driftd.discovery.argo_ignore import excluded_kinds, ignore_rules, system_rules
from driftd.discovery.argo_logins import ArgoLogins
from driftd.discovery.argo_rendering import helm_options, kustomize_edits, plain_files
from driftd.discovery.argo_sources import AppliedSource, FilesOfOthers
from driftd.discovery.argo_sync import PendingSync, pending_sync, synced_sources
from driftd.discovery.build_environment import BuildEnvironment
from driftd.discovery.deployed import DeployedApp, NotJudged, Object, Unsupported, app_name, items, section, text
from driftd.discovery.login import Login
from driftd.model.app import App, RenderOptions
from driftd.model.deployer import Deployer
from driftd.model.errors import DriftdError
from driftd.model.next_deployment import NextDeployment, PendingRevision

APPLICATION = ("argoproj.io", "Application")

_THIS_CLUSTER = frozenset({"https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"})
_IN_CLUSTER = "in-cluster"
_OVERRIDES = (".argocd-source.yaml", ".argocd-source-{}.yaml")
"""Files in an Application's folder that change its parameters, as the Image Updater writes them."""


def deployed_by_application(
    application: Object, cluster: str, logins: ArgoLogins | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[DeployedApp | NotJudged]:
    """What an Application deploys, an app for each of its sources.

    `logins` are those that its Argo CD has, `settings` its ConfigMap of these.
    """
    logins = logins or ArgoLogins()
    name = app_name("application", application)
    try:
        _require_this_cluster(application)
        sources, pending = _applied(application), pending_sync(application)
        ignored = (*ignore_rules(application), *system_rules(settings or {}))
        excluded = excluded_kinds(settings or {})
        several = len([source for source in sources if not source.is_reference]) > 1
        for number, source in enumerate(sources, 1):
            if source.is_reference:
                continue
            each = f"{name}#{number}" if several else name
            try:
                found = _deployed(each, application, source, sources, cluster, logins)
                next_ = _next(found, application, pending, number - 1, logins)
                yield replace(found, app=replace(found.app, excluded=excluded), ignore=ignored, next=next_)
            except (Unsupported, DriftdError) as error:
                yield NotJudged(each, str(error), _repositories(application))
    except (Unsupported, DriftdError) as error:
        yield NotJudged(name, str(error), _repositories(application))


def _require_this_cluster(application: Object) -> None:
    destination = section(application, "spec", "destination")
    server, name = text(destination, "server"), text(destination, "name")
    if server.rstrip("/") not in _THIS_CLUSTER and name != _IN_CLUSTER:
        raise Unsupported(
            f"it deploys to another cluster ({server or name or 'none is named'}): run driftd there, "
            "or configure that cluster"
        )


def _applied(application: Object) -> list[AppliedSource]:
    """The sources that were applied last, and what of each.

    The history says it; the specification may have been changed since, and not been synced yet.
    """
    history = items(section(application, "status"), "history")
    latest = history[-1] if history and isinstance(history[-1], Mapping) else None
    if latest is None:
        raise Unsupported("Argo CD has not synced it yet")
    applied = synced_sources(latest, latest)
    if applied is None:
        raise Unsupported("its last sync does not say which commit of each source was applied")
    return applied


def _repositories(application: Object) -> tuple[str, ...]:
    """The addresses of all of its sources: values files of a chart may come from another one than the chart."""
    spec = section(application, "spec")
    sources = [section(spec, "source"), *(each for each in items(spec, "sources") if isinstance(each, Mapping))]
    return tuple([text(source, "repoURL") for source in sources if text(source, "repoURL")])


def _next(
    deployed: DeployedApp, application: Object, pending: PendingSync | None, number: int, logins: ArgoLogins
) -> NextDeployment | None:
    """What of one source is still to be synced."""
    if pending is None:
        return None
    unknown = PendingRevision(Deployer.ARGO.product, None, pending.reason)
    target, app = pending.target, deployed.app
    if target is None or number >= len(target):
        return NextDeployment(app, unknown)
    try:
        then = _deployed(app.name, application, target[number], target, app.cluster, logins)
    except (Unsupported, DriftdError) as error:  # what is deployed now is judged all the same
        reason = f"driftd cannot render what it is to deploy: {error}"
        return NextDeployment(app, replace(unknown, reason=reason))
    if then.commit == deployed.commit and then.app == app:
        return None
    return NextDeployment(then.app, replace(unknown, revision=then.commit))


def _deployed(
    name: str,
    application: Object,
    applied: AppliedSource,
    all_applied: Sequence[AppliedSource],
    cluster: str,
    logins: ArgoLogins,
) -> DeployedApp:
    def login_of(url: str) -> Login:
        return logins.of(url, text(section(application, "spec"), "project"))

    body, helm = applied.body, section(applied.body, "helm")
    if "plugin" in body:
        raise Unsupported("a config management plugin renders it")
    source = applied.source(login_of)
    environment = BuildEnvironment.of(application, body, applied.revision)
    others = {text(each.body, "ref"): each for each in all_applied if text(each.body, "ref")}
    files = FilesOfOthers(applied, others, environment)
    options = helm_options(helm, environment, files.path)
    namespace = text(section(application, "spec", "destination"), "namespace") or None
    app = App(
        name=name,
        source=applied.url,
        cluster=cluster,
        path=applied.path,
        namespace=namespace,
        deploys=False,
        rendering=RenderOptions(
            release=text(helm, "releaseName") or application["metadata"]["name"],
            namespace=text(helm, "namespace") or namespace or "default",
            plain=plain_files(section(body, "directory")),
            overrides=tuple([each.format(application["metadata"]["name"]) for each in _OVERRIDES]),
            edits=kustomize_edits(section(body, "kustomize"), environment),
            **options,
        ),
    )
    composed, commit = files.added_to(source, login_of)
    return DeployedApp(app, composed, commit)
