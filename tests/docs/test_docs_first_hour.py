"""The tutorials, typed into a shell as a new user would: a real API server, and what Argo CD and Flux leave in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import plays
from tests.docs.deployed import WORLDS, World, make_world
from tests.docs.reference import DOCS
from tests.docs.sessions import SESSIONS
from tests.support.certificates import Authority
from tests.support.controlplane import ControlPlane
from tests.support.gitserver import HttpsGitServer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def world(request: pytest.FixtureRequest, assets: Path, tmp_path: Path) -> Iterator[World]:
    """The cluster that the page starts with."""
    for name in ("authority", "served"):
        (tmp_path / name).mkdir()
    with (
        HttpsGitServer(tmp_path / "served", Authority(tmp_path / "authority")) as server,
        ControlPlane(assets) as cluster,
    ):
        yield make_world(request.param, tmp_path, cluster, server, assets)


@pytest.mark.parametrize(("page", "world"), [(name, name) for name in WORLDS], indirect=["world"], ids=list(WORLDS))
async def test_a_new_user_finds_a_true_drift_as_the_page_shows_it(page: str, world: World):
    """From an untouched cluster in sync, by an edit of one's own, to what differs, who did it and the line of Git."""
    await plays(SESSIONS[DOCS / page], world.home, world.environment)
