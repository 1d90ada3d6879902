"""The apps that one `driftd check` covers, by its arguments."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.daemon.assembly import app_of, cluster_access, git_source
from driftd.desired.sources import Source
from driftd.diff.rules.ignore import IgnoreRule
from driftd.git.address import is_local_path
from driftd.git.source import GitSource, Ref, RefKind, is_ref_name
from driftd.git.worktree import LocalFolder, commit_named, find_repository
from driftd.kube.kubeconfig import ClusterAccess
from driftd.model.app import App, RenderOptions
from driftd.model.deployer import Deployer
from driftd.model.engine import Engine
from driftd.model.errors import DriftdError
from driftd.model.next_deployment import NextDeployment

if TYPE_CHECKING:
    from driftd.config.settings import Config
    from driftd.config.source import SourceConfig


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """The arguments of the command: either a repository, or a configuration and some of its apps."""

    names: tuple[str, ...]
    repo: str | None
    revision: str | None
    path: str
    namespace: str | None
    kubeconfig: Path | None
    context: str | None
    engine: Engine | None
    config: Path | None
    explain: str | None = None
    worktree: bool = False
    values_files: tuple[str, ...] = ()
    release_name: str | None = None
    allow_empty: bool = False
    discover: tuple[Deployer, ...] = ()
    deployer_credentials: bool = False
    base: str | None = None

    @property
    def previews(self) -> bool:
        """Whether a revision is named that need not be deployed yet."""
        return self.worktree or self.revision is not None or self.base is not None


@dataclass(frozen=True, slots=True)
class PreviewBase:
    """What a preview is told from: the `commit` of a source, or where that is None, what its reference leads to.

    `name` is what people know it by. Where it is not `required` and cannot be had, there is no preview.
    """

    name: str
    source: Source
    commit: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class CheckedApp:
    """One app to check, with its source and its cluster. `local` is its folder, where that is on this machine.

    It is compared with `commit`, if that is given, and not with the one that the source's reference leads to. `next` is
    what its deployer has yet to deploy. With a `base`, it is told what deploying that would do.
    """

    app: App
    source: Source
    access: ClusterAccess
    local: LocalFolder | None = None
    commit: str | None = None
    ignore: tuple[IgnoreRule, ...] = ()
    next: NextDeployment | None = None
    base: PreviewBase | None = None


def checked_apps(request: CheckRequest, config: Config | None, not_judged: Collection[str] = ()) -> list[CheckedApp]:
    """The apps that a request names, but for those that cannot be judged.

    Raises: DriftdError: it names what is not there, or contradicts itself.
    """
    if request.repo is not None:
        if request.config is not None:
            raise DriftdError("--repo checks a repository, --config the apps of a configuration: give one of the two")
        if request.names:
            message = f"{request.names[0]!r} would be an app of a --config, and --repo checks a repository"
            instead = (
                "its folder goes with --path, an object as KIND/NAME with --explain, what is deployed with --discover"
            )
            raise DriftdError(f"{message}: {instead}")
        if request.worktree and request.revision:
            raise DriftdError("--worktree checks what is not committed, --revision a commit: give one of the two")
        return [_of_repository(request, request.repo)]
    for option, given in (
        ("--worktree", request.worktree),
        ("--base", request.base),
        ("--values", request.values_files),
        ("--release-name", request.release_name),
    ):
        if given:
            raise DriftdError(f"{option} goes with --repo: an app of a configuration has its own")
    assert config is not None  # noqa: S101  # without either, it is asked what is deployed to the cluster
    names = [app.name for app in config.apps]
    for name in request.names:
        if name not in names and name not in not_judged:
            raise DriftdError(f"there is no app {name!r} in {request.config} (there are: {', '.join(names) or 'none'})")
    return [_of_config(name, config, request) for name in request.names or names if name in names]


def checked_source(source: SourceConfig, request: CheckRequest) -> GitSource:
    """A source of the configuration at the revision that is asked for. Raises: GitError."""
    checked = replace(git_source(source), borrow=True)
    return replace(checked, ref=Ref(RefKind.ANY, request.revision)) if request.revision else checked


def _of_repository(request: CheckRequest, repo: str) -> CheckedApp:
    local = local_folder(repo)
    url = str(local.root) if local else repo
    revision = request.revision
    if revision and local and not is_ref_name(revision):
        revision = commit_named(local.root, revision)
    ref = Ref(RefKind.ANY, revision) if revision else Ref()
    source = GitSource(name="repository", url=url, ref=ref, allow_file=True, borrow=True)
    path = posixpath.normpath(posixpath.join(local.path if local else "", request.path.strip("/")))
    path = "" if path == "." else path
    name = path.rpartition("/")[2] or Path(url.rstrip("/")).name.removesuffix(".git") or "app"
    app = App(
        name=name,
        source=source.name,
        cluster=request.context or "the current context",
        path=path,
        namespace=request.namespace,
        engine=request.engine or Engine.CLIENT,
        rendering=RenderOptions(
            release=request.release_name or name,
            namespace=request.namespace or "default",
            values_files=request.values_files,
            allow_empty=request.allow_empty,
        ),
    )
    if local is not None:
        local = replace(local, path=path)
    elif request.worktree:
        raise DriftdError(f"--worktree checks a folder of this machine, and {repo} is none")
    elif request.base is not None:
        raise DriftdError(
            f"--base merges in a folder of this machine, and {repo} is none: clone it, and name the clone"
        )
    return CheckedApp(app, source, ClusterAccess(None, request.kubeconfig, request.context), local)


def local_folder(repo: str) -> LocalFolder | None:
    """The folder of this machine that `--repo` names; None for an address.

    Raises: DriftdError: there is none, or it is in no repository.
    """
    try:
        folder = Path(repo).expanduser()
        is_local = folder.exists()
    except (OSError, RuntimeError):
        return None  # too long for a path, or below the home of nobody
    if is_local:
        return find_repository(folder)
    if is_local_path(repo):
        raise DriftdError(f"--repo {repo}: there is no such folder on this machine, and it is no https or ssh address")
    return None


def _of_config(name: str, config: Config, request: CheckRequest) -> CheckedApp:
    app_config = config.app(name)
    assert app_config is not None  # noqa: S101  # the caller has checked the names
    app = app_of(app_config, config)
    source = checked_source(config.source_of(app_config), request)
    base = None
    if request.revision:
        followed = checked_source(config.source_of(app_config), replace(request, revision=None))
        base = PreviewBase(str(followed.ref), followed)
    if request.engine is not None:
        app = replace(app, engine=request.engine)
    if request.allow_empty:
        app = replace(app, rendering=replace(app.rendering, allow_empty=True))
    return CheckedApp(app, source, cluster_access(config.cluster_of(app_config)), base=base)
