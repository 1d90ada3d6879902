"""Where kustomize's output comes from: its origin annotations, mapped to files and lines of the repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import join
from typing import Any

from driftd.model.errors import RenderError
from driftd.model.resource import Json, JsonObject, Source, group_of
from driftd.render.kustomization import Kustomization, inside
from driftd.render.manifests import flatten_lists
from driftd.render.yaml.documents import DEFAULT_LIMITS, read_documents, read_yaml, split_documents
from driftd.render.yaml.line_numbers import lines_in

ORIGIN = "config.kubernetes.io/origin"
_GENERATORS = {"ConfigMapGenerator": "configMapGenerator", "SecretGenerator": "secretGenerator"}

_Named = list[tuple[str, int]]
"""Names of objects or generators, each with its line, in the order of the file."""


@dataclass(slots=True)
class _Index:
    """What one file declares, by group and kind; and its generators, by their key."""

    objects: defaultdict[tuple[str, Json], _Named] = field(default_factory=lambda: defaultdict(list))
    generators: defaultdict[str, _Named] = field(default_factory=lambda: defaultdict(list))


class Origins:
    """Finds the sources of objects. Each file is read once."""

    def __init__(self, root: Path, kustomization: Kustomization) -> None:
        """`root`: the folder with all files that kustomize had."""
        self.kustomization = kustomization
        self._root = root
        self._files: dict[str, _Index] = {}

    def source(self, body: Any) -> Source:
        """The source of an object in kustomize's output; the kustomization file if it is unknown."""
        origin = self._origin(body)
        for key in ("path", "configuredIn"):
            if (file := self._file(origin.get(key))) is not None:
                line = _object_line if key == "path" else _generator_line
                return Source(file, line(self._index(file), body, origin), origin="kustomize")
        return Source(self.kustomization.file, 1, origin="kustomize")

    def _file(self, path: Json) -> str | None:
        """The file of the repository at a path from the kustomization's folder.

        The annotation may be the repository's own: it may name anything.
        """
        if not isinstance(path, str) or "\0" in path:
            return None
        file = inside(join(self.kustomization.folder, path))
        return file if file and (self._root / file).is_file() else None

    def _origin(self, body: Any) -> JsonObject:
        metadata = body.get("metadata") if isinstance(body, dict) else None
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        text = annotations.get(ORIGIN) if isinstance(annotations, dict) else None
        try:
            documents = read_documents(text.encode(), self.kustomization.file) if isinstance(text, str) else []
        except RenderError:
            documents = []  # it is the repository's own
        return documents[0].value if documents and isinstance(documents[0].value, dict) else {}

    def _index(self, file: str) -> _Index:
        if file not in self._files:
            own = self.kustomization  # what is on disk has the edits of the deployer
            data = own.data if file == own.file else (self._root / file).read_bytes()
            try:
                self._files[file] = _index_of(data, file)
            except RenderError:
                self._files[file] = _Index()  # kustomize reads YAML that kubectl refuses: the file, without a line
        return self._files[file]


def _index_of(data: bytes, file: str) -> _Index:
    """Raises: RenderError."""
    index = _Index()
    for raw in split_documents(data, file):
        value = raw.value if raw.is_json else read_yaml(raw, file, DEFAULT_LIMITS)[0]
        objects = [(at, each) for at, each in flatten_lists(value) if isinstance(each, dict)]
        generators = list(_generators(value))
        places = [at for at, _ in objects] + [(key, number) for key, number, _ in generators]
        _, lines = lines_in(raw, file, places, DEFAULT_LIMITS)
        for (_, each), line in zip(objects, lines[: len(objects)], strict=True):
            index.objects[_type_of(each)].append((_name_of(each), line))
        for (key, _, name), line in zip(generators, lines[len(objects) :], strict=True):
            index.generators[key].append((name, line))
    return index


def _generators(value: Json) -> Iterator[tuple[str, int, str]]:
    """The generators of a kustomization file: the key that each is under, its number there, and its name."""
    for key in _GENERATORS.values():
        listed = value.get(key) if isinstance(value, dict) else None
        for number, each in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(each, dict) and each.get("name"):
                yield key, number, str(each["name"])


def _object_line(index: _Index, body: JsonObject, _origin: JsonObject) -> int:
    """The line of the object of the same kind with the most similar name: kustomize may have changed the name."""
    name = _name_of(body)
    candidates = [(own == name, own in name, len(own), -line) for own, line in index.objects.get(_type_of(body), ())]
    return -max(candidates)[3] if candidates else 1


def _generator_line(index: _Index, body: JsonObject, origin: JsonObject) -> int:
    """The line of the generator whose name is part of the object's, which adds a prefix, a suffix and a hash."""
    configured_by = origin.get("configuredBy")
    kind = str(configured_by.get("kind")) if isinstance(configured_by, dict) else ""
    name = _name_of(body)
    return next((line for own, line in index.generators.get(_GENERATORS.get(kind, ""), ()) if own in name), 1)


def _type_of(body: JsonObject) -> tuple[str, str]:
    return group_of(str(body.get("apiVersion"))), str(body.get("kind"))


def _name_of(body: JsonObject) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("name") if isinstance(metadata, dict) else "")
