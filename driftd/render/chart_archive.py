"""Charts that are packed as archives (`charts/*.tgz`)."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

MAX_UNPACKED = 256 << 20
"""Bytes that an archive may hold."""

_ENDS = (tarfile.TarError, OSError, EOFError, zlib.error)


class UnreadableArchive(Exception):
    """It is no archive that can be read, or holds too much; the message says which."""


def read(data: bytes) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of an archive. Raises: UnreadableArchive."""
    for entry, content in _entries(data):
        if entry.isfile():
            yield PurePosixPath(entry.name), content


def rewrite(data: bytes, change: Callable[[PurePosixPath, bytes], bytes]) -> bytes:
    """An archive with what `change` makes of the content of each file; the same bytes where it changes none.

    Raises: UnreadableArchive.
    """
    packed, changed = io.BytesIO(), False
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for entry, content in _entries(data):
            after = change(PurePosixPath(entry.name), content) if entry.isfile() else content
            changed |= after != content
            entry.size = len(after)
            archive.addfile(entry, io.BytesIO(after) if entry.isfile() else None)
    return packed.getvalue() if changed else data


def _entries(data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    unpacked = 0
    try:
        # tarfile's own reader of gzip fails at the extra field in the header that helm writes.
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for entry in archive:
                unpacked += entry.size
                if unpacked > MAX_UNPACKED:
                    raise UnreadableArchive(f"this archive holds more than {MAX_UNPACKED >> 20} MiB")
                content = archive.extractfile(entry) if entry.isfile() else None
                yield entry, content.read() if content else b""
    except _ENDS as error:
        raise UnreadableArchive("this is no archive that can be read") from error
