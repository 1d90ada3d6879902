"""Conditions in CEL are those of Kubernetes' own policies, with a bound on what they cost."""

from __future__ import annotations

import time
from typing import Any

import pytest

from driftd.diff.rules.cel import MAX_LENGTH, evaluate, validate
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import DriftdError

DRIFT = FieldDrift(("spec", "replicas"), Change.CHANGED, 1, 2, ("spec", "replicas"))
OBJECT: dict[str, Any] = {
    "metadata": {"labels": {"team": "web", "tier": "front"}},
    "spec": {"containers": [{"name": "web", "image": "a/web:1"}, {"name": "log", "image": "b/log:1"}]},
}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("object.spec.containers.all(c, c.image.endsWith(':1'))", True),
        ("object.spec.containers.exists(c, c.name == 'db')", False),
        ("object.spec.containers.exists_one(c, c.name == 'log')", True),
        ("object.spec.containers.map(c, c.name) == ['web', 'log']", True),
        ("object.spec.containers.filter(c, c.image.startsWith('a/')).size() == 1", True),
        ("object.metadata.labels.all(key, object.metadata.labels[key] != '')", True),
        ("object.spec.containers.exists(c, object.metadata.labels.exists(l, l == 'team' && c.name == 'web'))", True),
        ("object.spec.containers.exists(c, ['(all(x,', c.name].exists(n, n == 'web'))", True),
    ],
)  # fmt: skip
def test_the_macros_of_cel_work(expression: str, holds: bool) -> None:
    """Each binds a variable of its own."""
    assert evaluate(validate(expression), OBJECT, DRIFT) is holds


@pytest.mark.parametrize("expression", ["c.name == 'web'", "object.spec.containers.all(c, d.name == 'web')"])
def test_a_variable_that_no_macro_binds_is_unknown(expression: str) -> None:
    with pytest.raises(DriftdError, match=r"there is no [cd]; an expression may use object and field"):
        validate(expression)


def test_what_an_expression_costs_is_bounded() -> None:
    """Macros in macros over long lists are not evaluated: the difference is shown."""
    expression = validate("object.l.all(a, object.l.all(b, object.l.all(c, a + b + c >= 0)))")
    assert evaluate(expression, {"l": [0] * 3}, DRIFT)
    started = time.process_time()
    assert not evaluate(expression, {"l": [0] * 10_000}, DRIFT)
    assert time.process_time() - started < 5


def test_an_expression_is_not_endless() -> None:
    with pytest.raises(DriftdError, match="may have 4096 characters"):
        validate(f"object.a == '{'a' * MAX_LENGTH}'")
