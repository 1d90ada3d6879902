"""Text that people read."""

from __future__ import annotations

import pytest
from hypothesis import given

from driftd.model.drift import Status
from driftd.model.text import has_control_character, one_line, plural, visible
from tests.cli_output.samples import texts


@given(texts)
def test_visible_text_is_printable_and_loses_nothing(text: str):
    """Different texts stay different unless they held the written-out form already."""
    assert all(c.isprintable() or c == "\n" for c in visible(text))
    assert one_line(text).isprintable()
    if text.isprintable():
        assert visible(text) == text


def test_what_could_steer_a_terminal_is_written_out():
    """Controls, direction marks, surrogates and tabs; line breaks only where the text has to be one line."""
    assert visible("\x1b[31m\u202e\ud800\tx\r\ny") == "\\x1b[31m\\u202e\\ud800⇥   x\\r\ny"
    assert one_line("a\nb") == "a\\nb"


@pytest.mark.parametrize(("text", "has"), [("main", False), ("é\u202e", False), ("a\tb", True), ("a\x7f", True)])
def test_control_characters_are_those_of_ascii(text: str, has: bool):
    """They have no place in a path, an address or a password."""
    assert has_control_character(text) is has


@pytest.mark.parametrize(("count", "words"), [(0, "0 objects"), (1, "1 object"), (2, "2 objects")])
def test_one_is_one_and_everything_else_is_many(count: int, words: str):
    """Zero too."""
    assert plural(count, "object") == words


def test_a_status_has_a_label():
    """Its name, in words."""
    assert [status.label for status in Status] == ["in sync", "drifted", "missing", "orphaned", "ignored", "unknown"]
