"""YAML and JSON are read as kubectl reads them, whatever the file contains."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.model.errors import RenderError
from driftd.render.manifests import read_manifests
from driftd.render.yaml.documents import ReadLimits, read_documents

DATA = Path(__file__).parent / "data"


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((DATA / name).read_text())["cases"]]


def values(text: str | bytes, **limits: int) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    return [document.value for document in read_documents(data, "a.yaml", ReadLimits(**limits))]


def exact(value: Any) -> str:
    """JSON text, so that 1, 1.0 and true are not the same."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("case", cases("yaml-as-kubectl-reads-it.json"))
def test_an_object_is_what_kubectl_makes_of_it(case: dict[str, Any]) -> None:
    """The manifests of a file are exactly kubectl's objects, and what kubectl refuses is an error."""
    result = read_manifests(case["yaml"].encode(), "a.yaml")
    if "objects" in case:
        assert result.errors == ()
        assert exact([manifest.body for manifest in result.manifests]) == exact(case["objects"])
    else:
        assert len(result.errors) == 1


@pytest.mark.parametrize("case", cases("yaml-structures-as-kubectl-reads-them.json"))
def test_a_document_is_what_kubectls_decoder_makes_of_it(case: dict[str, Any]) -> None:
    """Merges, anchors, tags, streams and separators give kubectl's values, or an error where it has one."""
    if "objects" in case:
        assert exact(values(case["yaml"])) == exact(case["objects"])
    else:
        with pytest.raises(RenderError):
            values(case["yaml"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_decides_the_encoding(encoding: str) -> None:
    """Editors on Windows write UTF-16 or a mark before UTF-8; kubectl reads all of them."""
    text = "a: é\nb: 😀\n"
    mark = "" if encoding in ("utf-8-sig", "utf-16") else "\N{BOM}"
    assert values((mark + text).encode(encoding)) == [{"a": "é", "b": "😀"}]


def test_bytes_that_are_not_utf_8_become_replacement_characters() -> None:
    """An old comment in Latin-1 makes no file unreadable."""
    assert values(b"a: 1 # caf\xe9\n") == [{"a": 1}]


def test_a_byte_order_mark_amid_a_file_is_refused() -> None:
    """Parsers silently disagree about it, so it is an error."""
    with pytest.raises(RenderError, match=r"^a\.yaml:2:1: a byte order mark"):
        values("a: 1\n\N{BOM}b: 2\n")


def test_windows_line_ends_are_no_part_of_a_text() -> None:
    """A block scalar of a file with CRLF holds line feeds, as kubectl sends them."""
    assert values("a: |\r\n  x\r\n  y\r\n---\r\nb: 1\r\n") == [{"a": "x\ny\n"}, {"b": 1}]


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, 2, "did not find expected ',' or ']'"),
        ("a: 1\n---\nb: 1\n\nc: .inf\n", 5, 4, "has no place in JSON"),
        ("a: 1\n--- no\n", 2, 4, "only a comment may follow `---`"),
        ("%YAML 1.2\n---\na: 1\n", 1, 1, "no YAML directives"),
        ("# one\n---\na: \x07\n", 3, 4, "control characters are not allowed (U+0007)"),
        ("x: 1\na: *b\n", 2, 4, "the alias has no anchor"),
        ("x: 1\na: &b [*b]\n", 2, 8, "the anchor contains itself"),
        ("x: 1\na: {<<: [1]}\n", 2, 9, "`<<` wants a map"),
        ("x: 1\n~: 2\n", 2, 1, "a map key may not be null"),
        ("x: 1\n? [a]\n: 2\n", 2, 3, "a map key must be a scalar"),
        ('x: 1\ny: "a\\/b"\n', 2, 6, "the escape"),
        ('{"a": 1}\n{"b": 2}\n{"c": x}\n', 3, 7, "Expecting value"),
    ],
)
def test_an_error_names_the_line_and_the_column(text: str, line: int, column: int, says: str) -> None:
    """Whatever is wrong with a file, the error locates it."""
    with pytest.raises(RenderError) as caught:
        values(text)
    assert (caught.value.file, caught.value.line, caught.value.column) == ("a.yaml", line, column)
    assert says in caught.value.message


def test_the_error_of_a_json_file_is_about_its_json() -> None:
    """The error in a .json file is that of JSON, not of YAML."""
    with pytest.raises(RenderError, match=r"a\.json:2:7: Expecting"):
        read_documents(b'{\n  "a" 1\n}\n', "a.json")


def test_documents_have_their_first_lines() -> None:
    """A document's line is that of its first key; its start is past the separator."""
    documents = read_documents(b"# head\n\na: 1\n---\n# c\nb: 2\n---\n\n- 1\n", "a.yaml")
    assert [(document.line, document.start) for document in documents] == [(3, 1), (6, 5), (9, 8)]


@pytest.mark.parametrize("text", ["[" * 30_000, "- " * 100_000, '{"a":' * 30_000, "{a: " * 30_000, "? " * 30_000])
def test_deep_nesting_is_an_error_and_not_a_crash(text: str) -> None:
    """libyaml's own composer overflows the stack on these and takes the process with it."""
    with pytest.raises(RenderError, match=r"nested deeper|must be a scalar"):
        values(text)


def test_nesting_up_to_the_limit_is_read() -> None:
    """A limit of ten levels takes ten and refuses eleven, in YAML and in JSON."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inner = "0" if opening != "[" else ""
        assert values(opening * 10 + inner + closing * 10, depth=10)
        with pytest.raises(RenderError, match="nested deeper than 10 levels"):
            values(opening * 11 + inner + closing * 11, depth=10)


def test_aliases_that_stand_for_too_much_are_refused() -> None:
    """Nine aliases of nine aliases of nine: a few lines that would be a billion nodes."""
    lines = ["a0: &a0 [x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(RenderError, match="aliases of this document stand for too much"):
        values("\n".join(lines))


def test_many_small_aliases_are_read() -> None:
    """A file of 500 objects that share their labels is no attack."""
    text = "labels: &labels {app: web}\nitems:\n" + "- labels: *labels\n" * 500
    assert len(values(text)[0]["items"]) == 500


def test_a_file_past_the_size_limit_is_refused() -> None:
    with pytest.raises(RenderError, match="has 11 bytes, more than the 10"):
        values("a: 12345678", size=10)


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
printable = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\N{BOM}\u2028\u2029"), max_size=20
)


def documents_of(strings: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | numbers | strings,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
        max_leaves=25,
    )


def as_go_keeps_it(value: Any) -> Any:
    """Numbers as 64-bit integers, or else as floats; a float without a fraction is written as an integer."""
    match value:
        case bool():
            return value
        case int() if not -(2**63) <= value < 2**63:
            return as_go_keeps_it(float(value))
        case float() if value.is_integer() and abs(value) < 1e21:
            return int(f"{value:.0f}") if abs(value) < 2**53 else float(value)
        case dict():
            return {key: as_go_keeps_it(inner) for key, inner in value.items()}
        case list():
            return [as_go_keeps_it(inner) for inner in value]
        case _:
            return value


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float) and isinstance(ours, int | float):
        return math.isclose(ours, theirs, rel_tol=1e-15, abs_tol=0.0)
    return type(ours) is type(theirs) and bool(ours == theirs)


@given(documents_of(texts).filter(lambda value: value is not None))
def test_json_comes_back_as_it_was(value: Any) -> None:
    """What json can write is read back equal, numbers being 64 bits wide."""
    result = values(json.dumps({"value": value}, ensure_ascii=False))
    assert same(result[0]["value"], as_go_keeps_it(value))


@given(documents_of(printable), st.booleans())
def test_yaml_comes_back_as_it_was(value: Any, flow: bool) -> None:
    """What PyYAML can write with all its strings quoted is read back equal."""
    text = yaml.dump({"value": value}, Dumper=Quoting, default_flow_style=flow, allow_unicode=True)
    result = values(text)
    assert same(result[0]["value"], as_go_keeps_it(value))


class Quoting(yaml.SafeDumper):
    """Writes strings in quotes, since PyYAML's idea of a plain string is not kubectl's, and without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the name is PyYAML's
        return True


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    """No content of a file raises anything but a RenderError."""
    with suppress(RenderError):
        read_documents(data, "a.yaml")


@settings(max_examples=500)
@given(
    st.lists(
        st.sampled_from([*"{}[]:,-?&*!|>'\"%@#~ \n\t<.=+0a\\", "---\n", "<<: ", "&a ", "*a ", "!!int "]), max_size=40
    )
)
def test_random_yaml_is_read_or_refused(pieces: list[str]) -> None:
    """Nor does anything that is made of YAML's own characters; what is read is JSON."""
    with suppress(RenderError):
        json.dumps(values("".join(pieces)), allow_nan=False)


@pytest.mark.parametrize(
    "text",
    [
        "a: [" + "[], " * 1200 + "[]]\n",
        "a:\n" + "- x\n" * 1200,
        "a:\n" + "- - x\n" * 600,
        "a:\n" + "".join(f"  k{number}: {{}}\n" for number in range(600)),
        '{"a": [' + "1, " * 2400 + "1]}",
        '{"a": [' + "[], " * 1200 + "[]]}",
        "a: &a [" + "1, " * 99 + "1]\nb: [" + "*a, " * 20 + "*a]\n",
    ],
)
def test_a_document_has_only_so_many_values(text: str) -> None:
    """A file of some megabytes can stand for gigabytes of maps and lists."""
    with pytest.raises(RenderError, match="has more than 1000 values"):
        read_documents(text.encode(), "a.yaml", ReadLimits(nodes=1000))
    assert read_documents(text.encode(), "a.yaml", ReadLimits(nodes=3000))


@pytest.mark.parametrize("text", ["---\na: 1\n" * 30, '{"a": 1}' * 30])
def test_a_file_has_only_so_many_documents(text: str) -> None:
    with pytest.raises(RenderError, match="has more than 20 documents"):
        read_documents(text.encode(), "a.yaml", ReadLimits(documents=20))
    assert len(read_documents(text.encode(), "a.yaml", ReadLimits(documents=30))) == 30
