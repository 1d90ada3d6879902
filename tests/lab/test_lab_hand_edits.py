"""On a real API server, all manual edits are reported, and nothing else."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.api import Api
from tests.lab.deployment import WAYS, deploy_corpus
from tests.lab.lab import Lab
from tests.support.controlplane import ControlPlane
from tests.support.corpora import NAMES, corpus

EDITS = int(os.environ.get("DRIFTD_LAB_EDITS", "0"))
"""Rounds of edits for each corpus and each way of deployment; thousands need an idle machine. 0: a small sample."""

ROUNDS = EDITS or 60
CASES = [(name, way) for way in WAYS for name in NAMES]

SEED = int(os.environ.get("DRIFTD_LAB_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)

pytestmark = pytest.mark.timeout(600 + ROUNDS)


@pytest.fixture(
    scope="module",
    # by default each way once, with one of the corpora
    params=CASES if EDITS else [(NAMES[number % 2], way) for number, way in enumerate(WAYS)],
    ids=lambda p: f"{p[0]} by {p[1]}",
)
def lab(
    request: pytest.FixtureRequest, assets: Path, corpora: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    name, way = request.param
    repository = corpus(corpora / name, tmp_path_factory.mktemp("lab") / name)
    with ControlPlane(assets) as cluster:
        api = Api(cluster)
        yield Lab(api, deploy_corpus(api, repository, way), way, SEED)


def test_unedited_objects_are_in_sync(lab: Lab) -> None:
    """For both engines, whichever way the objects were deployed."""
    assert len(lab.manifests) > 100
    assert lab.unedited() == []


def test_every_manual_edit_is_reported_with_its_manager(lab: Lab) -> None:
    """Random edits by random managers: both engines report exactly the edited fields, with the manager."""
    lab.rounds(ROUNDS)
    tally = lab.tally
    assert tally.wrong == [], f"seed {SEED}: {len(tally.wrong)} of {tally.edits} edits\n" + "\n".join(tally.wrong)
    assert tally.edits > ROUNDS / 4, f"seed {SEED}: the API server refused nearly everything: {tally}"
    assert tally.named >= 0.99 * tally.owned, f"seed {SEED}: {tally}"
