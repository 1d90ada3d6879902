"""The programs of a real Kubernetes control plane, built once from their Go modules into the user's cache folder.

`python -m tests.support.assets` builds what is missing and prints the folder.
"""

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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.go_toolchain import GoMissing, GoToolchain, find_go

RECIPES = Path(__file__).resolve().parent.parent / "controlplane"
KUBERNETES = "v1.37.2"
_KUBERNETES_FLAGS = (
    f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}",
    "-X k8s.io/component-base/version.gitMajor=1",
    "-X k8s.io/component-base/version.gitMinor=37",
)


class AssetsError(Exception):
    """The control plane's programs are not available. The text has the reason and what to do."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A program: its Go package, linker flags and the arguments that print its version.

    `module` is a folder below `tests/controlplane` with its own go.mod, `seconds` the time of a cold build on 2 cores.
    """

    name: str
    package: str
    version: str
    ask: tuple[str, ...]
    seconds: int
    module: str = "."
    flags: tuple[str, ...] = ()


BINARIES = (
    Binary("etcd", "./etcd", "3.7.0", ("--version",), 30),
    Binary(
        "kubectl", "k8s.io/kubernetes/cmd/kubectl", KUBERNETES, ("version", "--client"), 90, flags=_KUBERNETES_FLAGS
    ),
    Binary(
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        KUBERNETES,
        ("--version",),
        240,
        flags=_KUBERNETES_FLAGS,
    ),
    Binary(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        KUBERNETES,
        ("--version",),
        90,
        flags=_KUBERNETES_FLAGS,
    ),
    Binary("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1", ("version",), 15, module="kustomize"),
    Binary(
        "helm",
        "helm.sh/helm/v4/cmd/helm",
        "v4.3.1",
        ("version",),
        60,
        module="helm",
        flags=("-X helm.sh/helm/v4/internal/version.version=v4.3.1",),
    ),
)


def ensure() -> Path:
    """The folder with all programs of `BINARIES`, each of which runs.

    If KUBEBUILDER_ASSETS names a folder (the convention of envtest), its programs are used, and only missing ones are
    built. Concurrent callers build once. A program that does not run is built again.

    Raises: AssetsError: KUBEBUILDER_ASSETS is not a folder, or a build failed.
    """
    configured = os.environ.get("KUBEBUILDER_ASSETS")
    if not configured:
        folder = cache_folder() / _key()
        _build_missing(folder, BINARIES)
        return folder
    return _complete(Path(configured))


def cache_folder() -> Path:
    """The cache of the tests for programs that are expensive to build: `driftd` in `$XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "driftd" / "controlplane"


def _complete(configured: Path) -> Path:
    """A folder with the programs of `configured`, and links to built ones for those that are missing."""
    if not configured.is_dir():
        raise AssetsError(f"KUBEBUILDER_ASSETS={configured} is not a folder: unset it, or name one with etcd in it.")
    configured = configured.resolve()
    lacking = [binary for binary in BINARIES if not os.access(configured / binary.name, os.X_OK)]
    if not lacking:
        return configured
    built = cache_folder() / _key()
    _build_missing(built, lacking)
    joined = cache_folder() / f"{_key()}-with-{hashlib.sha256(str(configured).encode()).hexdigest()[:8]}"
    joined.mkdir(parents=True, exist_ok=True)
    for binary in BINARIES:
        target = (built if binary in lacking else configured) / binary.name
        _link(joined / binary.name, target)
    return joined


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    with tempfile.TemporaryDirectory(dir=link.parent) as scratch:
        fresh = Path(scratch) / link.name
        fresh.symlink_to(target)
        fresh.replace(link)


def _key() -> str:
    """The name of the cache folder: the platform, the version, and a hash of all inputs of a build."""
    recipe = hashlib.sha256(repr(BINARIES).encode())
    for file in sorted(path for path in RECIPES.rglob("*") if path.suffix in (".go", ".mod", ".sum")):
        recipe.update(file.relative_to(RECIPES).as_posix().encode())
        recipe.update(file.read_bytes())
    machine = f"{platform.system()}-{platform.machine()}".lower()
    return f"{KUBERNETES}-{machine}-{recipe.hexdigest()[:12]}"


def _build_missing(folder: Path, binaries: Sequence[Binary]) -> None:
    if not _broken(folder, binaries):
        return
    with _locked(folder):
        missing = _broken(folder, binaries)  # another process may have built them while this one waited
        if missing:
            _build(folder, missing)


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


def _build(folder: Path, binaries: Sequence[Binary]) -> None:
    """Builds the programs. Each one is installed as soon as it is built, so that an aborted build is resumed."""
    minutes = max(1, round(sum(binary.seconds for binary in binaries) / 60))
    names = ", ".join(binary.name for binary in binaries)
    _say(f"Building {names} (Kubernetes {KUBERNETES}) into {folder}")
    _say(f"This is done once; on 2 cores it usually takes about {minutes} min.")
    started = time.monotonic()
    for leftover in folder.glob(".build-*"):  # of a killed build: with the lock held, no other process uses it
        shutil.rmtree(leftover)
    try:
        go = find_go(cache_folder() / "go", _say)
    except GoMissing as error:
        raise AssetsError(str(error)) from error
    for number, binary in enumerate(binaries, 1):
        _say(f"  [{number}/{len(binaries)}] {binary.name} {binary.version} …")
        before = time.monotonic()
        _build_one(go, folder, binary)
        _say(f"  [{number}/{len(binaries)}] {binary.name} {binary.version}: {time.monotonic() - before:.0f} s")
    _say(f"Built in {time.monotonic() - started:.0f} s.")


def _build_one(go: GoToolchain, folder: Path, binary: Binary) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        result = Path(scratch) / binary.name
        linked = " ".join(("-s", "-w", *binary.flags))
        command = ["build", "-ldflags", linked, "-o", str(result), binary.package]
        build = go.run(command, cwd=RECIPES / binary.module)
        if build.returncode != 0:
            tail = "\n".join(build.stderr.splitlines()[-20:])
            raise AssetsError(f"{binary.name} could not be built with {go.program}:\n{tail}")
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
            _say(f"Another process is building into {folder}; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    try:
        print(ensure())
    except AssetsError as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
