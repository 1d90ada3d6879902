"""Kustomization files: collects the files of the repository that they refer to, and refuses remote ones."""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import join, normpath

from driftd.model.errors import PathNotFound, RenderError
from driftd.model.path import DocumentPath
from driftd.model.resource import Json, JsonObject
from driftd.render.file_tree import FileTree
from driftd.render.kustomization_edits import IGNORE_MISSING_COMPONENTS, edited
from driftd.render.yaml.documents import read_documents
from driftd.render.yaml.line_numbers import lines_of

KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

# Keys whose entries may be folders. kustomize clones or downloads an entry that does not exist.
_FOLDER_KEYS = frozenset({"resources", "bases", "components"})
_PLUGIN_KEYS = frozenset({"generators", "transformers", "validators"})
# Keys whose values are files. kustomize downloads a value that is a URL.
_FILE_KEYS = frozenset({"crds", "configurations", "patchesStrategicMerge", "path", "paths", "files", "env", "envs"})
_URL = re.compile(r"\s*(?:git::|[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_CONTENT = re.compile(r"^\s*[{\[]|:\s")
"""What YAML on one line has in it, and no path."""
_MAX_FOLDERS = 200
"""Each may use the next, one inside of the other."""
_ONLY_LOCAL = "driftd renders from the repository alone: keep a copy of it there"

ORIGIN_ANNOTATIONS = "originAnnotations"
_BUILD_METADATA_LIST = re.compile(r"^(buildMetadata:[ ]*\n)([ ]*- )", re.MULTILINE)
_BUILD_METADATA_FLOW = re.compile(r"^(buildMetadata:[ ]*\[)(?=.*\])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kustomization:
    """The kustomization file of a folder. Paths are relative to the repository's root."""

    folder: str
    file: str
    data: bytes
    body: JsonObject
    document: int

    def line(self, path: DocumentPath) -> int:
        return lines_of(self.data, self.file, self.document, [path])[0]

    @property
    def _build_metadata(self) -> list[Json]:
        value = self.body.get("buildMetadata")
        return value if isinstance(value, list) else []  # kustomize refuses anything else

    def has_origins(self) -> bool:
        return ORIGIN_ANNOTATIONS in self._build_metadata

    @property
    def body_with_origins(self) -> JsonObject:
        """What is in the file, with origin annotations enabled."""
        others = [each for each in self._build_metadata if each != ORIGIN_ANNOTATIONS]
        return {**self.body, "buildMetadata": [ORIGIN_ANNOTATIONS, *others]}

    def with_origins(self) -> bytes | None:
        """The file's content with origin annotations enabled; None if that takes more than a changed line.

        The text is edited, since a rewritten file, or another one that includes it, could have another meaning.
        """
        expected = self.body_with_origins
        text = self.data.decode(errors="replace")
        for changed in (
            f"{text.rstrip()}\nbuildMetadata: [originAnnotations]\n",
            _BUILD_METADATA_LIST.sub(r"\1\2originAnnotations\n\2", text, count=1),
            _BUILD_METADATA_FLOW.sub(r"\1originAnnotations, ", text, count=1),
        ):
            try:
                documents = read_documents(changed.encode(), self.file)
            except RenderError:
                continue
            if [document.value for document in documents] == [expected] and changed.count("buildMetadata:") == 1:
                return changed.encode()
        return None


class Workspace:
    """A folder on disk with the files that a kustomization needs, at their paths in the repository."""

    def __init__(self, tree: FileTree, root: Path) -> None:
        """`root`: an empty folder whose path has no symlinks."""
        self._tree = tree
        self._root = root
        self._kustomizations: dict[str, Kustomization] = {}
        self._exported: set[str] = set()

    def collect(self, folder: str, resources: Sequence[str] | None = None) -> Kustomization:
        """Exports a folder with all bases and components that it uses, and reads its kustomization file.

        With `resources`, paths in the folder, it gets a file that lists them.
        Raises: RenderError: something is remote, outside of the repository, or missing.
        """
        if folder not in self._kustomizations:
            if len(self._kustomizations) >= _MAX_FOLDERS:
                raise RenderError(f"this uses more than {_MAX_FOLDERS} folders with kustomization files", file=folder)
            self._export(folder)
            if resources is not None:
                listed = {"resources": [posixpath.relpath(path, folder or ".") for path in resources]}
                (self._root / folder / KUSTOMIZATION_FILES[0]).write_text(json.dumps(listed))
            kustomization = self._read(folder)
            self._kustomizations[folder] = kustomization
            for path, entry in _path_entries(kustomization.body):
                self._collect_reference(kustomization, path, entry)
        return self._kustomizations[folder]

    def edit(self, kustomization: Kustomization, edits: JsonObject) -> Kustomization:
        """A kustomization with further fields in its own file; what it makes has origins, and its lines are Git's.

        Raises: RenderError: as `collect`.
        """
        components = edits.get("components") or []
        if edits.get(IGNORE_MISSING_COMPONENTS):
            components = [each for each in components if self._export(inside(join(kustomization.folder, each)))]
        edits = {**edits, **({"components": components} if components else {})}
        body = edited(kustomization.body, edits)
        self._collect_components(kustomization, components)
        changed = replace(kustomization, body=body)
        (self._root / kustomization.file).write_text(json.dumps(changed.body_with_origins))
        return changed

    def _collect_components(self, kustomization: Kustomization, components: Sequence[str]) -> None:
        """The same for components that its file does not name."""
        body: JsonObject = {"components": list(components)}
        data = json.dumps(body).encode()
        [document] = read_documents(data, kustomization.file)
        base = replace(kustomization, data=data, body=body, document=document.start)
        for path, entry in _path_entries(body):
            try:
                self._collect_reference(base, path, entry)
            except RenderError as error:  # its line would be one of the file
                raise RenderError(error.message, file=kustomization.file) from error

    def file_of(self, folder: str) -> str:
        """The kustomization file of a collected folder, or the folder itself."""
        kustomization = self._kustomizations.get(folder)
        return kustomization.file if kustomization else folder

    def _read(self, folder: str) -> Kustomization:
        for name in KUSTOMIZATION_FILES:
            file = join(folder, name)
            if (self._root / file).is_file():
                data = (self._root / file).read_bytes()
                documents = read_documents(data, file)
                if len(documents) != 1 or not isinstance(documents[0].value, dict):
                    raise RenderError("a kustomization file holds one map", file=file)
                return Kustomization(folder, file, data, documents[0].value, documents[0].start)
        raise RenderError("this folder has no kustomization file, so it is no base", file=folder)

    def _collect_reference(self, kustomization: Kustomization, path: DocumentPath, entry: str) -> None:
        key = next(step for step in reversed(path) if isinstance(step, str))
        inline = _inline_configuration(entry, kustomization.file) if key in _PLUGIN_KEYS else []
        for each in [inner for value in inline for _, inner in _path_entries(value)] if inline else [entry]:
            if _is_remote(each):
                shown = _without_credentials(_without_content(each))
                raise _error(kustomization, path, f"{shown} is remote, and {_ONLY_LOCAL}")
        if inline or "\n" in entry:
            return  # content, not a path
        reference = entry.rpartition("=")[2] if key == "files" else entry
        target = inside(join(kustomization.folder, reference))
        if key not in _FOLDER_KEYS | _PLUGIN_KEYS:
            # `path` is also used for paths of fields, so an entry that is no file is no error.
            if target and self._export(target) and (self._root / target).is_file():
                _require_inside(kustomization, path, entry, target)
        elif target is None:
            raise _error(kustomization, path, f"{_without_content(entry)} leads out of the repository")
        elif not self._export(target):
            shown = _without_content(entry)
            raise _error(kustomization, path, f"{shown} is no file and no folder of the repository, and {_ONLY_LOCAL}")
        elif (self._root / target).is_dir():
            self._collect_folder(kustomization, path, entry, target)
        else:
            _require_inside(kustomization, path, entry, target)
            if key in _PLUGIN_KEYS:
                self._refuse_remote_entries(target)

    def _collect_folder(self, kustomization: Kustomization, path: DocumentPath, entry: str, target: str) -> None:
        if not any((self._root / target / name).is_file() for name in KUSTOMIZATION_FILES):
            raise _error(kustomization, path, f"the folder {entry} has no kustomization file")
        self.collect(target)

    def _refuse_remote_entries(self, file: str) -> None:
        """Refuses a configuration of a generator or transformer that refers to remote files."""
        data = (self._root / file).read_bytes()
        for document in read_documents(data, file):
            for path, entry in _path_entries(document.value):
                if _is_remote(entry):
                    [line] = lines_of(data, file, document.start, [path])
                    raise RenderError(
                        f"{_without_credentials(entry)} is remote, and {_ONLY_LOCAL}", file=file, line=line
                    )

    def _export(self, target: str | None) -> bool:
        """Exports a file or folder of the repository into the workspace; False if there is none."""
        if target is None:
            return False
        if not any(_is_in(target, each) for each in self._exported):
            try:
                self._tree.files(target)
            except PathNotFound:
                return False
            # Parts of it that were exported before are exported again with the whole.
            for each in [each for each in self._exported if _is_in(each, target)]:
                self._exported.remove(each)
                _remove(self._root / each)
            self._tree.export(self._root, under=target)
            self._exported.add(target)
        return (self._root / target).exists()


def _is_remote(entry: str) -> bool:
    """Whether kustomize could take an entry, or in `files` what follows its key, for an address."""
    return "\n" not in entry and bool(_URL.match(entry) or _URL.match(entry.rpartition("=")[2]))


def _inline_configuration(entry: str, file: str) -> list[JsonObject]:
    """The configurations that an entry of `generators` and the like holds itself; none where it is a path."""
    try:
        values = [document.value for document in read_documents(entry.encode(), file)]
    except RenderError:
        return []
    return values if all(isinstance(value, dict) for value in values) else []


def _without_content(entry: str) -> str:
    """An entry, unless it is content in place of a path: that may be a Secret's."""
    return "this entry" if _CONTENT.search(entry) else entry


def _without_credentials(url: str) -> str:
    """A remote entry without what may hold a token: user, password and query."""
    return url.rpartition("@")[2].partition("?")[0]


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _path_entries(value: Json, at: DocumentPath = (), key: str = "") -> Iterator[tuple[DocumentPath, str]]:
    """Every string that kustomize takes for a path, with its own path in the document."""
    match value:
        case str():
            if key in _FOLDER_KEYS | _PLUGIN_KEYS | _FILE_KEYS:
                yield at, value
        case dict():
            for name, inner in value.items():
                yield from _path_entries(inner, (*at, name), name)
        case list():
            for index, inner in enumerate(value):
                yield from _path_entries(inner, (*at, index), key)


def _require_inside(kustomization: Kustomization, path: DocumentPath, entry: str, target: str | None) -> None:
    if not _is_in(target or "", kustomization.folder):
        message = (
            f"{entry} is outside of {kustomization.folder}, and kustomize reads files only in and below its own folder"
        )
        raise _error(kustomization, path, f"{message}: put it into a base")


def inside(path: str) -> str | None:
    """A path from the repository's root without `..`; None if it leads out."""
    path = normpath(path)
    if path.startswith(("/", "../")) or path == "..":
        return None
    return "" if path == "." else path


def _error(kustomization: Kustomization, path: DocumentPath, message: str) -> RenderError:
    return RenderError(message, file=kustomization.file, line=kustomization.line(path))
