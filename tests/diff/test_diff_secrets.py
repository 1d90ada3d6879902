"""No value of a Secret is in the output of a comparison."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import base64
import copy
import dataclasses
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.model.errors import SchemaMismatch
from driftd.model.resource import Manifest, Source
from tests.diff.objects import JsonObject, changed_manually, custom_schema, deployed, owned, schema_of, thing, verdict
from tests.support.canaries import reveals

CANARY = "c4n4ry-0f-s3cr3ts"
ENCODED = base64.b64encode(CANARY.encode()).decode()
SCHEMA = schema_of("v1", "Secret")


def _secret(**more: Any) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, **more}


def _output(desired: JsonObject, live: JsonObject, schema: Any = SCHEMA) -> str:
    result = verdict(desired, live, schema)
    manifest = Manifest.of(desired, Source("s.yaml", 1))
    text = repr(result)
    try:
        text += repr(Comparison(Redactor(b"k" * 32)).explain(manifest, live, schema))
    except SchemaMismatch as error:
        text += str(error)
    return text + json.dumps(dataclasses.asdict(result)["fields"], default=str)


def _assert_no_canary(text: str) -> None:
    assert CANARY not in text
    assert ENCODED not in text
    assert ENCODED[4:16] not in text
    assert not reveals(text, CANARY)


def _annotated(text: str) -> JsonObject:
    return {"metadata": {"name": "s", "namespace": "n", "annotations": {"note": text}}}


WRONG: list[JsonObject] = [
    {"stringdata": {"k": CANARY}}, {"Data": {"k": ENCODED}}, {"password": CANARY}, {"spec": {"data": [{"k": CANARY}]}},
    {"metadata": {"name": "s", "namespace": "n", "data": {"k": CANARY}}},
    _annotated(base64.b64encode(gzip.compress(json.dumps(_secret(data={"k": ENCODED})).encode(), mtime=0)).decode()), _annotated(f"data:\n  k: {CANARY}"),
    _annotated(f' {{"k": "{CANARY}"}}'), _annotated(ENCODED * 3),
    {"data": CANARY}, {"data": [CANARY]}, {"data": {"k": {"deep": CANARY}}}, {"data": {"k": [CANARY]}},
    {"stringData": CANARY}, {"stringData": {"k": [CANARY]}}, {"stringData": {"k": {"deep": CANARY}}},
    {"stringData": [ENCODED]}, {"data": {"k": CANARY}}, {"data": {"k": ENCODED}}, {"stringData": {"k": CANARY}},
    {"data": {"k": True}}, {"stringData": {"k": 12345}},
]  # fmt: skip


@pytest.mark.parametrize("part", WRONG, ids=[json.dumps(one) for one in WRONG])
@pytest.mark.parametrize("schema", [SCHEMA, None], ids=["typed", "untyped"])
def test_no_value_of_a_secret_is_shown_however_it_is_written(part: JsonObject, schema: Any) -> None:
    """Well formed or not, on either side, with and without a schema: not in drift, not in errors, not explained."""
    other = _secret(data={"k": "b3RoZXI=", "l": "bW9yZQ=="})
    _assert_no_canary(_output(_secret(**part), other, schema))
    _assert_no_canary(_output(_secret(**part), _secret(), schema))
    _assert_no_canary(_output(other, _secret(**part), schema))
    _assert_no_canary(
        _output(_secret(), changed_manually(deployed(_secret(), SCHEMA), owned("f:data"), "x") | part, schema)
    )


@given(st.dictionaries(st.sampled_from(["a", "b", "c.d"]), st.sampled_from([ENCODED, CANARY, "YQ==", ""]), max_size=3),
       st.dictionaries(st.sampled_from(["a", "b", "c.d"]), st.sampled_from([CANARY, "x", ""]), max_size=3),
       st.dictionaries(st.sampled_from(["a", "b", "z"]), st.sampled_from([ENCODED, "YQ==", ""]), max_size=3))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_no_canary_value_leaks(data: dict[str, str], texts: dict[str, str], live: dict[str, str]) -> None:
    """Whatever of it is in Git, live, or in both."""
    held = {"f:data": {f"f:{key}": {} for key in live}}
    _assert_no_canary(_output(_secret(data=data, stringData=texts), changed_manually(_secret(data=live), held)))


def test_annotations_that_contain_the_whole_secret_are_redacted() -> None:
    """kapp, Rancher and others keep the last manifest in one; a short note is shown."""
    whole = json.dumps(_secret(stringData={"k": CANARY}))
    live = _secret(data={"k": ENCODED})
    live["metadata"]["annotations"] = {"kapp.k14s.io/original": whole, "note": "rotated", "long": CANARY * 40}
    fields = {"f:metadata": {"f:annotations": {f"f:{k}": {} for k in live["metadata"]["annotations"]}}}
    text = _output(_secret(data={"k": ENCODED}), changed_manually(live, fields))
    _assert_no_canary(text)
    assert "rotated" in text


def test_a_secret_inside_another_object_is_redacted_too() -> None:
    """As Crossplane, templates and lists have them."""
    schema = custom_schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    desired, live = (
        thing({"manifest": _secret(stringData={"k": CANARY})}),
        thing({"manifest": _secret(stringData={"k": "x"})}),
    )
    _assert_no_canary(_output(desired, live, schema))
    _assert_no_canary(_output(live, desired, schema))
    _assert_no_canary(_output(desired, thing({}), schema))
    _assert_no_canary(_output(thing({}), desired, schema))
    misspelt = thing({"manifest": _secret(stringdata={"k": CANARY}, metadata={"name": "s", "note": CANARY})})
    _assert_no_canary(_output(misspelt, live, schema))
    _assert_no_canary(_output(misspelt, thing({}), schema))


def test_equal_values_are_redacted_equally() -> None:
    """So that equal changes of two Secrets show; another key gives other hashes."""
    redactor = Redactor(b"a" * 32)
    assert redactor.value(ENCODED) == redactor.value(ENCODED) == redactor.value(CANARY)
    assert redactor.value(ENCODED) != Redactor(b"b" * 32).value(ENCODED)
    assert str(redactor.value(ENCODED)).startswith("<redacted:")
    assert "a" * 32 not in repr(redactor)


def test_a_changed_secret_shows_as_changed() -> None:
    """Both sides are hidden, and differ."""
    live = copy.deepcopy(_secret(data={"k": "b3RoZXI="}))
    (drift,) = verdict(_secret(data={"k": ENCODED}), live, SCHEMA).fields
    assert drift.desired != drift.live


def test_who_applied_string_data_owns_the_data_that_it_became() -> None:
    """managedFields names `stringData`, which is not live: what else is in `data` was somebody's hand."""
    desired = _secret(stringData={"a": "1", "b": "2"})
    live = deployed(desired, SCHEMA)
    live["data"] = {"a": "MQ==", "b": "Mg==", "old": "eA==", "extra": "eA=="}
    del live["stringData"]
    live["metadata"]["managedFields"][0]["fieldsV1"]["f:stringData"]["f:old"] = {}
    edited = changed_manually(live, owned("f:data", "f:extra"), "night-shift")
    found = {drift.path[-1]: drift.by.manager for drift in verdict(desired, edited, SCHEMA).fields if drift.by}
    assert found == {"old": "flux", "extra": "night-shift"}
