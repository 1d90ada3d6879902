"""Many objects by one `git cat-file --batch`, with links inside the repository followed by Git itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from driftd.git.runner import Shell

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What one name stands for: a `blob` or a `tree`, or why nothing: `missing`, `symlink` (leads out), `dangling`,
    `loop`, `notdir`. `size` is the object's, in bytes."""

    name: str
    kind: str
    oid: str | None
    size: int


def answers(shell: Shell, names: Sequence[str]) -> list[Answer]:
    """What each of these names stands for. A name is an object's, or `COMMIT:PATH`, without a line break."""
    found = []
    with shell.stream("cat-file", "--batch-check", "--follow-symlinks", stdin=_lines(names)) as out:
        for name in names:
            answer = _header(out, name)
            if answer.oid is None:
                _skip(out, answer)
            found.append(answer)
    return found


def contents(shell: Shell, names: Sequence[str], take: Callable[[Answer, Iterator[bytes]], None]) -> None:
    """Hands each object to `take`, with its content in parts. What `take` leaves of it is passed over."""
    with shell.stream("cat-file", "--batch", "--follow-symlinks", "--buffer", stdin=_lines(names)) as out:
        for name in names:
            answer = _header(out, name)
            if answer.oid is None:
                _skip(out, answer)
                take(answer, iter(()))
                continue
            parts = _parts(out, answer.size)
            take(answer, parts)
            for _ in parts:
                pass
            _exactly(out, 1)


def _lines(names: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\n" for name in names)


def _header(out: IO[bytes], name: str) -> Answer:
    """Source: git-cat-file(1), "BATCH OUTPUT"."""
    line = out.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    line = line[:-1]
    asked = os.fsencode(name)
    if line in (asked + b" missing", asked + b" ambiguous"):
        return Answer(name, "missing", None, 0)
    words = line.decode(errors="replace").split(" ")
    if len(words) == 3:
        return Answer(name, words[1], words[0], int(words[2]))
    return Answer(name, words[0], None, int(words[1]))


def _skip(out: IO[bytes], answer: Answer) -> None:
    if answer.kind != "missing":
        _exactly(out, answer.size + 1)


def _parts(out: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        part = out.read(min(size, _CHUNK))
        if not part:
            raise EOFError
        size -= len(part)
        yield part


def _exactly(out: IO[bytes], size: int) -> None:
    if len(out.read(size)) != size:
        raise EOFError
