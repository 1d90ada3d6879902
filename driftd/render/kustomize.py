"""Folders with a kustomization file, built by the kustomize program."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from posixpath import join, normpath
from typing import Any

from driftd.model.app import RenderOptions
from driftd.model.errors import RenderError
from driftd.model.resource import JsonObject, Manifest, Source, group_of
from driftd.render import tool
from driftd.render.documents import read_documents
from driftd.render.file_tree import FileTree
from driftd.render.kustomization import Kustomization, Workspace
from driftd.render.line_numbers import lines_of
from driftd.render.manifests import NotAnObject, checked, objects_of
from driftd.render.rendering import Objects

HOME = "https://kubectl.docs.kubernetes.io/installation/kustomize/"

_ORIGIN = "config.kubernetes.io/origin"
_GENERATORS = {"ConfigMapGenerator": "configMapGenerator", "SecretGenerator": "secretGenerator"}
_DETOUR = re.compile(
    r"accumulating resources: accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': "
    r"(?:recursed accumulation of path|couldn't make target for path) '(?P<folder>[^']*)': "
)
_ENTRY = re.compile(r"(?:accumulating resources: )+(?:accumulating resources from '(?P<entry>[^']*)': )?")
_SECOND_GUESS = re.compile(
    r"accumulat\w+ (?:resources: accumulation )?err='(?P<first>.*)': must build at directory: .*", re.DOTALL
)


def render(tree: FileTree, folder: str, options: RenderOptions) -> Objects:
    """What `kustomize build` makes of a folder of the tree (relative to the repository's root).

    Each object's source is the file it was made from, with the line of the object there, or the kustomization file
    that generated it; `origin` is "kustomize". What kustomize prints is read as kubectl reads it.

    Bases and components may be folders anywhere in the repository. Nothing is fetched and nothing of the repository
    is run: remote bases are refused, plugins, functions and kustomize's Helm support are off, and files outside of a
    kustomization's own folder are out of reach (kustomize's default).

    Raises: RenderError (of which ToolMissing), naming the file and, where it is known, the line.
    """
    with tempfile.TemporaryDirectory(prefix="driftd-kustomize-") as temporary:
        root = Path(temporary).resolve() / "repository"
        root.mkdir()
        workspace = Workspace(tree, root)
        kustomization = workspace.gather(folder)
        program = tool.find(options.kustomize, HOME, kustomization.file)
        keeps_origins = kustomization.asks_for_origins()
        if not keeps_origins and (changed := kustomization.with_origins()) is not None:
            (root / kustomization.file).write_bytes(changed)
        try:
            output = tool.run(
                [program, "build", str(root / folder)],
                cwd=root.parent,
                env={},
                timeout=options.timeout,
                file=kustomization.file,
            )
        except tool.ToolFailed as error:
            raise _condensed(str(error), root, workspace, folder) from error
        return _objects(output, _Origins(root, kustomization), keep=keeps_origins)


def _objects(output: bytes, origins: _Origins, *, keep: bool) -> Objects:
    manifests: list[Manifest] = []
    errors: list[RenderError] = []
    for document in read_documents(output, origins.kustomization.file):
        for _, value in objects_of(document.value):
            source = origins.source(value)
            try:
                body = checked(value if keep else _without_origin(value))
                manifests.append(Manifest.of(body, source))
            except NotAnObject as error:
                where = RenderError(str(error), file=source.file, line=source.line)
                where.__cause__ = error
                errors.append(where)
    return Objects(tuple(manifests), tuple(errors))


class _Origins:
    """From kustomize's origin annotations to places in the repository."""

    def __init__(self, root: Path, kustomization: Kustomization) -> None:
        self.kustomization = kustomization
        self._root = root
        self._read: dict[str, list[tuple[JsonObject, int]]] = {}

    def source(self, body: Any) -> Source:
        """Where an object of kustomize's output comes from; the kustomization file where that is not known."""
        origin = self._origin(body)
        for key in ("path", "configuredIn"):
            if isinstance(origin.get(key), str):
                file = normpath(join(self.kustomization.folder, origin[key]))
                if (self._root / file).is_file():
                    find = self._object_line if key == "path" else self._generator_line
                    return Source(file, find(file, body, origin), origin="kustomize")
        return Source(self.kustomization.file, 1, origin="kustomize")

    def _origin(self, body: Any) -> JsonObject:
        metadata = body.get("metadata") if isinstance(body, dict) else None
        text = (metadata.get("annotations") or {}).get(_ORIGIN) if isinstance(metadata, dict) else None
        documents = read_documents(text.encode(), self.kustomization.file) if isinstance(text, str) else []
        return documents[0].value if documents and isinstance(documents[0].value, dict) else {}

    def _object_line(self, file: str, body: JsonObject, _origin: JsonObject) -> int:
        """The line of the object of the same kind and the nearest name: kustomize may have changed the name."""
        group, kind, name = group_of(str(body.get("apiVersion"))), body.get("kind"), str(body["metadata"].get("name"))
        alike = []
        for value, line in self._objects_in(file):
            if value.get("kind") == kind and group_of(str(value.get("apiVersion"))) == group:
                metadata = value.get("metadata")
                own = str(metadata.get("name") if isinstance(metadata, dict) else "")
                alike.append((own == name, own in name, len(own), -line))
        return -max(alike)[3] if alike else 1

    def _generator_line(self, file: str, body: JsonObject, origin: JsonObject) -> int:
        """The line of the generator whose name is in the object's: its hash, prefix and suffix are around it."""
        configured_by = origin.get("configuredBy")
        key = _GENERATORS.get(str(configured_by.get("kind")) if isinstance(configured_by, dict) else "")
        data = (self._root / file).read_bytes()
        name = str(body["metadata"].get("name"))
        for document in read_documents(data, file):
            generators = document.value.get(key) if isinstance(document.value, dict) else None
            for index, each in enumerate(generators if isinstance(generators, list) else []):
                if isinstance(each, dict) and each.get("name") and str(each["name"]) in name:
                    return lines_of(data, file, document.start, [(key or "", index)])[0]
        return 1

    def _objects_in(self, file: str) -> list[tuple[JsonObject, int]]:
        if file not in self._read:
            data = (self._root / file).read_bytes()
            found: list[tuple[JsonObject, int]] = []
            try:
                for document in read_documents(data, file):
                    objects = [(at, value) for at, value in objects_of(document.value) if isinstance(value, dict)]
                    lines = lines_of(data, file, document.start, [at for at, _ in objects])
                    found += [(value, line) for (_, value), line in zip(objects, lines, strict=True)]
            except RenderError:
                found = []  # kustomize reads YAML that kubectl refuses; the file is still the right answer
            self._read[file] = found
        return self._read[file]


def _without_origin(value: Any) -> Any:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(annotations, dict) or _ORIGIN not in annotations:
        return value
    kept = {key: text for key, text in annotations.items() if key != _ORIGIN}
    rest = {key: each for key, each in metadata.items() if key != "annotations"}
    return {**value, "metadata": {**rest, "annotations": kept} if kept else rest}


def _condensed(text: str, root: Path, workspace: Workspace, folder: str) -> RenderError:
    """kustomize's error without the story of how it got there: for the innermost kustomization that it names."""
    text = text.removeprefix("Error: ")
    while detour := _DETOUR.match(text):
        inner, text = Path(detour["folder"]), text[detour.end() :]
        folder = inner.relative_to(root).as_posix() if inner.is_relative_to(root) else folder
    if guess := _SECOND_GUESS.search(text):
        text = text[: guess.start()] + guess["first"]
    file = workspace.file_of(folder)
    if entry := _ENTRY.match(text):
        text = text[entry.end() :]
        if entry["entry"] and (root / folder / entry["entry"]).is_file():
            file = normpath(join(folder, entry["entry"]))
    return RenderError(f"kustomize: {text.replace(f'{root}/', '').replace(str(root), '.').strip()}", file=file)
