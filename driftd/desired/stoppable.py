"""Blocking work in a thread that can be given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from driftd.render import tool

A = TypeVar("A")
P = ParamSpec("P")


async def render_in_background(work: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> A:
    """The result of work that renders, in a thread. Cancelled, it kills the program that the work runs."""
    with tool.stoppable() as stop:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except asyncio.CancelledError:
            stop.now()
            raise
