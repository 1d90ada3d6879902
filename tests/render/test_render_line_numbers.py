"""Each field of an object has its line in the file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.model.path import DocumentPath
from driftd.model.resource import Source
from driftd.render.manifests import read_manifests
from driftd.render.yaml import line_numbers
from driftd.render.yaml.documents import read_documents
from driftd.render.yaml.line_numbers import field_lines


def line_of(data: bytes, source: Source, path: DocumentPath) -> int:
    [line] = field_lines(data, [(source, path)])
    return line


DEPLOYMENT = b"""\
# two objects
---
apiVersion: v1
kind: Namespace
metadata:
  name: web
--- # the second
# with a comment

apiVersion: apps/v1
kind: Deployment
metadata: {name: web,
  namespace: web}
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: web
          image: nginx:1.25
          args: ["a",
            "b"]
        -
          name: side
          command:
          - run
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 10),
        (("kind",), 11),
        (("metadata", "namespace"), 13),
        (("spec", "replicas"), 15),
        (("spec", "template", "spec", "containers"), 18),
        (("spec", "template", "spec", "containers", 0), 19),
        (("spec", "template", "spec", "containers", 0, "image"), 20),
        (("spec", "template", "spec", "containers", 0, "args", 1), 22),
        (("spec", "template", "spec", "containers", 1, "name"), 24),
        (("spec", "template", "spec", "containers", 1, "command", 0), 26),
        (("spec", "template", "spec", "containers", 1, "image"), 24),
        (("spec", "template", "metadata", "labels"), 16),
        (("status",), 10),
    ],
)
def test_a_field_is_on_the_line_of_its_key(path: DocumentPath, line: int) -> None:
    """An undeclared field is on the line of its nearest declared ancestor."""
    deployment = read_manifests(DEPLOYMENT, "web.yaml").manifests[1]
    assert line_of(DEPLOYMENT, deployment.source, path) == line


def test_items_of_a_list_have_their_own_lines() -> None:
    """An object out of a List is found there, and so are its fields."""
    data = b"""\
kind: List
apiVersion: v1
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: a}
- kind: ConfigMapList
  apiVersion: v1
  items:
  - metadata:
      name: b
    data:
      k: v
"""
    first, second = read_manifests(data, "list.yaml").manifests
    assert (first.source.line, first.source.at) == (4, ("items", 0))
    assert (second.source.line, second.source.at) == (10, ("items", 1, "items", 0))
    assert line_of(data, second.source, ("data", "k")) == 13
    assert line_of(data, second.source, ("kind",)) == 10


def test_what_an_alias_or_a_merge_brings_is_where_it_is_written() -> None:
    """The line to change is that of the anchor's content."""
    data = b"""\
x-common: &common
  app: web
  tier: front
metadata:
  labels: *common
spec:
  selector:
    <<: *common
    tier: back
"""
    source = Source("a.yaml", 1)
    assert line_of(data, source, ("metadata", "labels")) == 5
    assert line_of(data, source, ("metadata", "labels", "app")) == 2
    assert line_of(data, source, ("spec", "selector", "app")) == 2
    assert line_of(data, source, ("spec", "selector", "tier")) == 9


def test_json_has_lines_too() -> None:
    """In JSON, and in several JSON values after each other, keys are found as in YAML."""
    data = b"""\
{"apiVersion": "v1",
 "kind": "ConfigMap", "metadata": {
   "name": "a"},
 "data": {"}\\"{": "[",
   "k": "v"}}{"apiVersion": "v1", "kind": "ConfigMap",
 "metadata": {"name": "b"},
 "data": {"l": [1,
   2]}}
"""
    first, second = read_manifests(data, "a.json").manifests
    assert [first.source.line, second.source.line] == [1, 5]
    assert line_of(data, first.source, ("data", "k")) == 5
    assert line_of(data, first.source, ("data", '}"{')) == 4
    assert line_of(data, second.source, ("data", "l", 1)) == 8


def test_only_line_feeds_are_lines() -> None:
    """Git and editors count line feeds; YAML's other line breaks move nothing. CRLF is one line end."""
    data = 'a: "x\N{NEXT LINE}y\N{LINE SEPARATOR}z"\r\nb: 1\r\n'.encode()
    [document] = read_documents(data, "a.yaml")
    assert line_of(data, Source("a.yaml", document.line, document.start), ("b",)) == 2


def test_an_object_made_by_a_program_has_the_line_of_its_source() -> None:
    """The file that an object was made from does not say where each of its fields comes from."""
    assert line_of(b"{{ broken", Source("templates/a.yaml", 7, origin="helm"), ("spec",)) == 7


def test_of_a_file_that_has_changed_since_no_other_line_is_named_than_the_objects() -> None:
    """A line of another content would be a wrong answer."""
    assert line_of(b"a: 1\n", Source("a.yaml", 9, document=9), ("a",)) == 9
    assert line_of(b"a: {", Source("a.yaml", 3, document=1), ("a",)) == 3


def test_fields_of_many_objects_of_a_file_are_found_in_parsing_each_document_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hand that changes ten thousand keys of a ConfigMap costs no ten thousand parsings."""
    parsed: list[int] = []
    original = line_numbers.lines_in
    monkeypatch.setattr(line_numbers, "lines_in", lambda raw, *rest: parsed.append(raw.line) or original(raw, *rest))
    data = b"".join(b"---\nkind: X\ndata:\n  a: 1\n  b: 2\n" for _ in range(3))
    sources = [Source("a.yaml", document.line, document=document.start) for document in read_documents(data, "a.yaml")]
    fields = [(source, ("data", key)) for source in sources for key in "ab"]
    assert field_lines(data, fields) == [4, 5, 9, 10, 14, 15]
    assert len(parsed) == 3


keys = st.text("abcdefgh.-/ é", min_size=1, max_size=6)
trees = st.recursive(
    st.integers() | st.text("ab\n:{}[]\"'", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


def paths(value: Any, at: DocumentPath = ()) -> list[DocumentPath]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for step, inner in entries for path in paths(inner, (*at, step)))]


@given(st.dictionaries(keys, trees, min_size=1, max_size=4))
def test_every_key_of_indented_json_is_on_the_line_that_shows_it(value: dict[str, Any]) -> None:
    """Whatever the object, the line that is named holds the key; read as JSON and as YAML, it is the same line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    shown = text.split("\n")
    for path in paths(value):
        line = line_of(text.encode(), Source("a.json", 1), path)
        assert line == line_of(f"---\n{text}".encode(), Source("a.yaml", 2, document=2), path) - 1
        if path and isinstance(path[-1], str):
            assert shown[line - 1].strip().startswith(json.dumps(path[-1], ensure_ascii=False))
