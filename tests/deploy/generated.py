"""What is made from the chart and the kustomizations. `python -m tests.deploy.generated` writes it anew."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deploy.chart import CHART
from tests.deploy.manifests import DEPLOY, ROOT, build
from tests.support import assets, chart_tools
from tools.chart_schema import values_schema_text

_ABOVE_INSTALL = """\
# driftd, observing what Argo CD and Flux deploy: kubectl apply -f install.yaml
#
# Made from deploy/overlays/discover by `make manifests`. The image is to be where the cluster finds it: the file of a
# release names the image of that release, by its digest.
"""


def install(programs: Path) -> str:
    """`deploy/install.yaml`."""
    return _ABOVE_INSTALL + build(programs, DEPLOY / "overlays" / "discover")


def chart_readme(tools: Path) -> str:
    """`deploy/chart/README.md`, by helm-docs, from the comments of the values."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "driftd"
        shutil.copytree(CHART, copy)
        command = [
            tools / "helm-docs",
            "--chart-search-root",
            copy,
            "--sort-values-order",
            "file",
            "--log-level",
            "warn",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
        return (copy / "README.md").read_text()


def fresh(programs: Path, tools: Path) -> dict[Path, str]:
    """Every file that is made, as it should be."""
    return {
        CHART / "values.schema.json": values_schema_text(),
        CHART / "README.md": chart_readme(tools),
        DEPLOY / "install.yaml": install(programs),
    }


def main() -> int:
    for file, text in fresh(assets.ensure(), chart_tools.ensure()).items():
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"{file.relative_to(ROOT)}: written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
