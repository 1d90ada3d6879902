"""The line-based reader agrees with libyaml on what it reads, and leaves the rest to libyaml."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.world import TEMPLATES
from driftd.render.yaml import block as block_yaml
from driftd.render.yaml.block import read_block
from driftd.render.yaml.compose import ComposeError, compose

DATA = Path(__file__).parent / "data"
DEPTH = 256

BLOCKS = """\
# A comment, and a blank line with spaces.
{blank}
apiVersion: v1
kind: "List"
'quoted key': it's # a comment
"another": '' # of a quoted one
empty:
null-like: ~
same-column:
- a
-  b: 1
   c: 2
-
- - nested
  - x: y
    z:
deeper:
    - name: true
      text: |
        # no comment

          indented
        end

      strip: |-
        a: b
      folded: >-
        one
        two

      nothing: |
    -   - 1
        - 0x1F
flow: {a: [1, 2.0, yes], b: {}, "c d": 'e', f : g}
lists: [ ]
args: ["--listen=:8080", -v, '*', a b, ~]
time: 12:30
url: https://example.com/#anchor
escaped: "a\\tb\\u00e9"
doubled: 'it''s'
0777: octal
y: true
twice: 1
twice:
  - 2
""".replace("{blank}", "   ")

LINES = st.sampled_from(
    [
        "", " ", "a: 1", "a:", "b: x", "b: |", "c: >-", "- a", "- b: 1", "- b:", "- - c", "-", "- |-", "# d", "x y",
        "a: b: c", "e: {f: 1, g: [h]}", "e: [a, {b: c}", "e: [a] b", "e: 'x' y", 'e: "x" # y', "e: {a}", "e: {a: b c}",
        "e: [a,]", "&a b: c", "d: *a", "d: !!str 1", "? a", ": b", "<<: {a: b}", "k: - a", "k: -1", "k:  v  ", "- k: |",
        "k: a #b", "k: [a: b]", "k: {a: }", "k: {,}", "k: ['a''b']", 'k: {"a":1}', "k: [a:b, c d , -e]", 'k: [b "]" ]',
        "...", "'k':v", "\tk: v", "k:\tv", "k: é", "k: \u2028", "k: \ufeff", "@k: v", "k: `v`", "k: %v", "- ? a",
        "k: ''''", "k: '", "k: a:", "é: k",
    ]
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Lines of all kinds at arbitrary indents."""
    lines = draw(st.lists(st.tuples(st.integers(0, 6), LINES), min_size=1, max_size=8))
    return "".join(f"{' ' * indent}{line}\n" for indent, line in lines)


def exact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


def read_by_libyaml(text: str) -> Any:
    try:
        value = compose(text, depth=DEPTH)
    except ComposeError:
        return "refused"
    return None if value is None else (exact(value[0]), value[1])


def assert_agrees(text: str) -> bool:
    """Whether the text was read; if so, both readers give the same value."""
    value = read_block(text, depth=DEPTH)
    if value is None:
        return False
    assert (exact(value[0]), value[1]) == read_by_libyaml(text)
    return True


@given(documents())
@example("a: 1\n  b: 2\n")
@example("a: |\n    \n  b\n")
@example("a: |\n  b\n      \n")
@example("a: |\n  b\n c: 1\n")
@example("a:\n- b\n  c\n")
@example("- a\n b: 1\n")
@settings(max_examples=1500, deadline=None)
def test_whatever_is_read_equals_what_libyaml_reads(text: str) -> None:
    """No text gets another value, and no text is read that libyaml refuses."""
    assert_agrees(text)


@pytest.mark.parametrize("seed", range(4))
def test_a_manifest_with_a_slip_is_read_as_libyaml_does(seed: int) -> None:
    """Characters and lines are removed, duplicated and inserted at random."""
    chance = random.Random(seed)
    whole = [file.read_text() for file in sorted(TEMPLATES.glob("*.yaml"))]
    whole.append(BLOCKS)
    read = 0
    for _ in range(400):
        text = chance.choice(whole)
        for _ in range(chance.randint(1, 3)):
            at, end = sorted(chance.choices(range(len(text)), k=2))
            match chance.randrange(4):
                case 0:
                    text = text[:at] + chance.choice(" \n:-#'\"[]{}|>&*!%,ab\t") + text[at:]
                case 1:
                    text = text[:at] + text[at + 1 :]
                case 2:
                    lines = text.split("\n")
                    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
                    text = "\n".join(lines)
                case _:
                    text = text[:at] + text[at : min(end, at + 8)] + text[at:]
        read += assert_agrees(text + "\n")
    assert 40 < read < 400, "most slips are mistakes, some are not"


def test_the_usual_manifests_need_no_libyaml() -> None:
    """All supported forms are read."""
    assert assert_agrees(BLOCKS)
    for file in TEMPLATES.glob("*.yaml"):
        assert assert_agrees(file.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1\n", "a: *x\n", "a: !!str 1\n", "<<: {a: 1}\n", "a\n", "a:\n  b\n", "a: b\n  c\n", "%YAML 1.1\n",
        "\ta: 1\n", "a: .inf\n", "~: 1\n", "a: [b: c]\n", "a: {b}\n", "a: 'b\n  c'\n", "a: |2\n   b\n", "? a\n",
        "a: b\n\ufeffc: d\n",
    ],
)  # fmt: skip
def test_what_is_not_of_this_kind_is_left_to_libyaml(text: str) -> None:
    """Whatever depends on the rest of the document, and all errors, which libyaml words."""
    assert read_block(text, depth=DEPTH) is None


def test_a_long_line_is_read_and_not_cached() -> None:
    """A Secret's value of megabytes in one line must not stay in memory."""
    before = block_yaml._parse_line_cached.cache_info().currsize
    assert assert_agrees(f"data:\n  blob: {'QUJD' * 100_000}\n")
    assert block_yaml._parse_line_cached.cache_info().currsize <= before + 1


def test_deep_nesting_is_left_to_libyaml() -> None:
    """In lines and in brackets."""
    assert read_block("".join(f"{' ' * depth}a:\n" for depth in range(60)), depth=DEPTH) is None
    assert read_block(f"a: {'[' * 60}{']' * 60}\n", depth=DEPTH) is None
    assert read_block("a: 1\n", depth=3) is None


def test_the_positions_of_fields_are_those_that_libyaml_gives() -> None:
    """For every map and list that is not in brackets."""
    text = BLOCKS.replace("\n-\n", "\n- null\n")
    places: list[dict[int, dict[Any, int]]] = [{}, {}]
    block, libyaml = read_block(text, depth=DEPTH, positions=places[0]), compose(text, depth=DEPTH, positions=places[1])
    assert block is not None
    assert libyaml is not None
    compared = 0

    def compare(ours: Any, theirs: Any) -> None:
        nonlocal compared
        if id(ours) not in places[0]:
            return
        assert places[0][id(ours)] == places[1][id(theirs)]
        compared += len(places[0][id(ours)])
        for key in ours if isinstance(ours, dict) else range(len(ours)):
            compare(ours[key], theirs[key])

    compare(block[0], libyaml[0])
    assert compared > 30
