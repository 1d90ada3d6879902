"""Small programs around the peers' own libraries, built once from `benchmarks/peers` into the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from pathlib import Path

from benchmarks.table import progress
from tests.support.go_programs import cache_folder, go

SOURCES = Path(__file__).resolve().parent / "peers"


def program(name: str) -> Path:
    """The program of a peer, built if it is missing.

    Raises: GoMissing: there is no Go. RuntimeError: the build failed; the text has the compiler's output.
    """
    target = cache_folder() / "peers" / f"{name}-{_key(name)}"
    if os.access(target, os.X_OK):
        return target
    progress(f"Building what {name} compares with (once; a few minutes) …")
    target.parent.mkdir(parents=True, exist_ok=True)
    toolchain = go(progress)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
        result = Path(scratch) / name
        build = toolchain.run(["build", "-ldflags", "-s -w", "-o", str(result), "."], cwd=SOURCES / name)
        if build.returncode != 0:
            raise RuntimeError(f"{name} could not be built with {toolchain.program}:\n{build.stderr[-2000:]}")
        result.replace(target)
    return target


def _key(name: str) -> str:
    recipe = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for file in sorted((SOURCES / name).iterdir()):
        recipe.update(file.name.encode() + file.read_bytes())
    return recipe.hexdigest()[:12]
