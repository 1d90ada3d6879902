"""Folders of plain YAML and JSON files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from posixpath import basename, dirname
from typing import TypeVar

from driftd.model.app import RenderOptions
from driftd.model.errors import PathNotFound, RenderError
from driftd.render import kustomize
from driftd.render.file_tree import FileTree, TreeFile
from driftd.render.helm import CHART_FILE
from driftd.render.ignore import IGNORE_FILE, IgnoreRules
from driftd.render.kustomization import KUSTOMIZATION_FILES
from driftd.render.parser import Parser, Pending
from driftd.render.rendering import Objects

A = TypeVar("A")
B = TypeVar("B")

MANIFEST_SUFFIXES = (".yaml", ".yml", ".json")

_AT_A_TIME = 250
"""The contents of so many files are in memory at once. They are from all over the folder each time: who looks at the
first of them sees what kinds of objects there are, and in how many namespaces.
"""


def render(tree: FileTree, files: Sequence[TreeFile], options: RenderOptions, parser: Parser) -> tuple[Objects, ...]:
    """What the `files` of the tree's folder declare, recursively, in the order of their paths; and what cannot be read.

    Read are `*.yaml`, `*.yml` and `*.json` (and, where the tree's path is a file, that one whatever its name), but
    for hidden files and folders and what a `.driftdignore` leaves out, in the folder, below it or above it.

    A folder below that has a kustomization file is built by Kustomize instead of being read, as Flux does. One with a
    Chart.yaml is an error: a chart needs a release name and values, so it has to be an app of its own or be left out.

    Raises: RenderError: there is no file to read at all.
    """
    by_path = {file.path: file for file in files}
    if list(by_path) == [tree.path]:
        units, builds = [tree.path], dict[str, str]()
    else:
        base = f"{tree.path}/" if tree.path else ""
        rules = IgnoreRules(base, _ignore_files(tree, base, by_path))
        kept = sorted(path for path in by_path if not rules.leaves_out(path))
        builds = _folders_with_builds(kept, base)
        units = [path for path in kept if path.endswith(MANIFEST_SUFFIXES) and not _is_below(path, builds)]
    if not units and not builds:
        raise RenderError(f"no manifests here: no {', '.join(MANIFEST_SUFFIXES)} file", file=tree.path or ".")
    found, unreadable = _read(tree, [by_path[unit] for unit in units], parser)
    found |= {folder: _build(tree, folder, file, options) for folder, file in builds.items()}
    parts = [found[unit] for unit in sorted(found)]
    return (Objects(errors=tuple(unreadable)), *parts) if unreadable else tuple(parts)


def _read(tree: FileTree, files: Sequence[TreeFile], parser: Parser) -> tuple[dict[str, Objects], list[RenderError]]:
    """What each file declares, and what could not be read."""
    found = {file.path: objects for file in files if (objects := parser.cached(file)) is not None}
    fresh = {file.path: file for file in files if file.path not in found}
    paths = list(fresh)
    rounds = -(-len(paths) // _AT_A_TIME)
    pending: list[Pending] = []
    unreadable: list[RenderError] = []
    for contents, broken in _one_ahead(partial(_contents, tree), [paths[at::rounds] for at in range(rounds)]):
        unreadable += broken
        pending.append(parser.parse({fresh[path]: data for path, data in contents.items()}))
    for parsed in pending:
        found |= parsed()
    return found, sorted(unreadable, key=lambda error: error.file)


def _one_ahead(work: Callable[[A], B], about: Sequence[A]) -> Iterator[B]:
    """What comes of the work on each of these, while the next one is worked on in a thread."""
    if len(about) < 2:
        yield from map(work, about)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="one-ahead") as pool:
        coming = pool.submit(work, about[0])
        for following in about[1:]:
            this, coming = coming, pool.submit(work, following)
            yield this.result()
        yield coming.result()


def _contents(tree: FileTree, files: Sequence[str]) -> tuple[Mapping[str, bytes], list[RenderError]]:
    """The contents of files, and an error for each link that leads nowhere or out of the repository."""
    try:
        return tree.read(files), []
    except PathNotFound:
        contents: dict[str, bytes] = {}
        errors = []
        for file in files:
            try:
                contents.update(tree.read([file]))
            except PathNotFound as error:
                where = RenderError(str(error).removeprefix(f"{file} ").removeprefix(f"{file}: "), file=file)
                where.__cause__ = error
                errors.append(where)
        return contents, errors


def _ignore_files(tree: FileTree, base: str, paths: Iterable[str]) -> Mapping[str, bytes]:
    files = dict(tree.read([path for path in paths if basename(path) == IGNORE_FILE]))
    above = base.rstrip("/")
    while above:
        above = dirname(above)
        file = f"{above}/{IGNORE_FILE}" if above else IGNORE_FILE
        try:
            tree.files(file)  # mostly there is none, and a listing tells so soonest
            files.update(tree.read([file]))
        except PathNotFound:
            continue
    return files


def _folders_with_builds(paths: Sequence[str], base: str) -> dict[str, str]:
    """The outermost folders below the app's that are built by a program, and the file that says so."""
    builds: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: (path.count("/"), path)):
        decides = basename(path) in (*KUSTOMIZATION_FILES, CHART_FILE) and dirname(path) != base.rstrip("/")
        if decides and not _is_below(path, builds):
            builds[dirname(path)] = path
    return builds


def _is_below(path: str, folders: Mapping[str, str]) -> bool:
    while path:
        path = dirname(path)
        if path in folders:
            return True
    return False


def _build(tree: FileTree, folder: str, file: str, options: RenderOptions) -> Objects:
    if basename(file) == CHART_FILE:
        message = "a Helm chart inside of a folder of plain files: make it an app of its own, or leave it out"
        return Objects(errors=(RenderError(f"{message} by a {IGNORE_FILE} file", file=file),))
    try:
        return kustomize.render(tree, folder, options)
    except RenderError as error:
        return Objects(errors=(error,))
