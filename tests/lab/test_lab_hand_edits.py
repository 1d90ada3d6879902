"""Nothing is reported that nobody did, and everything that somebody did, on a real API server."""

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
"""Rounds of edits for each corpus and each way; thousands are for a quiet machine. 0: a sample of all that."""

ROUNDS = EDITS or 60
CASES = [(name, way) for way in WAYS for name in NAMES]

SEED = int(os.environ.get("DRIFTD_LAB_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)

pytestmark = pytest.mark.timeout(600 + ROUNDS)


@pytest.fixture(
    scope="module",
    # each way once, with one of the corpora, where nobody asked for more
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


def test_nobody_is_accused_of_what_nobody_did(lab: Lab) -> None:
    """However the objects were deployed, both engines find every one of them in sync."""
    assert len(lab.manifests) > 100
    assert lab.unedited() == []


def test_every_edit_by_hand_is_found_and_its_hand_named(lab: Lab) -> None:
    """Random edits by random hands: found at their field by both engines, nothing else is, and the hand is named."""
    lab.rounds(ROUNDS)
    tally = lab.tally
    assert tally.wrong == [], f"seed {SEED}: {len(tally.wrong)} of {tally.edits} edits\n" + "\n".join(tally.wrong)
    assert tally.edits > ROUNDS / 4, f"seed {SEED}: the API server refused nearly everything: {tally}"
    assert tally.named >= 0.99 * tally.owned, f"seed {SEED}: {tally}"
