"""A Helm repository and a registry, filled by the real helm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.registry import FileServer, Registry, running_file_server, running_registry

TEMPLATE = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {color: {{ .Values.color }}}\n"
)


@dataclass(frozen=True, slots=True)
class Charts:
    """The chart `web` in versions 1.0.0 and 1.1.0+build.2, in a Helm repository and in a registry."""

    repository: FileServer
    registry: Registry
    archives: Path
    authority: Authority


def pack(helm: Path, folder: Path, version: str, into: Path) -> Path:
    """Packs the chart `web` in a version, whose color is that version."""
    chart = folder / "web"
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: web\nversion: {version}\n")
    (chart / "values.yaml").write_text(f'color: "{version}"\n')
    (chart / "templates" / "settings.yaml").write_text(TEMPLATE)
    run(helm, "package", str(chart), "--destination", str(into))
    return into / f"web-{version}.tgz"


def run(helm: Path, *arguments: str) -> None:
    done = subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, env={
        "PATH": os.environ["PATH"], "HOME": str(Path("/nonexistent")), "HELM_CACHE_HOME": "/tmp/driftd-helm-tests",
        "HELM_CONFIG_HOME": "/tmp/driftd-helm-tests", "HELM_DATA_HOME": "/tmp/driftd-helm-tests",
    })  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def charts(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charts]:
    folder = tmp_path_factory.mktemp("charts")
    (folder / "served").mkdir()
    (folder / "authority").mkdir()
    authority = Authority(folder / "authority")
    helm = assets / "helm"
    with running_file_server(folder / "served", authority) as files, running_registry(authority) as registry:
        for version in ("1.0.0", "1.1.0+build.2"):
            archive = pack(helm, folder, version, folder / "served")
            run(helm, "push", str(archive), f"oci://{registry.host}/charts", "--ca-file", str(authority.certificate))
        run(helm, "repo", "index", str(folder / "served"))
        yield Charts(files, registry, folder / "served", authority)
