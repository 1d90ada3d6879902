"""Chunked verdicts behave like a tuple, and the changes between two sequences are found."""

from __future__ import annotations

import random

import pytest

from driftd.model.drift import Status, Verdict
from driftd.model.report import Chunk, Report, Verdicts, changed_verdicts
from driftd.model.resource import ResourceRef
from tests.support.samples import T0


def verdict(chance: random.Random) -> Verdict:
    return Verdict(ResourceRef("", "ConfigMap", "web", str(chance.random())), "v1", chance.choice(list(Status)))


def chunks(chance: random.Random, count: int) -> list[Chunk]:
    return [Chunk([verdict(chance) for _ in range(chance.randint(1, 5))]) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_it_is_a_sequence_like_a_tuple(count: int) -> None:
    """In every respect that a report uses."""
    result = Verdicts(chunks(random.Random(count), count))
    flat = tuple(result)
    assert (len(result), hash(result), repr(result)) == (len(flat), hash(flat), repr(flat))
    assert result == flat
    assert flat == result
    assert result != [*flat]
    assert [result[at] for at in range(-len(flat), len(flat))] == [flat[at] for at in range(-len(flat), len(flat))]
    assert result[1:3] == flat[1:3]
    assert Report("web", "prod", None, result, T0) == Report("web", "prod", None, flat, T0)
    assert Report("web", "prod", None, result, T0).notable == Report("web", "prod", None, flat, T0).notable
    with pytest.raises(IndexError):
        result[len(flat)]


@pytest.mark.parametrize("seed", range(20))
def test_changed_verdicts_are_those_that_a_full_comparison_finds(seed: int) -> None:
    """Also if one is longer or has other chunks."""
    chance = random.Random(seed)
    before = chunks(chance, 6)
    after = list(before)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(after))
        some = list(after[at].verdicts)
        match chance.randrange(3):
            case 0 if some:
                some[chance.randrange(len(some))] = verdict(chance)
            case 1:
                some.append(verdict(chance))
            case _:
                del some[:1]
        after[at] = Chunk(some)
    old, new = Verdicts(before), Verdicts(after).followed_by([verdict(chance)] if chance.randrange(2) else [])
    expected = [at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one is not other]
    assert changed_verdicts(old, new) == expected
    assert changed_verdicts(tuple(old), new) == expected
