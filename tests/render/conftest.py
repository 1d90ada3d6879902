"""The real kustomize and helm."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.render.app import RenderOptions


@pytest.fixture
def programs(assets: Path) -> RenderOptions:
    """Options that name the real kustomize and helm."""
    return RenderOptions(kustomize=str(assets / "kustomize"), helm=str(assets / "helm"))
