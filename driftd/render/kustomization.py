"""Kustomization files: what of the repository they need, and that it is only of the repository."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import join, normpath

from driftd.model.errors import PathNotFound, RenderError
from driftd.model.path import DocumentPath
from driftd.model.resource import Json, JsonObject
from driftd.render.documents import read_documents
from driftd.render.file_tree import FileTree
from driftd.render.line_numbers import lines_of

KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

# Where kustomize takes a folder, and clones or downloads what it does not find.
_FOLDERS = frozenset({"resources", "bases", "components"})
_CONFIGURED_BY = frozenset({"generators", "transformers", "validators"})
# Every key under which it reads a file, or downloads one where it finds a URL.
_FILES = frozenset({"crds", "configurations", "patchesStrategicMerge", "path", "paths", "files", "env", "envs"})
_URL = re.compile(r"\s*(?:git::|[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_ONLY_LOCAL = "driftd renders from the repository alone: keep a copy of it there"

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

    def asks_for_origins(self) -> bool:
        return "originAnnotations" in (self.body.get("buildMetadata") or [])

    def with_origins(self) -> bytes | None:
        """The file's content, asking for origin annotations as well; None where that takes more than a line.

        Written into the text, since a rewritten file or one around it could be read in another way.
        """
        wanted = {**self.body, "buildMetadata": ["originAnnotations", *(self.body.get("buildMetadata") or [])]}
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
            if [document.value for document in documents] == [wanted] and changed.count("buildMetadata:") == 1:
                return changed.encode()
        return None


class Workspace:
    """A folder on disk with what a kustomization needs, at its paths in the repository."""

    def __init__(self, tree: FileTree, root: Path) -> None:
        """`root`: an empty folder, without links on its way."""
        self._tree = tree
        self._root = root
        self._kustomizations: dict[str, Kustomization] = {}
        self._exported: set[str] = set()

    def gather(self, folder: str) -> Kustomization:
        """Export a folder and every base and component that it builds on, and read its kustomization file.

        Raises: RenderError: something is remote, outside of the repository, or not there.
        """
        if folder not in self._kustomizations:
            self._bring(folder)
            found = self._read(folder)
            self._kustomizations[folder] = found
            for path, entry in _paths(found.body):
                self._follow(found, path, entry)
        return self._kustomizations[folder]

    def file_of(self, folder: str) -> str:
        """The kustomization file of a folder that was gathered, or the folder itself."""
        found = self._kustomizations.get(folder)
        return found.file if found else folder

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

    def _follow(self, user: Kustomization, path: DocumentPath, entry: str) -> None:
        key = next(step for step in reversed(path) if isinstance(step, str))
        if "\n" in entry:
            return  # it is written out in place, it names nothing
        named = entry.rpartition("=")[2] if key == "files" else entry
        if _URL.match(named) or _URL.match(entry):
            raise _error(user, path, f"{entry} is remote, and {_ONLY_LOCAL}")
        target = _normal(join(user.folder, named))
        if key not in _FOLDERS | _CONFIGURED_BY:
            # Below `path` there are paths of fields as well, so only what is a file can be judged.
            if target and self._bring(target) and (self._root / target).is_file():
                _must_be_inside(user, path, entry, target)
        elif target is None:
            raise _error(user, path, f"{entry} leads out of the repository")
        elif not self._bring(target):
            if key in _FOLDERS:
                raise _error(user, path, f"{entry} is no file and no folder of the repository, and {_ONLY_LOCAL}")
        elif (self._root / target).is_dir():
            self._gather_for(user, path, entry, target)
        else:
            _must_be_inside(user, path, entry, target)
            if key in _CONFIGURED_BY:
                self._check_configuration(target)

    def _gather_for(self, user: Kustomization, path: DocumentPath, entry: str, target: str) -> None:
        if not any((self._root / target / name).is_file() for name in KUSTOMIZATION_FILES):
            raise _error(user, path, f"the folder {entry} has no kustomization file")
        self.gather(target)

    def _check_configuration(self, file: str) -> None:
        """The configuration of a generator or transformer may not name anything remote either."""
        data = (self._root / file).read_bytes()
        for document in read_documents(data, file):
            for path, entry in _paths(document.value):
                if _URL.match(entry.rpartition("=")[2]) and "\n" not in entry:
                    [line] = lines_of(data, file, document.start, [path])
                    raise RenderError(f"{entry} is remote, and {_ONLY_LOCAL}", file=file, line=line)

    def _bring(self, target: str | None) -> bool:
        """Have a file or folder of the repository in the workspace; False where there is none."""
        if target is None:
            return False
        if not any(_is_in(target, each) for each in self._exported):
            try:
                self._tree.files(target)
            except PathNotFound:
                return False
            # What was exported of it before comes again with the whole.
            for each in [each for each in self._exported if _is_in(each, target)]:
                self._exported.remove(each)
                _remove(self._root / each)
            self._tree.export(self._root, under=target)
            self._exported.add(target)
        return (self._root / target).exists()


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _paths(value: Json, at: DocumentPath = (), key: str = "") -> Iterator[tuple[DocumentPath, str]]:
    """Every string that stands where kustomize wants a path, and where it is."""
    match value:
        case str():
            if key in _FOLDERS | _CONFIGURED_BY | _FILES:
                yield at, value
        case dict():
            for name, inner in value.items():
                yield from _paths(inner, (*at, name), name)
        case list():
            for index, inner in enumerate(value):
                yield from _paths(inner, (*at, index), key)


def _must_be_inside(user: Kustomization, path: DocumentPath, entry: str, target: str | None) -> None:
    if not _is_in(target or "", user.folder):
        message = f"{entry} is outside of {user.folder}, and kustomize reads files only in and below its own folder"
        raise _error(user, path, f"{message}: put it into a base")


def _normal(path: str) -> str | None:
    """A path from the repository's root without `..`; None where it leads out."""
    path = normpath(path)
    if path.startswith(("/", "../")) or path == "..":
        return None
    return "" if path == "." else path


def _error(user: Kustomization, path: DocumentPath, message: str) -> RenderError:
    return RenderError(message, file=user.file, line=user.line(path))
