"""Pictures of a terminal for documents, drawn from the output of commands, so that they stay current."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable

from rich.console import Console
from rich.terminal_theme import TerminalTheme

_THEME = TerminalTheme(
    background=(13, 17, 23),
    foreground=(230, 237, 243),
    normal=[
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (177, 186, 196),
    ],
    bright=[
        (139, 148, 158),
        (255, 161, 152),
        (126, 231, 135),
        (242, 204, 96),
        (165, 214, 255),
        (226, 197, 255),
        (179, 240, 255),
        (255, 255, 255),
    ],
)
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
_FONT_FACES = re.compile(r"@font-face\s*\{[^}]*\}\s*")


def terminal_svg(render: Callable[[Console], None], title: str, *, width: int = 100) -> str:
    """The output of `render` as an SVG of a terminal `width` characters wide.

    Equal output gives equal bytes. Nothing is loaded from elsewhere: fonts are the reader's.
    """
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    render(console)
    plain = console.export_text(clear=False)
    identity = hashlib.sha256(f"{title}\n{width}\n{plain}".encode(errors="backslashreplace")).hexdigest()[:12]
    svg = console.export_svg(title=title, theme=_THEME, unique_id=f"driftd-{identity}")
    svg = _FONT_FACES.sub("", svg)
    return re.sub(r"font-family:\s*(?:Fira Code, ?monospace|arial)", f"font-family: {_FONTS}", svg)
