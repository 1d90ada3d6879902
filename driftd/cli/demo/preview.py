"""A Slack message, approximated in a terminal."""

from __future__ import annotations

import re

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from driftd.sandbox.slack.workspace import SlackMessage

_SPAN = re.compile(
    r"```\n?(?P<block>.*?)\n?```|`(?P<code>[^`\n]+)`|\*(?P<bold>[^*\n]+)\*|~(?P<gone>[^~\n]+)~", re.DOTALL
)
_STYLES = {"block": "cyan", "code": "cyan", "bold": "bold", "gone": "strike bright_black"}


def slack_message(message: SlackMessage, channel: str, *, expand: bool = True) -> RenderableType:
    """The panel of a message: its blocks, or its text where it has none. A reply looks like one.

    With `expand` it is as wide as the console, else as its text.
    """
    parts: list[RenderableType] = []
    for block in message.blocks:
        if block["type"] == "section":
            parts.append(mrkdwn(block["text"]["text"]))
        elif block["type"] == "context":
            context = mrkdwn("  ".join(element["text"] for element in block["elements"]))
            context.stylize("bright_black")
            parts.append(context)
    if not parts:
        parts.append(mrkdwn(message.text))
    place = channel if message.thread_ts is None else "↳ reply in the thread"
    edited = " (edited)" if message.edits else ""
    title = Text.assemble(("driftd", "bold"), (" APP ", "reverse"), f"  {place}{edited}")
    return Panel(Group(*parts), title=title, title_align="left", border_style="magenta", padding=(0, 1), expand=expand)


def mrkdwn(text: str) -> Text:
    """Slack's markup as styled text, its escapes undone."""
    result = Text()
    position = 0
    for match in _SPAN.finditer(text):
        result.append(_plain(text[position : match.start()]))
        kind = match.lastgroup or "bold"
        if kind in ("bold", "gone"):
            inner = mrkdwn(match[kind])
            inner.stylize(_STYLES[kind])
            result.append(inner)
        else:
            result.append(_plain(match[kind]), style=_STYLES[kind])
        position = match.end()
    result.append(_plain(text[position:]))
    return result


def _plain(text: str) -> str:
    for escaped, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("\N{WORD JOINER}", "")):
        text = text.replace(escaped, character)
    return re.sub(r"^> ", "▌ ", text, flags=re.MULTILINE)
