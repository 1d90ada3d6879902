"""Renders the manifests of an app's folder."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.model.app import RenderOptions
from driftd.model.errors import RenderError
from driftd.render import helm, kustomize, plain
from driftd.render.common_metadata import with_common_metadata
from driftd.render.file_tree import FileTree, TreeFile
from driftd.render.helm import CHART_FILE
from driftd.render.kustomization import KUSTOMIZATION_FILES
from driftd.render.parser import Parser, UncachedParser
from driftd.render.rendering import RenderedPart, Rendering, RenderKind
from driftd.render.substitution import substitute_part

__all__ = ["RenderKind", "RenderOptions", "Rendering", "is_chart", "render", "render_parts"]


def render(tree: FileTree, options: RenderOptions, parser: Parser | None = None) -> Rendering:
    """Renders the tree's folder into one set of manifests, deduplicated by `parser`. See `render_parts`."""
    parser = UncachedParser() if parser is None else parser
    kind, parts = render_parts(tree, options, parser)
    return Rendering.merge(kind, parts, options.namespace, parser.deduplicated)


def render_parts(tree: FileTree, options: RenderOptions, parser: Parser) -> tuple[RenderKind, tuple[RenderedPart, ...]]:
    """Renders the tree's folder: with Helm if it has a Chart.yaml, with Kustomize if it has a kustomization file or the
    options have edits, else by parsing its plain files with `parser`, one part per file. Then variables are
    replaced, and common labels and annotations set.

    Blocking: it reads files and may run a program. RenderErrors are part of the result instead of being raised: a
    broken file is one error next to the other files' manifests.

    Raises: GitError: the tree itself could not be read.
    """
    kind, parts = _render_folder(tree, options, parser)
    if options.substitutions or options.secret_substitutions:
        variables, secret = dict(options.substitutions), dict(options.secret_substitutions)
        parts = tuple([substitute_part(part, variables, secret) for part in parts])
    if options.labels or options.annotations:
        labels, annotations = dict(options.labels), dict(options.annotations)
        parts = tuple([with_common_metadata(part, labels, annotations) for part in parts])
    return kind, parts


def _render_folder(
    tree: FileTree, options: RenderOptions, parser: Parser
) -> tuple[RenderKind, tuple[RenderedPart, ...]]:
    files = tree.files(tree.path)
    kind = _kind_of_folder(tree, files)
    try:
        _require_no_overrides(tree, files, options)
        match kind:
            case RenderKind.HELM:
                return kind, (helm.render(tree, tree.path, options),)
            case RenderKind.KUSTOMIZE:
                return kind, (kustomize.render(tree, tree.path, options),)
            case RenderKind.YAML if options.edits is not None:
                return RenderKind.KUSTOMIZE, plain.render_with_kustomize(tree, files, options)
            case RenderKind.YAML:
                return kind, plain.render(tree, files, options, parser)
    except RenderError as error:
        return kind, (RenderedPart(errors=(error,)),)


def _require_no_overrides(tree: FileTree, files: Sequence[TreeFile], options: RenderOptions) -> None:
    """Raises: RenderError: a file of the folder changes how its deployer renders it."""
    overrides = {f"{tree.path}/{name}" if tree.path else name for name in options.overrides}
    for file in files:
        if file.path in overrides:
            raise RenderError("its deployer changes by this file what it renders, and driftd does not", file=file.path)


def is_chart(tree: FileTree) -> bool:
    """Whether the tree's folder is rendered by Helm. Raises: GitError."""
    return _kind_of_folder(tree, tree.files(tree.path)) is RenderKind.HELM


def _kind_of_folder(tree: FileTree, files: Sequence[TreeFile]) -> RenderKind:
    base = f"{tree.path}/" if tree.path else ""
    names = {file.path.removeprefix(base) for file in files if file.path != tree.path}
    if CHART_FILE in names:
        return RenderKind.HELM
    return RenderKind.KUSTOMIZE if names.intersection(KUSTOMIZATION_FILES) else RenderKind.YAML
