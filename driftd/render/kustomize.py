"""Renders folders that have a kustomization file, by running kustomize."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from posixpath import join, normpath
from typing import Any

from driftd.model.app import RenderOptions
from driftd.model.errors import RenderError
from driftd.model.hook import Hook, hook_of
from driftd.model.resource import Manifest
from driftd.render import tool
from driftd.render.file_tree import FileTree
from driftd.render.kustomization import Workspace
from driftd.render.kustomize_origins import ORIGIN, Origins
from driftd.render.manifests import InvalidObject, flatten_lists, validate_object
from driftd.render.rendering import RenderedPart
from driftd.render.stand_in_files import alter, stand_ins_in, with_note
from driftd.render.tool_errors import describe_tool_error
from driftd.render.undetermined import with_undetermined
from driftd.render.yaml.documents import read_documents

INSTALL_URL = "https://kubectl.docs.kubernetes.io/installation/kustomize/"

_NESTED_ERROR = re.compile(
    r"accumulating resources: accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': "
    r"(?:recursed accumulation of path|couldn't make target for path) '(?P<folder>[^']*)': "
)
_ENTRY = re.compile(r"(?:accumulating resources: )+(?:accumulating resources from '(?P<entry>[^']*)': )?")
_FALLBACK_ERROR = re.compile(
    r"accumulat\w+ (?:resources: accumulation )?err='(?P<first>.*)': must build at directory: .*", re.DOTALL
)


def render(tree: FileTree, folder: str, options: RenderOptions, resources: Sequence[str] | None = None) -> RenderedPart:
    """Runs `kustomize build` on a folder of the tree. `folder` is relative to the repository's root.

    An object's source is its file, with the object's line there, or the kustomization file that generates it; the
    origin is "kustomize". The output is read as kubectl reads it.

    Bases and components may be folders anywhere in the repository. Nothing is downloaded and nothing of the repository
    is run: remote bases are refused, plugins, functions and kustomize's Helm support are disabled, and a kustomization
    can read no files outside of its own folder (kustomize's default). `tool.run` holds it to that.

    The `edits` of the options are made in the folder's kustomization file. A folder without one gets one that lists
    `resources`: paths from the repository's root, of files in the folder or of folders below it.

    Where files are stand-ins (a Git LFS pointer), the manifests say what of them is made from these: it is built again
    with other ones.

    Raises: RenderError (or ToolMissing), with the file and, if known, the line.
    """
    with tool.workbench() as bench:
        root = bench.repository
        workspace = Workspace(tree, root)
        kustomization = workspace.collect(folder, resources)
        program = tool.find(options.kustomize, INSTALL_URL, kustomization.file)
        if options.edits is not None:
            kustomization = workspace.edit(kustomization, json.loads(options.edits))
        keep_origins = kustomization.has_origins()
        if options.edits is None and not keep_origins and (changed := kustomization.with_origins()) is not None:
            (root / kustomization.file).write_bytes(changed)

        def build() -> RenderedPart:
            command = [program, "build", str(root / kustomization.folder)]
            output = tool.run(command, bench, env={}, timeout=options.timeout, file=kustomization.file)
            return _parse_output(output, Origins(root, kustomization), keep_origins=keep_origins)

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


def _parse_output(output: bytes, origins: Origins, *, keep_origins: bool) -> RenderedPart:
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


def _without_origin(value: Any) -> Any:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(annotations, dict) or ORIGIN not in annotations:
        return value
    remaining = {key: text for key, text in annotations.items() if key != ORIGIN}
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
