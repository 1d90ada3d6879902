"""No value of a Secret is ever in what a comparison says."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.model.errors import SchemaMismatch
from driftd.model.resource import Manifest, Source
from tests.diff.objects import JsonObject, by_hand, custom_schema, deployed, owned, schema_of, thing, verdict

CANARY = "c4n4ry-0f-s3cr3ts"
ENCODED = base64.b64encode(CANARY.encode()).decode()
SCHEMA = schema_of("v1", "Secret")


def _secret(**more: Any) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, **more}


def _said(desired: JsonObject, live: JsonObject, schema: Any = SCHEMA) -> str:
    found = verdict(desired, live, schema)
    manifest = Manifest.of(desired, Source("s.yaml", 1))
    text = repr(found)
    try:
        text += repr(Comparison(Redactor(b"k" * 32)).explain(manifest, live, schema))
    except SchemaMismatch as error:
        text += str(error)
    return text + json.dumps(dataclasses.asdict(found)["fields"], default=str)


def _silent(text: str) -> None:
    assert CANARY not in text
    assert ENCODED not in text
    assert ENCODED[4:16] not in text


WRONG: list[JsonObject] = [
    {"data": CANARY}, {"data": [CANARY]}, {"data": {"k": {"deep": CANARY}}}, {"data": {"k": [CANARY]}},
    {"stringData": CANARY}, {"stringData": {"k": [CANARY]}}, {"stringData": {"k": {"deep": CANARY}}},
    {"stringData": [ENCODED]}, {"data": {"k": CANARY}}, {"data": {"k": ENCODED}}, {"stringData": {"k": CANARY}},
    {"data": {"k": True}}, {"stringData": {"k": 12345}},
]  # fmt: skip


@pytest.mark.parametrize("part", WRONG, ids=[json.dumps(one) for one in WRONG])
@pytest.mark.parametrize("schema", [SCHEMA, None], ids=["typed", "untyped"])
def test_a_secret_says_nothing_however_it_is_written(part: JsonObject, schema: Any) -> None:
    """Well formed or not, on either side, with and without a schema: not in drift, not in errors, not explained."""
    other = _secret(data={"k": "b3RoZXI=", "l": "bW9yZQ=="})
    _silent(_said(_secret(**part), other, schema))
    _silent(_said(_secret(**part), _secret(), schema))
    _silent(_said(other, _secret(**part), schema))
    _silent(_said(_secret(), by_hand(deployed(_secret(), SCHEMA), owned("f:data"), "x") | part, schema))


@given(st.dictionaries(st.sampled_from(["a", "b", "c.d"]), st.sampled_from([ENCODED, CANARY, "YQ==", ""]), max_size=3),
       st.dictionaries(st.sampled_from(["a", "b", "c.d"]), st.sampled_from([CANARY, "x", ""]), max_size=3),
       st.dictionaries(st.sampled_from(["a", "b", "z"]), st.sampled_from([ENCODED, "YQ==", ""]), max_size=3))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_no_canary_comes_out(data: dict[str, str], texts: dict[str, str], live: dict[str, str]) -> None:
    """Whatever of it is in Git, live, or in both."""
    held = {"f:data": {f"f:{key}": {} for key in live}}
    _silent(_said(_secret(data=data, stringData=texts), by_hand(_secret(data=live), held)))


def test_annotations_that_hold_the_whole_secret_are_hidden() -> None:
    """kapp, Rancher and others keep the last manifest in one; a short note is shown."""
    whole = json.dumps(_secret(stringData={"k": CANARY}))
    live = _secret(data={"k": ENCODED})
    live["metadata"]["annotations"] = {"kapp.k14s.io/original": whole, "note": "rotated", "long": CANARY * 40}
    fields = {"f:metadata": {"f:annotations": {f"f:{k}": {} for k in live["metadata"]["annotations"]}}}
    text = _said(_secret(data={"k": ENCODED}), by_hand(live, fields))
    _silent(text)
    assert "rotated" in text


def test_a_secret_inside_another_object_is_hidden_too() -> None:
    """As Crossplane, templates and lists have them."""
    schema = custom_schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    desired, live = (
        thing({"manifest": _secret(stringData={"k": CANARY})}),
        thing({"manifest": _secret(stringData={"k": "x"})}),
    )
    _silent(_said(desired, live, schema))
    _silent(_said(live, desired, schema))
    _silent(_said(desired, thing({}), schema))
    _silent(_said(thing({}), desired, schema))


def test_equal_values_have_equal_stand_ins() -> None:
    """So that one sees whether two Secrets changed alike; under another key the stand-in is another."""
    redactor = Redactor(b"a" * 32)
    assert redactor.value(ENCODED) == redactor.value(ENCODED) == redactor.value(CANARY)
    assert redactor.value(ENCODED) != Redactor(b"b" * 32).value(ENCODED)
    assert str(redactor.value(ENCODED)).startswith("<redacted:")
    assert "a" * 32 not in repr(redactor)


def test_a_changed_secret_is_seen_to_have_changed() -> None:
    """Both sides are hidden, and differ."""
    live = copy.deepcopy(_secret(data={"k": "b3RoZXI="}))
    (drift,) = verdict(_secret(data={"k": ENCODED}), live, SCHEMA).fields
    assert drift.desired != drift.live
