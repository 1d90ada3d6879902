"""What is deployed, at a revision that is not deployed yet: of its own repository, or of a checkout of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.cli.checked_apps import CheckedApp, CheckRequest, PreviewBase, local_folder
from driftd.cli.merge_base import Checkout, checkout_of, local_source
from driftd.desired.sources import ComposedSource, Source
from driftd.git.address import repository_key
from driftd.git.merge import default_branch
from driftd.git.source import GitSource, Ref, RefKind
from driftd.git.worktree import commit_named, find_repository, remote_addresses
from driftd.model.deployer import Deployer
from driftd.model.errors import DriftdError, GitError
from driftd.model.text import plural

if TYPE_CHECKING:
    from driftd.discovery.cluster import Found
    from driftd.discovery.deployed import DeployedApp

_DEPLOYED = "what is deployed"
_MAX_NAMES = 3


def with_this_repository(request: CheckRequest) -> CheckRequest:
    """The request with the repository that it is about: where it names a revision and no app, the one of this folder.

    Raises: DriftdError: its options contradict each other, or this folder is in no repository.
    """
    if request.repo is None:
        for option, given in (("--worktree", request.worktree), ("--base", request.base)):
            if given:
                raise DriftdError(f"{option} goes with --repo: name the checkout that the apps are deployed from")
    if Deployer.HELM in request.discover and (request.repo is not None or request.previews):
        raise DriftdError("what Helm has installed is not deployed from a repository: leave helm out of --discover")
    if request.worktree and request.revision:
        raise DriftdError("--worktree checks what is not committed, --revision a commit: give one of the two")
    if request.repo is not None or request.revision is None or request.names:
        return request
    try:
        return replace(request, repo=str(find_repository(Path()).root))
    except GitError as error:
        raise DriftdError(
            "--revision is one of a repository: name an app, or by --repo the checkout that the apps are deployed from"
        ) from error


@dataclass(frozen=True, slots=True)
class DeployableCheckout:
    """A checkout that apps are deployed from. `keys` are its remotes', in the form of `repository_key`.

    `target` is the branch that its revision will be merged into, where that is known, and `default` the default branch.
    """

    root: Path
    checkout: Checkout
    keys: frozenset[str]
    target: str | None
    default: str | None

    def of_it(self, found: Sequence[Found], *, named: bool) -> tuple[list[Found], list[str]]:
        """What of the found is deployed from this repository and follows the target, and what is said of the others.

        Raises: DriftdError: nothing is, or something of what was `named` is not.
        """
        own = [each for each in found if self._is_own(each)]
        others = [_name(each) for each in found if each not in own]
        if others and (named or not own):
            what = f"{others[0]} is not" if named else f"none of {plural(len(others), 'app')} in the cluster is"
            addresses = ", ".join(sorted(self.keys)) or "none"
            raise DriftdError(f"{what} deployed from {self.root} (the addresses of its remotes: {addresses})")
        followed = [each for each in own if self._follows(each)]
        elsewhere = [_name(each) for each in own if each not in followed]
        notes = [f"not looked at: {plural(len(others), 'app')} of other repositories"] if others else []
        if elsewhere:
            more = f" and {len(elsewhere) - _MAX_NAMES} more" if len(elsewhere) > _MAX_NAMES else ""
            names = f"{', '.join(elsewhere[:_MAX_NAMES])}{more}"
            notes.append(f"not looked at, as they do not follow {self.target}: {names}")
        return followed, notes

    def _is_own(self, found: Found) -> bool:
        from driftd.discovery.deployed import DeployedApp, NotJudged  # noqa: PLC0415  # imported by discovery already

        match found:
            case DeployedApp():
                return any(repository_key(url) in self.keys for url in _repositories(found.source))
            case NotJudged(repositories=repositories):
                return repositories is None or any(repository_key(url) in self.keys for url in repositories)
        return False

    def _follows(self, found: Found) -> bool:
        """Whether what is merged into the target branch will be deployed to an app."""
        from driftd.discovery.deployed import DeployedApp  # noqa: PLC0415  # as above

        if self.target is None or not isinstance(found, DeployedApp):
            return True
        base = found.source.base if isinstance(found.source, ComposedSource) else found.source
        if not isinstance(base, GitSource):
            return True
        ref = base.ref
        match ref.kind:
            case RefKind.HEAD:
                return self.default in (None, self.target)
            case RefKind.BRANCH | RefKind.ANY:
                return ref.value.removeprefix("refs/heads/") == self.target
        return False


def deployable(request: CheckRequest, folder: Path) -> DeployableCheckout:
    """The checkout of a request, at its revision. Blocking. Raises: DriftdError."""
    local = local_folder(str(request.repo))
    if local is None:
        raise DriftdError(f"--repo {request.repo}: with --discover it is a checkout on this machine")
    if request.revision is not None:
        commit_named(local.root, request.revision)  # or else each app would say that there is none
    default = default_branch(local.root)
    target = request.base.removeprefix("refs/heads/").removeprefix("origin/") if request.base else None
    return DeployableCheckout(
        local.root,
        checkout_of(request, local.root, folder),
        frozenset(map(repository_key, remote_addresses(local.root))),
        target,
        default.name.removeprefix("origin/") if default else None,
    )


def at_revision(
    deployed: DeployedApp, checked: CheckedApp, request: CheckRequest, checkout: DeployableCheckout | None
) -> CheckedApp:
    """The app at the revision that is asked for, told from the commit that its deployer says it has applied.

    Where none is asked for, it stays at that commit. Of a chart, a revision is a version.
    """
    if checkout is not None:
        base = PreviewBase(_DEPLOYED, local_source(checkout.root, Ref(RefKind.ANY, deployed.commit)), required=True)
        return replace(checked, source=checkout.checkout.source, commit=None, base=base, next=None)
    if request.revision is None:
        return checked
    if isinstance(deployed.source, GitSource):
        base = PreviewBase(_DEPLOYED, deployed.source, deployed.commit, required=True)
        source: Source = replace(deployed.source, ref=Ref(RefKind.ANY, request.revision))
    else:
        base = PreviewBase(_DEPLOYED, deployed.source.at(deployed.commit), required=True)
        source = deployed.source.at(request.revision)
    return replace(checked, source=source, commit=None, base=base, next=None)


def previewable(found: Found) -> Found:
    """What was found, or that it cannot be previewed."""
    from driftd.discovery.deployed import DeployedApp, NotJudged  # noqa: PLC0415  # as above

    if isinstance(found, DeployedApp) and isinstance(found.source, ComposedSource):
        reason = "it takes files of several repositories, and driftd knows a revision of one only"
        return NotJudged(found.app.name, reason, _repositories(found.source))
    return found


def _repositories(source: Source) -> tuple[str, ...]:
    """The addresses of the repositories that a source is made of."""
    match source:
        case GitSource():
            return (source.url,)
        case ComposedSource():
            return (*_repositories(source.base), *(mount.source.url for mount in source.mounts))
    return ()


def _name(found: Found) -> str:
    from driftd.discovery.cluster import name_of_app  # noqa: PLC0415  # as above

    return name_of_app(found)
