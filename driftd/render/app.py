"""From an app's folder to its manifests."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.model.app import RenderOptions
from driftd.model.errors import RenderError
from driftd.render import helm, kustomize, plain
from driftd.render.file_tree import FileTree, TreeFile
from driftd.render.helm import CHART_FILE
from driftd.render.kustomization import KUSTOMIZATION_FILES
from driftd.render.parser import Parser, UncachedParser
from driftd.render.rendering import Objects, Rendering, RenderKind

__all__ = ["RenderKind", "RenderOptions", "Rendering", "parts_of", "render"]


def render(tree: FileTree, options: RenderOptions, parser: Parser | None = None) -> Rendering:
    """The manifests of the tree's folder. Manifests come as the `parser` keeps them. For the rest see `parts_of`."""
    parser = UncachedParser() if parser is None else parser
    kind, parts = parts_of(tree, options, parser)
    return Rendering.of(kind, parts, options.namespace, parser.deduplicated)


def parts_of(tree: FileTree, options: RenderOptions, parser: Parser) -> tuple[RenderKind, tuple[Objects, ...]]:
    """What the tree's folder declares, in parts: what Helm makes of it where a Chart.yaml stands in it, what Kustomize
    does where a kustomization file stands there, else what each of its plain files says, which is told by `parser`.

    Blocking: it reads files and may run a program. No RenderError is raised, they are in the result: a broken file
    is one error, and the other files' manifests are still there.

    Raises: GitError: the tree itself could not be read.
    """
    files = tree.files(tree.path)
    kind = _kind(tree, files)
    try:
        match kind:
            case RenderKind.HELM:
                return kind, (helm.render(tree, tree.path, options),)
            case RenderKind.KUSTOMIZE:
                return kind, (kustomize.render(tree, tree.path, options),)
            case RenderKind.YAML:
                return kind, plain.render(tree, files, options, parser)
    except RenderError as error:
        return kind, (Objects(errors=(error,)),)


def _kind(tree: FileTree, files: Sequence[TreeFile]) -> RenderKind:
    base = f"{tree.path}/" if tree.path else ""
    names = {file.path.removeprefix(base) for file in files if file.path != tree.path}
    if CHART_FILE in names:
        return RenderKind.HELM
    return RenderKind.KUSTOMIZE if names.intersection(KUSTOMIZATION_FILES) else RenderKind.YAML
