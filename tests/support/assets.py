"""The programs of a real Kubernetes control plane, built once from their Go modules into the user's cache folder.

`python -m tests.support.assets` builds what is missing and prints the folder.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from tests.support.go_programs import AssetsError, Binary, GoPrograms, say

KUBERNETES = "v1.37.2"
_KUBERNETES_FLAGS = (
    f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}",
    "-X k8s.io/component-base/version.gitMajor=1",
    "-X k8s.io/component-base/version.gitMinor=37",
)
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
PROGRAMS = GoPrograms("controlplane", KUBERNETES, Path(__file__).resolve().parent.parent / "controlplane", BINARIES)


def ensure() -> Path:
    """The folder with all programs of `BINARIES`, each of which runs.

    If KUBEBUILDER_ASSETS names a folder (the convention of envtest), its programs are used, and only missing ones are
    built. Concurrent callers build once. A program that does not run is built again.

    Raises: AssetsError: KUBEBUILDER_ASSETS is not a folder, or a build failed.
    """
    configured = os.environ.get("KUBEBUILDER_ASSETS")
    return _complete(Path(configured)) if configured else PROGRAMS.ensure()


def _complete(configured: Path) -> Path:
    """A folder with the programs of `configured`, and links to built ones for those that are missing."""
    if not configured.is_dir():
        raise AssetsError(f"KUBEBUILDER_ASSETS={configured} is not a folder: unset it, or name one with etcd in it.")
    configured = configured.resolve()
    lacking = [binary for binary in BINARIES if not os.access(configured / binary.name, os.X_OK)]
    if not lacking:
        return configured
    built = PROGRAMS.ensure(lacking)
    joined = PROGRAMS.cache / f"{PROGRAMS.key}-with-{hashlib.sha256(str(configured).encode()).hexdigest()[:8]}"
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


def main() -> int:
    try:
        print(ensure())
    except AssetsError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
