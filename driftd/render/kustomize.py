"""Renders folders that have a kustomization file, by running kustomize."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import join, normpath
from typing import Any

from driftd.model.app import RenderOptions
from driftd.model.errors import RenderError
from driftd.model.hook import Hook, hook_of
from driftd.model.resource import JsonObject, Manifest, Source, group_of
from driftd.render import tool
from driftd.render.documents import read_documents
from driftd.render.file_tree import FileTree
from driftd.render.kustomization import Kustomization, Workspace
from driftd.render.line_numbers import lines_of
from driftd.render.manifests import InvalidObject, flatten_lists, validate_object
from driftd.render.rendering import RenderedPart
from driftd.render.stand_in_files import alter, stand_ins_in, with_note
from driftd.render.tool_errors import describe_tool_error
from driftd.render.undetermined import with_undetermined

INSTALL_URL = "https://kubectl.docs.kubernetes.io/installation/kustomize/"

_ORIGIN = "config.kubernetes.io/origin"
_GENERATORS = {"ConfigMapGenerator": "configMapGenerator", "SecretGenerator": "secretGenerator"}
_NESTED_ERROR = re.compile(
    r"accumulating resources: accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': "
    r"(?:recursed accumulation of path|couldn't make target for path) '(?P<folder>[^']*)': "
)
_ENTRY = re.compile(r"(?:accumulating resources: )+(?:accumulating resources from '(?P<entry>[^']*)': )?")
_FALLBACK_ERROR = re.compile(
    r"accumulat\w+ (?:resources: accumulation )?err='(?P<first>.*)': must build at directory: .*", re.DOTALL
)


def render(tree: FileTree, folder: str, options: RenderOptions) -> RenderedPart:
    """Runs `kustomize build` on a folder of the tree. `folder` is relative to the repository's root.

    An object's source is its file, with the object's line there, or the kustomization file that generates it; the
    origin is "kustomize". The output is read as kubectl reads it.

    Bases and components may be folders anywhere in the repository. Nothing is downloaded and nothing of the repository
    is run: remote bases are refused, plugins, functions and kustomize's Helm support are disabled, and a kustomization
    can read no files outside of its own folder (kustomize's default). `tool.run` holds it to that.

    Where files are stand-ins (a Git LFS pointer), the manifests say what of them is made from these: it is built again
    with other ones.

    Raises: RenderError (or ToolMissing), with the file and, if known, the line.
    """
    with tool.workbench() as bench:
        root = bench.repository
        workspace = Workspace(tree, root)
        kustomization = workspace.collect(folder)
        program = tool.find(options.kustomize, INSTALL_URL, kustomization.file)
        keep_origins = kustomization.has_origins()
        if not keep_origins and (changed := kustomization.with_origins()) is not None:
            (root / kustomization.file).write_bytes(changed)

        def build() -> RenderedPart:
            command = [program, "build", str(root / folder)]
            output = tool.run(command, bench, env={}, timeout=options.timeout, file=kustomization.file)
            return _parse_output(output, _Origins(root, kustomization), keep_origins=keep_origins)

        stand_ins = stand_ins_in(root)
        try:
            part = build()
        except tool.ToolFailed as error:
            located = _render_error(str(error), root, workspace, folder)
            raise with_note(located, stand_ins, root) from None  # its text may quote values
        for file in stand_ins:
            alter(file)
        try:
            return with_undetermined(part, build()) if stand_ins else part
        except (tool.ToolFailed, RenderError):
            return part


def _parse_output(output: bytes, origins: _Origins, *, keep_origins: bool) -> RenderedPart:
    manifests: list[Manifest] = []
    hooks: list[Hook] = []
    errors: list[RenderError] = []
    for document in read_documents(output, origins.kustomization.file):
        for _, value in flatten_lists(document.value):
            source = origins.source(value)
            if (hook := hook_of(value, source)) is not None:
                hooks.append(hook)
                continue
            try:
                body = validate_object(value if keep_origins else _without_origin(value))
                manifests.append(Manifest.of(body, source))
            except InvalidObject as error:
                located = RenderError(str(error), file=source.file, line=source.line)
                located.__cause__ = error
                errors.append(located)
    return RenderedPart(tuple(manifests), tuple(errors), tuple(hooks))


class _Origins:
    """Maps kustomize's origin annotations to files and lines of the repository."""

    def __init__(self, root: Path, kustomization: Kustomization) -> None:
        self.kustomization = kustomization
        self._root = root
        self._objects: dict[str, list[tuple[JsonObject, int]]] = {}

    def source(self, body: Any) -> Source:
        """The source of an object in kustomize's output; the kustomization file if it is unknown."""
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
        """The line of the object of the same kind with the most similar name: kustomize may have changed the name."""
        group, kind, name = group_of(str(body.get("apiVersion"))), body.get("kind"), str(body["metadata"].get("name"))
        candidates = []
        for value, line in self._objects_in(file):
            if value.get("kind") == kind and group_of(str(value.get("apiVersion"))) == group:
                metadata = value.get("metadata")
                own = str(metadata.get("name") if isinstance(metadata, dict) else "")
                candidates.append((own == name, own in name, len(own), -line))
        return -max(candidates)[3] if candidates else 1

    def _generator_line(self, file: str, body: JsonObject, origin: JsonObject) -> int:
        """The line of the generator whose name is part of the object's, which adds a prefix, a suffix and a hash."""
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
        if file not in self._objects:
            data = (self._root / file).read_bytes()
            located: list[tuple[JsonObject, int]] = []
            try:
                for document in read_documents(data, file):
                    objects = [(at, value) for at, value in flatten_lists(document.value) if isinstance(value, dict)]
                    lines = lines_of(data, file, document.start, [at for at, _ in objects])
                    located += [(value, line) for (_, value), line in zip(objects, lines, strict=True)]
            except RenderError:
                located = []  # kustomize reads YAML that kubectl refuses: the source is the file, without a line
            self._objects[file] = located
        return self._objects[file]


def _without_origin(value: Any) -> Any:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(annotations, dict) or _ORIGIN not in annotations:
        return value
    remaining = {key: text for key, text in annotations.items() if key != _ORIGIN}
    rest = {key: each for key, each in metadata.items() if key != "annotations"}
    return {**value, "metadata": {**rest, "annotations": remaining} if remaining else rest}


def _render_error(text: str, root: Path, workspace: Workspace, folder: str) -> RenderError:
    """kustomize's error without the chain of errors around it, located at the innermost kustomization it names."""
    text = text.removeprefix("Error: ")
    while nested := _NESTED_ERROR.match(text):
        inner, text = Path(nested["folder"]), text[nested.end() :]
        folder = inner.relative_to(root).as_posix() if inner.is_relative_to(root) else folder
    if fallback := _FALLBACK_ERROR.search(text):
        text = text[: fallback.start()] + fallback["first"]
    file = workspace.file_of(folder)
    if entry := _ENTRY.match(text):
        text = text[entry.end() :]
        if entry["entry"] and (root / folder / entry["entry"]).is_file():
            file = normpath(join(folder, entry["entry"]))
    return RenderError(describe_tool_error(text, "kustomize", f"kustomize build {folder}"), file=file)
