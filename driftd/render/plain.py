"""Folders of plain YAML and JSON files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from posixpath import basename, dirname
from typing import NamedTuple, TypeVar

from driftd.model.app import PlainFiles, RenderOptions
from driftd.model.errors import PathNotFound, RenderError
from driftd.render import kustomize
from driftd.render.file_tree import FileTree, TreeFile
from driftd.render.glob import glob_pattern
from driftd.render.helm import CHART_FILE
from driftd.render.ignore import IGNORE_FILE, SOURCE_IGNORE_FILE, IgnoreRules
from driftd.render.kustomization import KUSTOMIZATION_FILES
from driftd.render.parser import Parser, PendingParts
from driftd.render.rendering import RenderedPart

A = TypeVar("A")
B = TypeVar("B")

MANIFEST_SUFFIXES = (".yaml", ".yml", ".json")

_BATCH_SIZE = 250
"""Files per batch, which bounds the contents in memory. Each batch is taken from all over the folder, so that the first
one shows which kinds of objects there are, and in how many namespaces.
"""


def render(
    tree: FileTree, files: Sequence[TreeFile], options: RenderOptions, parser: Parser
) -> tuple[RenderedPart, ...]:
    """Parses the `files` of the tree's folder, recursively: one part per file in the order of paths, and one of errors.

    Parsed are `*.yaml`, `*.yml` and `*.json` files (and, where the tree's path is a file, that one whatever its name),
    except for hidden files and folders and those that a `.driftdignore` in, below or above the folder excludes, or that
    the options leave out.

    What may hold manifests and cannot be looked into is an error, unless it is excluded: a submodule, a link to a
    folder, out of the repository or to nothing.

    A subfolder with a kustomization file is built by Kustomize instead of being parsed, as in Flux. One with a
    Chart.yaml is an error: a chart needs a release name and values, so it has to be an app of its own or be excluded.

    Raises: RenderError: there is no file to parse, and `options` do not allow that.
    """
    selection = _select(tree, files, options)
    parts, unreadable = _read_files(tree, selection.files, parser)
    parts |= {folder: _build(tree, folder, file, options) for folder, file in selection.builds.items()}
    ordered = [parts[path] for path in sorted(parts)]
    errors = (*unreadable, *selection.errors)
    return (RenderedPart(errors=errors), *ordered) if errors else tuple(ordered)


def render_with_kustomize(
    tree: FileTree, files: Sequence[TreeFile], options: RenderOptions
) -> tuple[RenderedPart, ...]:
    """Builds the same files by Kustomize, with the edits of the options. Raises: RenderError."""
    selection = _select(tree, files, options)
    paths = [file.path for file in selection.files]
    if paths == [tree.path]:
        raise RenderError("one file alone cannot be built with Kustomize: name its folder", file=tree.path)
    charts = {folder: file for folder, file in selection.builds.items() if basename(file) == CHART_FILE}
    built = [folder for folder in selection.builds if folder not in charts]
    part = kustomize.render(tree, tree.path, options, sorted([*paths, *built]))
    errors = (*selection.errors, *(error for each in charts.values() for error in _chart_below(each).errors))
    return (RenderedPart(errors=errors), part) if errors else (part,)


class _Selection(NamedTuple):
    """The files of a folder to parse, the folders to build with their kustomization or chart, what cannot be read."""

    files: Sequence[TreeFile]
    builds: Mapping[str, str]
    errors: Sequence[RenderError]


def _select(tree: FileTree, files: Sequence[TreeFile], options: RenderOptions) -> _Selection:
    by_path = {file.path: file for file in files}
    if list(by_path) == [tree.path]:
        return _Selection(files, {}, [])
    base = f"{tree.path}/" if tree.path else ""
    of_flux = options.plain.source_ignore
    names = (IGNORE_FILE,) if of_flux is None else (IGNORE_FILE, SOURCE_IGNORE_FILE)
    rules = IgnoreRules(base, _read_ignore_files(tree, base, by_path, names), of_flux or "")
    is_chosen = _choice(options.plain, base)
    kept = sorted(path for path in by_path if not rules.ignores(path) and is_chosen(path))
    builds = _find_builds(kept, base)
    paths = [path for path in kept if path.endswith(MANIFEST_SUFFIXES) and not _is_below(path, builds)]
    errors = [
        RenderError(f"{what}: what is in it cannot be read; leave it out by a {IGNORE_FILE} file", file=path)
        for path, what in sorted(tree.unreadable(tree.path).items())
        if path not in paths and not rules.ignores(path) and is_chosen(path) and not _is_below(path, builds)
    ]
    if not paths and not builds and not errors and not options.allow_empty:
        raise RenderError(f"no manifests here: no {', '.join(MANIFEST_SUFFIXES)} file", file=tree.path or ".")
    return _Selection([by_path[path] for path in paths], builds, errors)


def _choice(plain: PlainFiles, base: str) -> Callable[[str], bool]:
    """Whether a path is among the files that the options name."""
    if plain == PlainFiles():
        return lambda _: True
    include = glob_pattern(plain.include) if plain.include else None
    exclude = glob_pattern(plain.exclude) if plain.exclude else None

    def is_chosen(path: str) -> bool:
        relative = path.removeprefix(base)
        if "/" in relative and not plain.recurse:
            return False
        if exclude is not None and exclude.fullmatch(relative):
            return False
        return include is None or include.fullmatch(relative) is not None

    return is_chosen


def _read_files(
    tree: FileTree, files: Sequence[TreeFile], parser: Parser
) -> tuple[dict[str, RenderedPart], list[RenderError]]:
    """The parsed files by path, and an error for each that could not be read."""
    parts = {file.path: part for file in files if (part := parser.cached(file)) is not None}
    unparsed = {file.path: file for file in files if file.path not in parts}
    paths = list(unparsed)
    batches = -(-len(paths) // _BATCH_SIZE)
    pending: list[PendingParts] = []
    unreadable: list[RenderError] = []
    for contents, errors in _prefetch(
        partial(_read_batch, tree), [paths[number::batches] for number in range(batches)]
    ):
        unreadable += errors
        pending.append(parser.parse({unparsed[path]: data for path, data in contents.items()}))
    for parsed in pending:
        parts |= parsed()
    return parts, sorted(unreadable, key=lambda error: error.file)


def _prefetch(work: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """The results of the work on each item. A thread works on the next item meanwhile."""
    if len(items) < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        ahead = pool.submit(work, items[0])
        for item in items[1:]:
            current, ahead = ahead, pool.submit(work, item)
            yield current.result()
        yield ahead.result()


def _read_batch(tree: FileTree, files: Sequence[str]) -> tuple[Mapping[str, bytes], list[RenderError]]:
    """The contents of files, and an error for each symlink that is dangling or leads out of the repository."""
    try:
        return tree.read(files), []
    except PathNotFound:
        contents: dict[str, bytes] = {}
        errors = []
        for file in files:
            try:
                contents.update(tree.read([file]))
            except PathNotFound as error:
                located = RenderError(str(error).removeprefix(f"{file} ").removeprefix(f"{file}: "), file=file)
                located.__cause__ = error
                errors.append(located)
        return contents, errors


def _read_ignore_files(tree: FileTree, base: str, paths: Iterable[str], names: Collection[str]) -> Mapping[str, bytes]:
    files = dict(tree.read([path for path in paths if basename(path) in names]))
    above = base.rstrip("/")
    while above:
        above = dirname(above)
        for name in names:
            file = f"{above}/{name}" if above else name
            try:
                tree.files(file)  # usually there is none, which a listing finds out faster
                files.update(tree.read([file]))
            except PathNotFound:
                continue
    return files


def _find_builds(paths: Sequence[str], base: str) -> dict[str, str]:
    """The outermost folders below the app's that Kustomize or Helm renders, and the file that makes them so."""
    builds: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: (path.count("/"), path)):
        is_build = basename(path) in (*KUSTOMIZATION_FILES, CHART_FILE) and dirname(path) != base.rstrip("/")
        if is_build and not _is_below(path, builds):
            builds[dirname(path)] = path
    return builds


def _is_below(path: str, folders: Mapping[str, str]) -> bool:
    while path:
        path = dirname(path)
        if path in folders:
            return True
    return False


def _build(tree: FileTree, folder: str, file: str, options: RenderOptions) -> RenderedPart:
    if basename(file) == CHART_FILE:
        return _chart_below(file)
    try:
        return kustomize.render(tree, folder, options)
    except RenderError as error:
        return RenderedPart(errors=(error,))


def _chart_below(file: str) -> RenderedPart:
    message = "a Helm chart inside of a folder of plain files: make it an app of its own, or leave it out"
    return RenderedPart(errors=(RenderError(f"{message} by a {IGNORE_FILE} file", file=file),))
