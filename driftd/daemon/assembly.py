"""Translation of the configuration into the values that each room takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.rules.field_managers import Controller, DeployerRow, Managers, WrittenFields, built_in_managers
from driftd.diff.rules.ignore import IgnoreRuleSet, parse_rules
from driftd.git.source import Auth, BasicAuth, GitSource, Ref, RefKind, SshAuth, TokenAuth
from driftd.kube.kubeconfig import ClusterAccess
from driftd.model.app import App, RenderOptions

if TYPE_CHECKING:  # the configuration takes a quarter of a second to import, and not every command has one
    from driftd.config.app import AppConfig
    from driftd.config.ignore import ManagersConfig
    from driftd.config.settings import ClusterConfig, Config
    from driftd.config.source import SourceConfig

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def git_source(source: SourceConfig) -> GitSource:
    """A source for git/. Raises: GitError."""
    auth = source.auth
    return GitSource(
        name=source.name,
        url=source.url,
        ref=_ref(source),
        auth=_auth(source),
        timeout=source.timeout.total_seconds(),
        allow_file=True,  # the configuration was validated: a path is intended
        ca_file=auth.ca_file if auth else None,
    )


def cluster_access(cluster: ClusterConfig) -> ClusterAccess:
    return ClusterAccess(cluster.name, cluster.kubeconfig, cluster.context)


def app_of(app: AppConfig, config: Config) -> App:
    """An app with its settings from the configuration."""
    helm = app.helm
    return App(
        name=app.name,
        source=app.source,
        cluster=config.cluster_of(app).name,
        path=app.path,
        namespace=app.namespace,
        namespaces=frozenset(app.namespaces),
        kinds=frozenset(app.kinds),
        confine_reads=config.confine_reads if app.confine_reads is None else app.confine_reads,
        mode=app.mode,
        deploys=config.deploys if app.deploys is None else app.deploys,
        take_over=config.take_over if app.take_over is None else app.take_over,
        rollback=app.rollback,
        engine=app.engine,
        interval=app.interval,
        settle=app.settle,
        deadline=app.deadline,
        rendering=RenderOptions(
            release=(helm.release_name if helm else None) or app.name,
            namespace=app.namespace or "default",
            values_files=helm.values_files if helm else (),
            allow_empty=app.allow_empty,
        ),
    )


def comparison_of(config: Config | None, key: bytes) -> Comparison:
    """A comparison with the ignore rules and managers of the configuration; `key` redacts secrets."""
    if config is None:
        return Comparison(Redactor(key))
    rules = parse_rules([rule.model_dump(exclude_none=True) for rule in config.ignore])
    return Comparison(Redactor(key), _managers(config.managers), ignore_rules=IgnoreRuleSet(rules))


def _managers(extra: ManagersConfig) -> Managers:
    """The field managers that driftd knows, and those of the configuration."""
    controllers = [Controller((pattern,), WrittenFields()) for pattern in extra.controllers]
    controllers += [
        Controller(_listed(row.manager), WrittenFields(_listed(row.path), _listed(row.kind or ())))
        for row in extra.writes
    ]
    deployers = [DeployerRow((pattern,)) for pattern in extra.deployers]
    deployers += [DeployerRow(_listed(row.manager), _listed(row.path)) for row in extra.marks]
    return built_in_managers().extended(controllers=tuple(controllers), deployers=tuple(deployers))


def _listed(patterns: str | Sequence[str]) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _ref(source: SourceConfig) -> Ref:
    ref = source.ref
    if ref is None:
        return Ref()
    for kind, value in (
        (RefKind.BRANCH, ref.branch),
        (RefKind.TAG, ref.tag),
        (RefKind.SEMVER, ref.semver),
        (RefKind.COMMIT, ref.commit),
    ):
        if value is not None:
            return Ref(kind, value)
    return Ref()


def _auth(source: SourceConfig) -> Auth | None:
    auth = source.auth
    if auth is None:
        return None
    if auth.token is not None:
        return TokenAuth(auth.token, auth.user.read()) if auth.user else TokenAuth(auth.token)
    if auth.password is not None and auth.user is not None:
        return BasicAuth(auth.user, auth.password)
    if auth.ssh_key_file is not None or auth.known_hosts_file is not None:
        return SshAuth(auth.ssh_key_file, auth.known_hosts_file)
    return None
