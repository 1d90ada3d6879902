"""From an app's folder to its manifests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from driftd.model.errors import RenderError
from driftd.model.resource import Manifest
from driftd.render import helm, kustomize, plain
from driftd.render.helm import CHART_FILE
from driftd.render.kustomization import KUSTOMIZATION_FILES
from driftd.render.manifests import duplicates
from driftd.render.options import Objects, RenderOptions
from driftd.render.parsed import EachForItself, Parser
from driftd.render.tree import FileTree, TreeFile

__all__ = ["RenderKind", "RenderOptions", "Rendering", "render"]


class RenderKind(StrEnum):
    """What made the manifests."""

    YAML = "yaml"
    KUSTOMIZE = "kustomize"
    HELM = "helm"


@dataclass(frozen=True, slots=True)
class Rendering:
    """What an app declares at one revision.

    With `errors`, the manifests are only a part of it: what is missing from them says nothing about Git. `parts` are
    what its files gave: as long as somebody holds these, nobody parses the files again.
    """

    kind: RenderKind
    manifests: tuple[Manifest, ...]
    errors: tuple[RenderError, ...]
    parts: tuple[Objects, ...] = field(default=(), repr=False, compare=False)


def render(tree: FileTree, options: RenderOptions, parser: Parser | None = None) -> Rendering:
    """The manifests of the tree's folder: of Helm where a Chart.yaml stands in it, of Kustomize where a kustomization
    file does, of its plain files otherwise.

    Blocking: it reads files and may run a program. No RenderError is raised, they are in the result: a broken file
    is one error, and the other files' manifests are still there. An object that is declared twice counts once, as
    it stands first, and the other is an error. What plain files declare is told by `parser`, and manifests come as it
    keeps them.

    Raises: GitError: the tree itself could not be read.
    """
    parser = EachForItself() if parser is None else parser
    files = tree.files(tree.path)
    kind = _kind(tree, files)
    parts: tuple[Objects, ...] = ()
    try:
        match kind:
            case RenderKind.HELM:
                parts = (helm.render(tree, tree.path, options),)
            case RenderKind.KUSTOMIZE:
                parts = (kustomize.render(tree, tree.path, options),)
            case RenderKind.YAML:
                parts = plain.render(tree, files, options, parser)
    except RenderError as error:
        parts = (Objects(errors=(error,)),)
    manifests, twice = duplicates((m for part in parts for m in part.manifests), options.namespace)
    return Rendering(kind, parser.kept(manifests), (*(error for part in parts for error in part.errors), *twice), parts)


def _kind(tree: FileTree, files: Sequence[TreeFile]) -> RenderKind:
    base = f"{tree.path}/" if tree.path else ""
    names = {file.path.removeprefix(base) for file in files if file.path != tree.path}
    if CHART_FILE in names:
        return RenderKind.HELM
    return RenderKind.KUSTOMIZE if names.intersection(KUSTOMIZATION_FILES) else RenderKind.YAML
