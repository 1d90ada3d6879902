"""The programs that test the chart, the plugin and the workflows. `python -m tests.support.chart_tools` builds them."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.go_programs import AssetsError, Binary, GoPrograms, say

BINARIES = (
    Binary(
        "helm3",
        "helm.sh/helm/v3/cmd/helm",
        "v3.22.0",
        ("version",),
        70,
        module="helm3",
        flags=("-X helm.sh/helm/v3/internal/version.version=v3.22.0",),
    ),
    Binary(
        "helm-unittest",
        "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
        "unittest",  # it has no command that prints its version
        ("--help",),
        20,
        module="helm-unittest",
    ),
    Binary(
        "helm-docs",
        "github.com/norwoodj/helm-docs/cmd/helm-docs",
        "1.14.2",
        ("--version",),
        20,
        module="helm-docs",
        flags=("-X main.version=1.14.2",),
    ),
    Binary(
        "actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12", ("--version",), 10, module="actionlint"
    ),
    Binary(
        "krew",
        "sigs.k8s.io/krew/cmd/krew",
        "v0.4.3",
        ("version",),
        30,
        module="krew",
        flags=("-X sigs.k8s.io/krew/internal/version.gitTag=v0.4.3",),
    ),
)
PROGRAMS = GoPrograms("chart-tools", "1", Path(__file__).resolve().parent.parent / "chart_tools", BINARIES)


def ensure() -> Path:
    """The folder with all programs of `BINARIES`. Raises: AssetsError: a build failed."""
    return PROGRAMS.ensure()


def main() -> int:
    try:
        print(ensure())
    except AssetsError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
