"""Situations from public bug reports of other tools get the right verdict, by both engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.field_cases import ENGINES, CaseRunner, case_names, field_cases_folder

pytestmark = pytest.mark.timeout(900)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each case; where they are missing, one that the fixture fails."""
    metafunc.parametrize("engine", ENGINES)
    metafunc.parametrize("case", case_names(field_cases_folder()) or ["missing"])


@pytest.fixture(scope="module")
def mistakes(
    field_cases: Path, assets: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[tuple[str, str], list[str]]]:
    """What is wrong with the outcome of each selected case, on a cluster of their own."""
    selected = {item.callspec.params["case"] for item in request.session.items if item.module is request.module}
    with ControlPlane(assets) as cluster:
        yield CaseRunner(field_cases, cluster, assets, tmp_path_factory.mktemp("cases")).run(sorted(selected))


def test_a_situation_from_the_field_gets_the_right_verdict(
    mistakes: Mapping[tuple[str, str], list[str]], case: str, engine: str
) -> None:
    """As its README says, with the report that it is from."""
    wrong = mistakes[case, engine]
    assert not wrong, "\n".join(wrong)
