"""The configuration as a whole, and its sections about driftd itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from driftd.config.app import AppConfig
from driftd.config.duration import Interval
from driftd.config.folders import cache_folder, default_database
from driftd.config.ignore import IgnoreConfig, ManagersConfig
from driftd.config.logs import LogFormat, LogLevel
from driftd.config.mistake import mistake
from driftd.config.notify import NotifyConfig
from driftd.config.secret import SecretFile, SecretReference, secret_reference
from driftd.config.section import KeyMistake, KeyRule, OneOf, Section
from driftd.config.source import SourceConfig
from driftd.config.values import FILE, FilePath, Listen, ListenAddress, Name, StoreUrl, Variable
from driftd.model.deployer import Deployer

DEFAULT_CLUSTER = "default"
"""Name of the only cluster of a configuration without clusters."""


class ClusterConfig(Section):
    """A cluster, and how to reach it."""

    name: Name = Field(description="What apps call it. Unique.")
    kubeconfig: FilePath | None = Field(
        default=None, description="A kubeconfig file; left out: in-cluster, else $KUBECONFIG or ~/.kube/config."
    )
    context: str | None = Field(default=None, description="The context in it; left out: the current one.")


class StoreConfig(Section):
    """Where history, revisions and unsent messages are kept."""

    rules: ClassVar[tuple[KeyRule, ...]] = (OneOf(("passwordFile", "passwordEnv")),)

    url: StoreUrl | None = Field(
        default=None,
        description="sqlite:////absolute/file or postgresql+psycopg://user@host/database; left out: SQLite in the "
        "folder for driftd's state, a file for each configuration.",
    )
    password_file: FilePath | None = Field(default=None, description="PostgreSQL: a file that holds the password.")
    password_env: Variable | None = Field(default=None, description="PostgreSQL: a variable that holds the password.")

    @property
    def password(self) -> SecretReference | None:
        return secret_reference("store.password", self.password_file, self.password_env)


class AuditConfig(Section):
    """Taking the API server's audit events, which name the user behind a change, at https://LISTEN/audit.

    By TLS only: the API server shows its token to nobody else.
    """

    rules: ClassVar[tuple[KeyRule, ...]] = (OneOf(("tokenFile", "tokenEnv"), required=True),)

    token_file: FilePath | None = Field(default=None, description="A file that holds the token to be shown.")
    token_env: Variable | None = Field(default=None, description="A variable that holds the token to be shown.")

    listen: Listen = Field(
        default=ListenAddress("127.0.0.1", 8443),
        description="HOST:PORT. In a cluster: 0.0.0.0:8443.",
        validate_default=False,
    )
    cert_file: FilePath = Field(description="The certificate to show, with its chain, as PEM.")
    key_file: FilePath = Field(description="The private key of the certificate, as PEM.")

    @property
    def token(self) -> SecretReference:
        reference = secret_reference("web.audit.token", self.token_file, self.token_env)
        if reference is None:
            raise AssertionError("the rules of this section require one of the two")
        return reference


class WebConfig(Section):
    """The HTTP server for health, metrics and the read-only API."""

    listen: Listen = Field(
        default=ListenAddress("127.0.0.1", 8080),
        description="HOST:PORT. In a cluster: 0.0.0.0:8080.",
        validate_default=False,
    )
    probes: Listen | None = Field(
        default=None,
        description="HOST:PORT of a listener of their own for /healthz and /readyz; left out: only at `listen`.",
    )
    audit: AuditConfig | None = Field(default=None, description="Who did it: audit events of the API server.")

    @classmethod
    def mistakes(cls, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        yield from super().mistakes(present)
        audit = present.get("audit")
        named = {"listen": present.get("listen"), "probes": present.get("probes")}
        named["audit"] = audit.get("listen") if isinstance(audit, Mapping) else None
        for key, other in (("probes", "listen"), ("audit", "listen"), ("audit", "probes")):
            address = named[key]
            if isinstance(address, str) and address == named[other] and not address.endswith(":0"):
                yield (key,), mistake(f"must be another address than that of {other}")


class WatchConfig(Section):
    """How far what the API server's watches tell is trusted. With either, a kind is listed: one request for each."""

    silence: Interval = Field(
        default=timedelta(seconds=150),
        description="How long a watch may send neither an event nor a bookmark, of which one comes about every minute.",
    )
    relist: Interval = Field(
        default=timedelta(minutes=30), description="After this time what is live is listed, whatever the watches said."
    )


class LogConfig(Section):
    """What is logged, to standard error."""

    level: LogLevel = Field(default=LogLevel.INFO, description="The least important lines to log.")
    format: LogFormat | None = Field(default=None, description="Left out: text on a terminal, else json.")


class Config(Section):
    """driftd's configuration: which folders of which Git repositories describe which clusters."""

    api_version: Literal["driftd.io/v1alpha1"] = Field(
        default="driftd.io/v1alpha1", description="The version of this format."
    )
    kind: Literal["Config"] = Field(default="Config", description="Always Config.")
    clusters: tuple[ClusterConfig, ...] = Field(
        default=(),
        description="Left out: one named default, in-cluster, else the usual kubeconfig. The first is the default.",
    )
    sources: tuple[SourceConfig, ...] = Field(default=(), description="The Git repositories.")
    apps: tuple[AppConfig, ...] = Field(default=(), description="What is kept in sync.")
    confine_reads: bool = Field(
        default=False,
        description="true: of each app, only what lies in its namespaces and kinds is read; the rest is unknown.",
    )
    deploys: bool = Field(
        default=True,
        description="false: something else deploys the apps, and driftd puts back only what hands have changed.",
    )
    take_over: bool = Field(
        default=False,
        description="true: what driftd writes of the apps that it deploys, it takes over from other GitOps deployers.",
    )
    discover: tuple[Literal["argo", "flux"], ...] = Field(
        default=(),
        description="Deployers whose apps are found in every cluster, and observed: argo (its Applications) and flux "
        "(its Kustomizations).",
    )
    deployer_credentials: bool = Field(
        default=False,
        description="true: what is found is fetched with the logins that Argo CD and Flux keep in Secrets.",
    )
    managers: ManagersConfig = Field(
        default_factory=ManagersConfig, description="Controllers and deployers of your own, by their field managers."
    )
    ignore: tuple[IgnoreConfig, ...] = Field(
        default=(), description="Differences that do not matter: counted as ignored, never hidden."
    )
    notify: NotifyConfig = Field(default_factory=NotifyConfig, description="Who is told.")
    store: StoreConfig = Field(default_factory=StoreConfig, description="Where history is kept.")
    web: WebConfig = Field(default_factory=WebConfig, description="The HTTP server.")
    watch: WatchConfig = Field(default_factory=WatchConfig, description="How far watches are trusted.")
    log: LogConfig = Field(default_factory=LogConfig, description="Logging.")
    cache_dir: FilePath = Field(
        default_factory=lambda: cache_folder() / "git",
        description="Where mirrors of the sources are kept; left out: in the folder for driftd's cache.",
    )

    _file: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        self._file = (context or {}).get(FILE)

    @property
    def store_url(self) -> str:
        """The store's address, without a password."""
        return self.store.url or f"sqlite:///{default_database(self._file)}"

    @property
    def all_clusters(self) -> tuple[ClusterConfig, ...]:
        """The clusters, or the implied one where none is configured. The first is the default."""
        return self.clusters or (ClusterConfig(name=DEFAULT_CLUSTER),)

    def cluster_of(self, app: AppConfig) -> ClusterConfig:
        """The cluster of an app."""
        clusters = self.all_clusters
        return next((cluster for cluster in clusters if cluster.name == app.cluster), clusters[0])

    def with_apps(self, apps: Iterable[AppConfig]) -> Config:
        """The same configuration with other apps."""
        return self.model_copy(update={"apps": tuple(apps)})

    def source_of(self, app: AppConfig) -> SourceConfig:
        """The source of an app."""
        return next(source for source in self.sources if source.name == app.source)

    @property
    def deployers(self) -> tuple[Deployer, ...]:
        """The deployers whose apps are found in the clusters."""
        return tuple(map(Deployer, self.discover))

    def app(self, name: str) -> AppConfig | None:
        return next((app for app in self.apps if app.name == name), None)

    def secrets(self) -> Iterator[tuple[str, SecretReference]]:
        """All referenced secrets, by their keys: `sources[0].auth.tokenFile`."""
        for index, source in enumerate(self.sources):
            auth = source.auth
            for reference in (auth.token, auth.user, auth.password) if auth else ():
                if isinstance(reference, SecretReference):
                    yield f"sources[{index}].{reference.key}", reference
        yield from self.notify.secrets()
        if password := self.store.password:
            yield password.key, password
        if self.web.audit:
            yield self.web.audit.token.key, self.web.audit.token

    def files(self) -> Iterator[tuple[str, Path]]:
        """All referenced local files, by their keys."""
        for key, reference in self.secrets():
            if isinstance(reference, SecretFile):
                yield key, reference.path
        if audit := self.web.audit:
            yield "web.audit.certFile", audit.cert_file
            yield "web.audit.keyFile", audit.key_file
        for index, cluster in enumerate(self.clusters):
            if cluster.kubeconfig:
                yield f"clusters[{index}].kubeconfig", cluster.kubeconfig
        for index, source in enumerate(self.sources):
            if auth := source.auth:
                for key, path in (
                    ("sshKeyFile", auth.ssh_key_file),
                    ("knownHostsFile", auth.known_hosts_file),
                    ("caFile", auth.ca_file),
                ):
                    if path:
                        yield f"sources[{index}].auth.{key}", path
