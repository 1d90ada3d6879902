"""The objects of the benchmarks, as manifests in Git and as deployed objects."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TEMPLATES = Path(__file__).resolve().parent / "templates"
FOLDER = "apps"
"""The folder of the manifests in the repository."""

IMAGE = "1.4.2"
"""The tag that every Deployment declares."""

STATUS = (TEMPLATES / "deployment-status.json").read_text()
"""The status of a Deployment after its rollout."""

_NAMESPACES = 20
_COLLECTIONS = {"deployment": "apis/apps/v1", "service": "api/v1", "configmap": "api/v1"}
KINDS = tuple(_COLLECTIONS)


@dataclass(frozen=True, slots=True)
class DeclaredObject:
    """An object and the text of its manifest."""

    kind: str
    namespace: str
    name: str
    text: str

    @property
    def collection(self) -> str:
        """The API path of its collection."""
        return f"/{_COLLECTIONS[self.kind]}/namespaces/{self.namespace}/{self.kind}s"

    @property
    def item(self) -> str:
        """Its API path."""
        return f"{self.collection}/{self.name}"

    @property
    def file(self) -> str:
        """Its path in the repository."""
        return f"{FOLDER}/{self.namespace}/{self.name}-{self.kind}.yaml"


def declare(kind: str, namespace: str, name: str) -> DeclaredObject:
    """An object from the template of its kind."""
    return DeclaredObject(
        kind, namespace, name, fill_template((TEMPLATES / f"{kind}.yaml").read_text(), namespace, name)
    )


def declared_objects(objects: int, kinds: tuple[str, ...] = ("deployment",)) -> Iterator[DeclaredObject]:
    """Objects in twenty namespaces, alternating between kinds."""
    templates = {kind: (TEMPLATES / f"{kind}.yaml").read_text() for kind in kinds}
    for number in range(objects):
        kind = kinds[number % len(kinds)]
        namespace, name = f"team-{number % _NAMESPACES:02d}", f"shop-{number // len(kinds):06d}"
        yield DeclaredObject(kind, namespace, name, fill_template(templates[kind], namespace, name))


def fill_template(text: str, namespace: str, name: str) -> str:
    """The text of a template with its placeholders replaced."""
    return text.replace("NAMESPACE", namespace).replace("NAME", name)


class Repository:
    """A Git repository with one file for each object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, objects: Iterable[DeclaredObject]) -> int:
        """Commits the objects; returns their number."""
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
        """Commits `new` in place of `old` in the file of an object."""
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
