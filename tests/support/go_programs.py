"""Programs that are built once from their Go modules into the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.go_toolchain import GoMissing, GoToolchain, find_go


class AssetsError(Exception):
    """The programs are not available. The text has the reason and what to do."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A program: its Go package, linker flags and the arguments that print its version.

    `module` is a folder below the set's recipes with its own go.mod, `seconds` the time of a cold build on 2 cores.
    """

    name: str
    package: str
    version: str
    ask: tuple[str, ...]
    seconds: int
    module: str = "."
    flags: tuple[str, ...] = ()


def cache_folder() -> Path:
    """The cache for programs that are expensive to build: `driftd` in `$XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "driftd"


def go(progress: Callable[[str], None]) -> GoToolchain:
    """A Go toolchain, installed into the cache where there is none. Raises: GoMissing: it could not be installed."""
    return find_go(cache_folder() / "controlplane" / "go", progress)


@dataclass(frozen=True, slots=True)
class GoPrograms:
    """A set of programs that is cached together: any change of its recipes builds all of it anew.

    `recipes` is the folder of the Go modules, `folder` the name of the set in the cache, `version` begins the name of
    each build.
    """

    folder: str
    version: str
    recipes: Path
    binaries: tuple[Binary, ...]

    @property
    def cache(self) -> Path:
        """Where the set's builds are."""
        return cache_folder() / self.folder

    @property
    def key(self) -> str:
        """The name of the build's folder: the platform, the version, and a hash of all inputs of a build."""
        recipe = hashlib.sha256(repr(self.binaries).encode())
        for file in sorted(path for path in self.recipes.rglob("*") if path.suffix in (".go", ".mod", ".sum")):
            recipe.update(file.relative_to(self.recipes).as_posix().encode())
            recipe.update(file.read_bytes())
        machine = f"{platform.system()}-{platform.machine()}".lower()
        return f"{self.version}-{machine}-{recipe.hexdigest()[:12]}"

    def ensure(self, binaries: Sequence[Binary] = ()) -> Path:
        """The folder with these programs, or all of the set, each of which runs.

        Concurrent callers build once. A program that does not run is built again.

        Raises: AssetsError: a build failed.
        """
        wanted = binaries or self.binaries
        folder = self.cache / self.key
        if _broken(folder, wanted):
            with _locked(folder):
                missing = _broken(folder, wanted)  # another process may have built them while this one waited
                if missing:
                    _build(self.recipes, folder, missing)
        return folder


def _broken(folder: Path, binaries: Sequence[Binary]) -> list[Binary]:
    """The programs that are missing or do not report the expected version."""
    with ThreadPoolExecutor() as pool:
        sound = pool.map(lambda binary: _runs(folder / binary.name, binary), binaries)
        return [binary for binary, runs in zip(binaries, sound, strict=True) if not runs]


def _runs(path: Path, binary: Binary) -> bool:
    if not os.access(path, os.X_OK):
        return False
    try:
        answer = subprocess.run([path, *binary.ask], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and binary.version in answer.stdout


def _build(recipes: Path, folder: Path, binaries: Sequence[Binary]) -> None:
    """Builds the programs. Each one is installed as soon as it is built, so that an aborted build is resumed."""
    minutes = max(1, round(sum(binary.seconds for binary in binaries) / 60))
    names = ", ".join(binary.name for binary in binaries)
    say(f"Building {names} into {folder}")
    say(f"This is done once; on 2 cores it usually takes about {minutes} min.")
    started = time.monotonic()
    for leftover in folder.glob(".build-*"):  # of a killed build: with the lock held, no other process uses it
        shutil.rmtree(leftover)
    try:
        toolchain = go(say)
    except GoMissing as error:
        raise AssetsError(str(error)) from error
    for number, binary in enumerate(binaries, 1):
        say(f"  [{number}/{len(binaries)}] {binary.name} {binary.version} …")
        before = time.monotonic()
        _build_one(toolchain, recipes, folder, binary)
        say(f"  [{number}/{len(binaries)}] {binary.name} {binary.version}: {time.monotonic() - before:.0f} s")
    say(f"Built in {time.monotonic() - started:.0f} s.")


def _build_one(toolchain: GoToolchain, recipes: Path, folder: Path, binary: Binary) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        result = Path(scratch) / binary.name
        linked = " ".join(("-s", "-w", *binary.flags))
        command = ["build", "-ldflags", linked, "-o", str(result), binary.package]
        build = toolchain.run(command, cwd=recipes / binary.module)
        if build.returncode != 0:
            tail = "\n".join(build.stderr.splitlines()[-20:])
            raise AssetsError(f"{binary.name} could not be built with {toolchain.program}:\n{tail}")
        if not _runs(result, binary):
            raise AssetsError(f"{binary.name} was built but does not run as version {binary.version}.")
        result.replace(folder / binary.name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock; the system releases it at the end of the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another process is building into {folder}; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
