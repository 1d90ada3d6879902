"""Reading many objects with one `git cat-file --batch`; Git itself follows symlinks inside the repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from driftd.git.runner import GitRunner
from driftd.model.errors import GitError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object that was requested by name. `kind` is `blob` or `tree`, or why there is none: `missing`, `symlink`
    (it leads out of the repository), `dangling`, `loop`, `notdir`. `size` is in bytes."""

    name: str
    kind: str
    oid: str | None
    size: int


def object_infos(git: GitRunner, names: Sequence[str]) -> list[ObjectInfo]:
    """Kind and size of objects. A name is an object's hash, or `COMMIT:PATH`, without a line break."""
    infos = []
    with git.stream("cat-file", "--batch-check", "--follow-symlinks", stdin=_stdin_of(names)) as out:
        for name in names:
            info = _read_header(out, name)
            if info.oid is None:
                _skip_detail(out, info)
            infos.append(info)
    return infos


def read_objects(git: GitRunner, names: Sequence[str], take: Callable[[ObjectInfo, Iterator[bytes]], None]) -> None:
    """Calls `take` with each object and its content in chunks. Chunks that `take` does not consume are skipped."""
    with git.stream("cat-file", "--batch", "--follow-symlinks", "--buffer", stdin=_stdin_of(names)) as out:
        for name in names:
            info = _read_header(out, name)
            if info.oid is None:
                _skip_detail(out, info)
                take(info, iter(()))
                continue
            chunks = _read_chunks(out, info.size)
            take(info, chunks)
            for _ in chunks:
                pass
            _read_exactly(out, 1)


def read_blobs(git: GitRunner, blobs: Iterable[str], max_bytes: int) -> dict[str, bytes]:
    """The contents of blobs in their order, until they exceed `max_bytes`. Raises: GitError: one is missing."""
    names = list(dict.fromkeys(blobs))
    contents: dict[str, bytes] = {}
    left = max_bytes

    def take(info: ObjectInfo, chunks: Iterator[bytes]) -> None:
        nonlocal left
        if info.kind != "blob":
            raise GitError(f"object {info.name} is {info.kind}")
        left -= info.size
        if left >= 0:
            contents[info.name] = b"".join(chunks)

    if names:
        read_objects(git, names, take)
    return contents


def _stdin_of(names: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\n" for name in names)


def _read_header(out: IO[bytes], name: str) -> ObjectInfo:
    """Source: git-cat-file(1), "BATCH OUTPUT"."""
    line = out.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    line = line[:-1]
    encoded = os.fsencode(name)
    if line in (encoded + b" missing", encoded + b" ambiguous"):
        return ObjectInfo(name, "missing", None, 0)
    words = line.decode(errors="replace").split(" ")
    if len(words) == 3:
        return ObjectInfo(name, words[1], words[0], int(words[2]))
    return ObjectInfo(name, words[0], None, int(words[1]))


def _skip_detail(out: IO[bytes], info: ObjectInfo) -> None:
    if info.kind != "missing":
        _read_exactly(out, info.size + 1)


def _read_chunks(out: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        chunk = out.read(min(size, _CHUNK_BYTES))
        if not chunk:
            raise EOFError
        size -= len(chunk)
        yield chunk


def _read_exactly(out: IO[bytes], size: int) -> None:
    if len(out.read(size)) != size:
        raise EOFError
