"""A message in Slack's Block Kit. Pure.

All text from clusters and repositories is passed through `escape`, so that it can neither mention people, nor make
links, nor end its code span; `verbatim` also stops Slack from detecting links and names.

Source: https://docs.slack.dev/messaging/formatting-message-text for the three characters to escape;
https://docs.slack.dev/reference/block-kit/blocks for the limits per block. The limit of about 13,000 characters for all
blocks of a message is not documented but enforced (`msg_blocks_too_long`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from driftd.model.text import plural
from driftd.notify.message import FieldPart, Message, ObjectPart

Block = dict[str, Any]

MAX_SECTION = 3_000
MAX_TEXT = 3_000
MAX_BLOCKS_TOTAL = 9_000
"""Maximum characters of all sections together, well below Slack's limit."""

_BACKTICK = "\N{MODIFIER LETTER GRAVE ACCENT}"
_UNFORMATTED = str.maketrans(
    {"*": "\N{ASTERISK OPERATOR}", "_": "_\N{WORD JOINER}", "~": "\N{TILDE OPERATOR}", "`": _BACKTICK}
)
_MENTION = re.compile(r"@(?=here|channel|everyone)", re.IGNORECASE)


def blocks(message: Message) -> list[Block]:
    """Headline, notes, one block per object, and a footer: at most 19 blocks, all within Slack's limits."""
    result = [_section(_headline(message))]
    if message.notes:
        result.append(_section(_cut("\n".join(quote(note) for note in message.notes))))
    total = sum(len(block["text"]["text"]) for block in result)
    omitted = message.more_objects
    for part in message.objects:
        text = _object(part, resolved=message.ending is not None)
        total += len(text)
        if total > MAX_BLOCKS_TOTAL:
            omitted += 1
            continue
        result.append(_section(text))
    if omitted:
        result.append(_section(f"… and {plural(omitted, 'more object')}"))
    result.append({"type": "context", "elements": [_mrkdwn(escape(message.footer))]})
    return result


def fallback(message: Message) -> str:
    """Plain text for notifications and screen readers: the headline and the names of the objects."""
    lines = [f"{message.emoji} {message.headline}", *message.notes]
    lines += [
        f"- {part.kind} {part.name}: {part.state}" + (f", {part.ending}" if part.ending else "")
        for part in message.objects
    ]
    if message.more_objects:
        lines.append(f"… and {plural(message.more_objects, 'more object')}")
    return _cut("\n".join(escape(line) for line in lines), MAX_TEXT)


def resolved_reply(message: Message) -> str:
    """The reply in the thread of a resolved incident. Unlike an update it notifies people."""
    return escape(f"✅ resolved: {message.ending}")


def escape(text: str) -> str:
    """Text that Slack displays literally."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MENTION.sub("@\N{WORD JOINER}", plain)


def code(text: str) -> str:
    """A code span. Slack has no escape for backticks, so another character replaces them."""
    return f"`{escape(text).replace('`', _BACKTICK) or ' '}`"


def quote(text: str) -> str:
    """A quoted line in which `*`, `_` and `~` do not format."""
    return f"> {code(text)}"


def _headline(message: Message) -> str:
    return f"{message.emoji} *{_unformatted(message.headline)}*"


def _object(part: ObjectPart, *, resolved: bool) -> str:
    kind, name = _unformatted(part.kind), code(part.name)
    over = resolved or part.ending is not None
    title = f"~{kind} {name}~ was {part.state}" if over else f"*{kind}* {name} {part.state}"
    if part.ending is not None:
        title += f": {_unformatted(part.ending)}"
    lines = [title + (f" · {code(part.place)}" if part.place else "")]
    if part.left_to is not None and not over:
        lines.append(f"left to {_unformatted(part.left_to)}")
    if part.error:
        lines.append(quote(part.error))
    shown = 0
    length = len(lines[0]) + sum(map(len, lines[1:]))
    for field in part.fields:
        text = _field(field)
        length += len(text) + 1
        if length > MAX_SECTION - 100:
            break
        lines.append(text)
        shown += 1
    hidden = part.more_fields + len(part.fields) - shown
    if hidden:
        lines.append(f"… and {plural(hidden, 'more field')}")
    return _cut("\n".join(lines))


def _field(field: FieldPart) -> str:
    if field.diff is not None:
        change = f":\n{_code_block(field.diff)}"
    elif field.desired is None:
        change = f": added {code(field.live or '')}"
    elif field.live is None:
        change = f": removed, was {code(field.desired)}"
    else:
        change = f": Git {code(field.desired)} → live {code(field.live)}"
    who = [f"by {code(field.by)}"] if field.by else []
    where = [f"Git {code(field.git)}"] if field.git else []
    left = [f"left to {_unformatted(field.left_to)}"] if field.left_to else []
    origin = " · ".join(who + where + left)
    return f"• {code(field.path)}{change}" + (f"\n     {origin}" if origin else "")


def _code_block(lines: Iterable[str]) -> str:
    body = escape("\n".join(lines)).replace("`", _BACKTICK)
    return f"```\n{body}\n```"


def _unformatted(text: str) -> str:
    """Escaped, with replacements for the characters that start or end bold, italic, strike-through or code."""
    return escape(text.translate(_UNFORMATTED))


def _cut(text: str, limit: int = MAX_SECTION) -> str:
    """At most `limit` characters, cut at a line break, so that every escape and code span stays intact."""
    if len(text) <= limit:
        return text
    lines: list[str] = []
    length = 2
    for line in text.splitlines():
        length += len(line) + 1
        if length > limit:
            break
        lines.append(line)
    return "\n".join([*lines, "…"])


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
