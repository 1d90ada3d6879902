"""An object that is being deleted is not in sync, however equal its fields are."""

from __future__ import annotations

from driftd.model.drift import Change, Status
from driftd.model.path import format_path
from tests.diff.objects import LATER, deployed, schema_of, verdict

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": {"a": "1"}}
SCHEMA = schema_of("v1", "ConfigMap")


def test_an_object_that_is_being_deleted_is_drifted() -> None:
    """Finalizers keep it for now; the fields that somebody changed are told besides."""
    live = deployed(CONFIG, SCHEMA)
    live["metadata"] |= {"deletionTimestamp": LATER, "finalizers": ["example.com/guard"]}
    result = verdict(CONFIG, live, SCHEMA)
    assert result.status is Status.DRIFTED
    assert result.is_being_deleted
    assert [(format_path(f.path), f.change, f.live) for f in result.fields] == [
        ("metadata.deletionTimestamp", Change.ADDED, LATER)
    ]
    live["data"]["a"] = "2"
    assert [format_path(f.path) for f in verdict(CONFIG, live, SCHEMA).fields] == [
        "metadata.deletionTimestamp",
        "data.a",
    ]
    assert not verdict(CONFIG, deployed(CONFIG, SCHEMA), SCHEMA).is_being_deleted
