"""The objects that the benchmarks are about: as Git declares them, and as they are once they are deployed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TEMPLATES = Path(__file__).resolve().parent / "templates"
FOLDER = "apps"
"""Where the repository keeps the manifests."""

IMAGE = "1.4.2"
"""The tag that every Deployment declares."""

STATUS = (TEMPLATES / "deployment-status.json").read_text()
"""What its controller writes of a Deployment that has rolled out."""

_NAMESPACES = 20
_COLLECTIONS = {"deployment": "apis/apps/v1", "service": "api/v1", "configmap": "api/v1"}
KINDS = tuple(_COLLECTIONS)


@dataclass(frozen=True, slots=True)
class DeclaredObject:
    """One object, and the text of the manifest that declares it."""

    kind: str
    namespace: str
    name: str
    text: str

    @property
    def collection(self) -> str:
        """The path of its collection in the API."""
        return f"/{_COLLECTIONS[self.kind]}/namespaces/{self.namespace}/{self.kind}s"

    @property
    def item(self) -> str:
        """Its own path in the API."""
        return f"{self.collection}/{self.name}"

    @property
    def file(self) -> str:
        """Its path in the repository."""
        return f"{FOLDER}/{self.namespace}/{self.name}-{self.kind}.yaml"


def declare(kind: str, namespace: str, name: str) -> DeclaredObject:
    """One object of a template."""
    return DeclaredObject(
        kind, namespace, name, fill_template((TEMPLATES / f"{kind}.yaml").read_text(), namespace, name)
    )


def declared_objects(objects: int, kinds: tuple[str, ...] = ("deployment",)) -> Iterator[DeclaredObject]:
    """So many objects in twenty namespaces, the kinds taking turns."""
    templates = {kind: (TEMPLATES / f"{kind}.yaml").read_text() for kind in kinds}
    for number in range(objects):
        kind = kinds[number % len(kinds)]
        namespace, name = f"team-{number % _NAMESPACES:02d}", f"shop-{number // len(kinds):06d}"
        yield DeclaredObject(kind, namespace, name, fill_template(templates[kind], namespace, name))


def fill_template(text: str, namespace: str, name: str) -> str:
    """A template's text for one object."""
    return text.replace("NAMESPACE", namespace).replace("NAME", name)


class Repository:
    """A Git repository in a folder of its own, with one file for each object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, objects: Iterable[DeclaredObject]) -> int:
        """Commits the objects; returns how many there were."""
        self.folder.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        count = 0
        for obj in objects:
            file = self.folder / obj.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(obj.text)
            count += 1
        self._commit("Declare everything")
        return count

    def change(self, obj: DeclaredObject, old: str, new: str) -> None:
        """Commits another text in place of `old` in the file of one object."""
        file = self.folder / obj.file
        text = file.read_text()
        if old not in text:
            raise ValueError(f"{file} does not hold {old}")
        file.write_text(text.replace(old, new))
        self._commit(f"Change {obj.name}")

    def _commit(self, subject: str) -> None:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", subject)

    def _git(self, *arguments: str) -> None:
        settings = ("user.name=Bench", "user.email=bench@example.com", "gc.auto=0")
        options = [part for setting in settings for part in ("-c", setting)]
        subprocess.run(  # noqa: S603  # Git, with arguments of ours
            ["git", *options, *arguments],  # noqa: S607  # the one on the PATH, as driftd takes it
            cwd=self.folder,
            check=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        )
