"""Fields are located in another form of an object."""

from __future__ import annotations

import pytest

from driftd.diff import locate as located
from driftd.diff.locate import Locator
from driftd.model.path import ListKey, SetValue
from tests.diff.objects import DEPLOYMENT, deployment, schema_of


def test_many_items_of_one_list_are_located_in_going_through_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand variables that differ would take hours else."""
    counted: list[int] = []
    original = located.list_items
    monkeypatch.setattr(located, "list_items", lambda items, schema: counted.append(1) or original(items, schema))
    body = deployment(env=[{"name": f"E{number}", "value": str(number)} for number in range(50)])
    locator = Locator(body, schema_of(*DEPLOYMENT))
    container = ("spec", "template", "spec", "containers", ListKey((("name", "web"),)), "env")
    found = [locator.locate((*container, ListKey((("name", f"E{number}"),)), "value")) for number in range(50)]
    assert [each.value for each in found if each] == [str(number) for number in range(50)]
    assert len(counted) == 2  # the containers, and the variables of one


def test_a_scalar_of_a_set_is_located_and_true_is_not_one() -> None:
    """The first of several that are equal."""
    locator = Locator({"l": ["b", True, 1, "b"]}, None)
    assert [locator.locate(("l", SetValue(value))) for value in ("b", True, 1, "c")] == [
        located.LocatedValue("b", ("l", 0)),
        located.LocatedValue(True, ("l", 1)),
        located.LocatedValue(1, ("l", 2)),
        None,
    ]
