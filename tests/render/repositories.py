"""Repositories written down in a test: a folder of files as a tree that can be rendered."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from driftd.render.file_tree import FolderTree


def write(root: Path, files: dict[str, str]) -> Path:
    """Writes files by their paths below `root`; their texts may be indented as the test is."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"))
    return root


def tree(root: Path, path: str, files: dict[str, str]) -> FolderTree:
    return FolderTree(write(root, files), path)


def config_map(name: str, namespace: str | None = None) -> str:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    body = ", ".join(f"{key}: {value}" for key, value in metadata.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{{body}}}\n"


def archive(files: Mapping[str, bytes]) -> bytes:
    """A chart as `helm package` would pack it, by the paths of its files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            members.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
