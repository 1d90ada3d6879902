"""Files in Git that stand for others (Git LFS pointers, encrypted files), as a renderer comes upon them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from driftd.model.errors import RenderError
from driftd.model.stand_in import LFS_POINTER, SOPS_VALUE, stand_in


def stand_ins_in(folder: Path) -> dict[Path, str]:
    """The files below a folder that are stand-ins, and what each is."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink() and (what := stand_in(file.read_bytes())) is not None:
            found[file] = what
    return found


def alter(file: Path) -> None:
    """Makes a stand-in another one of its kind: what is made from it differs, and shows that way."""
    data = file.read_bytes()
    for mark in (LFS_POINTER, SOPS_VALUE):
        if mark in data:
            file.write_bytes(data.replace(b"sha256:", b"sha256:0").replace(SOPS_VALUE, SOPS_VALUE + b"A"))
            return
    file.write_bytes(data + b"\n")


def with_note(error: RenderError, stand_ins: Mapping[Path, str], root: Path) -> RenderError:
    """The error of a renderer, with the first of these files, which may be its reason."""
    for file, what in stand_ins.items():
        note = f"(note that {file.relative_to(root)} is {what}: what it stands for is not in the repository)"
        return RenderError(f"{error.message} {note}", file=error.file, line=error.line, column=error.column)
    return error
