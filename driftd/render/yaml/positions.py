"""Positions of map entries and list items in a text."""

from __future__ import annotations

from typing import Any

Positions = dict[int, dict[Any, int]]
"""By the `id()` of a map or list: for each of its keys or indexes, the index of the entry's first character."""
