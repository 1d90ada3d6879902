"""The pictures of the README show what the code prints."""

from __future__ import annotations

from tools.pictures import FOLDER, pictures


def test_the_pictures_are_what_the_code_draws_today() -> None:
    """A change of what is printed changes the pictures with it: `make pictures`."""
    for name, content in pictures().items():
        assert (FOLDER / name).read_text() == content, f"docs/pictures/{name} has aged: run `make pictures`"
