"""From an app's folder to its manifests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from driftd.model.errors import RenderError
from driftd.model.resource import Manifest, digest
from driftd.render import helm, kustomize, plain
from driftd.render.helm import CHART_FILE
from driftd.render.kustomization import KUSTOMIZATION_FILES
from driftd.render.manifests import duplicates
from driftd.render.options import Objects, RenderOptions
from driftd.render.tree import FileTree

__all__ = ["RenderKind", "RenderOptions", "Rendering", "render"]


class RenderKind(StrEnum):
    """What made the manifests."""

    YAML = "yaml"
    KUSTOMIZE = "kustomize"
    HELM = "helm"


@dataclass(frozen=True, slots=True)
class Rendering:
    """What an app declares at one revision.

    With `errors`, the manifests are only a part of it: what is missing from them says nothing about Git. `digest`
    is that of the manifests, the same whatever commit, file or order they came from.
    """

    kind: RenderKind
    manifests: tuple[Manifest, ...]
    errors: tuple[RenderError, ...]
    digest: str


def render(tree: FileTree, options: RenderOptions) -> Rendering:
    """The manifests of the tree's folder: of Helm where a Chart.yaml stands in it, of Kustomize where a kustomization
    file does, of its plain files otherwise.

    Blocking: it reads files and may run a program. No RenderError is raised, they are in the result: a broken file
    is one error, and the other files' manifests are still there. An object that is declared twice counts once, as
    it stands first, and the other is an error.

    Raises: GitError: the tree itself could not be read.
    """
    kind = kind_of(tree)
    try:
        match kind:
            case RenderKind.HELM:
                objects = helm.render(tree, tree.path, options)
            case RenderKind.KUSTOMIZE:
                objects = kustomize.render(tree, tree.path, options)
            case RenderKind.YAML:
                objects = plain.render(tree, options)
    except RenderError as error:
        objects = Objects(errors=(error,))
    manifests, twice = duplicates(objects.manifests, options.namespace)
    return Rendering(kind, manifests, (*objects.errors, *twice), digest(manifests))


def kind_of(tree: FileTree) -> RenderKind:
    """By what the tree's folder is rendered. Raises: GitError: it could not be read."""
    base = f"{tree.path}/" if tree.path else ""
    names = {file.path.removeprefix(base) for file in tree.files(tree.path) if file.path != tree.path}
    if CHART_FILE in names:
        return RenderKind.HELM
    return RenderKind.KUSTOMIZE if names.intersection(KUSTOMIZATION_FILES) else RenderKind.YAML
