"""The JSON for programs: the contract's keys always, others only if they have a value."""

from __future__ import annotations

from driftd.model.document import verdict_document
from driftd.model.drift import Status, Verdict
from driftd.model.resource import ResourceRef, Source

REF = ResourceRef("", "ConfigMap", "shop", "web")


def _document(source: Source) -> dict[str, object]:
    return verdict_document(Verdict(REF, "v1", Status.IN_SYNC, source))


def test_an_object_in_sync_has_the_keys_of_the_contract_and_no_other() -> None:
    """A strict schema accepts it."""
    document = _document(Source("app/a.yaml", 3))
    assert set(document) == {
        "api_version", "kind", "namespace", "name", "status", "source", "fields", "error",
    }  # fmt: skip
    assert document["source"] == {"file": "app/a.yaml", "line": 3}


def test_the_source_of_a_rendered_object_has_its_origin() -> None:
    """Its file is the one that it was rendered from."""
    document = _document(Source("base/a.yaml", 1, origin="kustomize"))
    assert document["source"] == {"file": "base/a.yaml", "line": 1, "origin": "kustomize"}
