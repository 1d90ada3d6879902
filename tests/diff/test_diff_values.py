"""Values are equal when Kubernetes reads them as the same, and only then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.typed.values import decode_base64, duration, instant, quantity, whole_second
from driftd.diff.walk import is_equivalent
from tests.diff.objects import DEPLOYMENT, custom_schema, deployment, drifts, schema_of, thing

SAME_QUANTITIES = [
    ("1", "1000m"), ("0.2", "200m"), ("1024Mi", "1Gi"), ("1e3", "1k"), ("1E3", "1000"), ("0.5Gi", "512Mi"),
    ("100M", "1e8"), ("+1", "1"), ("1.0", "1"), (".5", "500m"), ("0", "0m"), ("1.5", "1500m"), ("2Ki", "2048"),
    ("1Ei", "1024Pi"), ("0.0000000001", "1n"),
]  # fmt: skip
OTHER_QUANTITIES = [("1", "2"), ("1G", "1Gi"), ("1m", "1M"), ("1", "1k"), ("100m", "0.11"), ("1", "one"), ("", "0")]


@pytest.mark.parametrize(("left", "right"), SAME_QUANTITIES)
def test_quantities_are_equal_by_value(left: str, right: str) -> None:
    """However they are spelled."""
    assert quantity(left) == quantity(right) is not None


@pytest.mark.parametrize(("left", "right"), OTHER_QUANTITIES)
def test_quantities_of_another_value_differ(left: str, right: str) -> None:
    """A unit is part of the value, and what is no quantity equals none."""
    assert quantity(left) != quantity(right)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_quantity_in_thousandths_is_the_whole(number: int) -> None:
    """`N` and `N000m` and the number itself are one quantity."""
    assert quantity(str(number)) == quantity(f"{number}000m") == quantity(f"{number}e0")


@pytest.mark.parametrize(
    ("left", "right"),
    [("90s", "1m30s"), ("1h", "60m"), ("1.5h", "90m"), ("1000ms", "1s"), ("0", "0s"), ("-1m", "-60s")],
)
def test_durations_are_equal_by_value(left: str, right: str) -> None:
    """As Go parses them."""
    assert duration(left) == duration(right) is not None


@pytest.mark.parametrize("text", ["", "1", "s", "1 h", "1d", "h1", "-"])
def test_what_go_does_not_parse_is_no_duration(text: str) -> None:
    """A bare number, a day, blanks."""
    assert duration(text) is None


REWRITTEN = [
    ("2160h", "2160h0m0s"), ("90m", "1h30m0s"), ("60s", "1m0s"), ("1500ms", "1.5s"), ("0", "0s"), ("1000m", "1"),
    ("1024Mi", "1Gi"), ("0.5", "500m"), ("1.0Gi", "1Gi"),
]  # fmt: skip
NOT_REWRITTEN = [
    ("1.10", "1.1"), ("1e3", "1000"), ("60s", "2m0s"), ("1m", "60s"), ("1Gi", "1G"), ("on", "true"), ("", "0s"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "live"), REWRITTEN)
def test_a_controller_may_write_a_duration_or_a_quantity_back_as_go_prints_it(declared: str, live: str) -> None:
    """In a custom resource whose schema says no more than `string`; in Kubernetes' own types a string is a string."""
    schema = custom_schema({"type": "object", "properties": {"a": {"type": "string"}}})
    assert drifts(thing({"a": declared}), thing({"a": live}), schema) == []
    assert drifts(thing({"a": declared}), thing({"a": live}), None) == []
    config, other = ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": value}},
                      "data": {"a": value}} for value in (declared, live))  # fmt: skip
    assert len(drifts(config, other, schema_of("v1", "ConfigMap"))) == 2
    labels, others = ({**thing({}), "metadata": {"name": "t", "labels": {"a": value}}} for value in (declared, live))
    assert len(drifts(labels, others, schema)) == 1


@pytest.mark.parametrize(("declared", "live"), NOT_REWRITTEN)
def test_what_go_would_not_print_for_the_declared_text_is_drift(declared: str, live: str) -> None:
    """Versions that are equal as numbers, another value, another spelling than Go's."""
    schema = custom_schema({"type": "object", "properties": {"a": {"type": "string"}}})
    assert drifts(thing({"a": declared}), thing({"a": live}), schema) == [("spec.a", "changed")]


def test_a_number_is_compared_as_the_api_server_stores_it() -> None:
    """A limit of a CRD is a double; an integer of a custom resource is exact as long as 64 bits hold it."""
    limits = schema_of("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    for step in ("spec", "versions", "schema", "openAPIV3Schema", "maximum"):
        limits = limits.child(step) or limits.items.child(step)  # type: ignore[union-attr,assignment]  # a list
    assert is_equivalent(9223372036854774807, 9223372036854775000, limits)
    assert not is_equivalent(9223372036854774807, 9223372036854770000, limits)
    schema = custom_schema({"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "integer"}}})
    for field in ("a", "b"):
        exact, beyond = 2**53 + 1, 2**64 + 1
        assert drifts(thing({field: exact}), thing({field: exact - 1}), schema) == [(f"spec.{field}", "changed")]
        assert drifts(thing({field: beyond}), thing({field: beyond - 1}), schema) == []


def test_times_are_equal_by_moment() -> None:
    """In whatever zone, and for metav1.Time without the fraction of the second."""
    assert instant("2026-01-01T01:00:00+01:00") == instant("2026-01-01T00:00:00Z")
    assert instant("2026-01-01T00:00:00Z") != instant("2026-01-01T00:00:01Z")
    assert whole_second("2026-01-01T00:00:00.5Z") == whole_second("2026-01-01T00:00:00Z")
    assert instant("yesterday") is None


def test_base64_is_equal_by_what_it_means() -> None:
    """Line breaks in it do not matter; what is no base64 has no bytes."""
    assert decode_base64("YWJj\nZGVm") == decode_base64("YWJjZGVm") == b"abcdef"
    assert decode_base64("not base64!") is None


def test_a_port_number_is_not_the_port_of_that_name() -> None:
    """`80` and `"80"` are different things to Kubernetes."""
    port = schema_of("v1", "Service").child("spec").child("ports").items.child("targetPort")  # type: ignore[union-attr]
    assert is_equivalent(80, 80, port)
    assert not is_equivalent(80, "80", port)


@pytest.mark.parametrize(("left", "right"), [(1, "1"), (0.5, "500m"), ("1", "1000m"), (2, "2000m")])
def test_the_cpu_of_a_container_is_a_quantity(left: object, right: str) -> None:
    """Also where Git writes a number."""
    desired, live = deployment(resources={"limits": {"cpu": left}}), deployment(resources={"limits": {"cpu": right}})
    assert drifts(desired, live, schema_of(*DEPLOYMENT)) == []


def test_true_is_not_one() -> None:
    """Although Python thinks so."""
    assert not is_equivalent({"a": 1}, {"a": True}, None)
    assert not is_equivalent([True], [1], None)
    assert is_equivalent({"a": 1}, {"a": 1.0}, None)
