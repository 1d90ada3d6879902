"""The manifests for installation, built by the real kustomize."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def build(assets: Path, folder: Path) -> str:
    """The output of `kustomize build` for a folder."""
    done = subprocess.run([assets / "kustomize", "build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def variant(assets: Path, scratch: Path, components: Sequence[str] = ()) -> str:
    """The base with components, as in a user's overlay."""
    overlay = scratch / ("-".join(components).replace("/", "-") or "base")
    overlay.mkdir(parents=True, exist_ok=True)
    deploy = _relative(DEPLOY, overlay)
    lines = ["resources:", f"  - {deploy}/base", *(["components:"] if components else [])]
    lines += [f"  - {deploy}/components/{name}" for name in components]
    (overlay / "kustomization.yaml").write_text("\n".join(lines) + "\n")
    return build(assets, overlay)


def objects(manifests: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(manifests) if document]


def single(manifests: str, kind: str, name: str = "driftd") -> dict[str, Any]:
    (match,) = [o for o in objects(manifests) if o["kind"] == kind and o["metadata"]["name"] == name]
    return match


def _relative(target: Path, start: Path) -> str:
    """kustomize does not accept absolute paths."""
    return os.path.relpath(target.resolve(), start.resolve())
