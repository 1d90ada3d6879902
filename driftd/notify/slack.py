"""A message as Slack's Block Kit writes it. Pure.

Everything that comes from a cluster or a repository goes through `escape`, so that it can neither ping people, nor make
a link, nor break out of its code span; beside that, Slack is told not to look for links and names (`verbatim`).

Source: https://docs.slack.dev/messaging/formatting-message-text for the three characters to escape;
https://docs.slack.dev/reference/block-kit/blocks for the limits per block. That the blocks of a message together may
hold no more than about 13,000 characters is not documented but enforced (`msg_blocks_too_long`).
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
"""Characters of all sections together, well under what Slack was seen to take."""

_BACKTICK = "\N{MODIFIER LETTER GRAVE ACCENT}"
_UNFORMATTED = str.maketrans(
    {"*": "\N{ASTERISK OPERATOR}", "_": "_\N{WORD JOINER}", "~": "\N{TILDE OPERATOR}", "`": _BACKTICK}
)
_MENTION = re.compile(r"@(?=here|channel|everyone)", re.IGNORECASE)


def blocks(message: Message) -> list[Block]:
    """One block for the headline, one per object, one that says when: at most 14, each and all within bounds."""
    made = [_section(_headline(message))]
    if message.notes:
        made.append(_section(_cut("\n".join(quote(note) for note in message.notes))))
    total = sum(len(block["text"]["text"]) for block in made)
    left_out = message.more_objects
    for part in message.objects:
        text = _object(part, resolved=message.ending is not None)
        total += len(text)
        if total > MAX_BLOCKS_TOTAL:
            left_out += 1
            continue
        made.append(_section(text))
    if left_out:
        made.append(_section(f"… and {plural(left_out, 'more object')}"))
    made.append({"type": "context", "elements": [_mrkdwn(escape(message.footer))]})
    return made


def fallback(message: Message) -> str:
    """The plain text that notifications and screen readers show: the headline and the names of the objects."""
    lines = [f"{message.mark} {message.headline}", *message.notes]
    lines += [f"- {part.kind} {part.name}: {part.state}" for part in message.objects]
    if message.more_objects:
        lines.append(f"… and {plural(message.more_objects, 'more object')}")
    return _cut("\n".join(escape(line) for line in lines), MAX_TEXT)


def closing(message: Message) -> str:
    """The short reply in the message's thread, once it is over: that is what makes Slack tell people."""
    return escape(f"✅ resolved: {message.ending}")


def escape(text: str) -> str:
    """Text that shows as it is, and does nothing."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MENTION.sub("@\N{WORD JOINER}", plain)


def code(text: str) -> str:
    """A code span. Slack knows no escape for a backtick in it, so another quote stands for it."""
    return f"`{escape(text).replace('`', _BACKTICK) or ' '}`"


def quote(text: str) -> str:
    """A quoted line whose marks of formatting (`*`, `_`, `~`) mean nothing."""
    return f"> {code(text)}"


def _headline(message: Message) -> str:
    return f"{message.mark} *{_unformatted(message.headline)}*"


def _object(part: ObjectPart, *, resolved: bool) -> str:
    kind, name = _unformatted(part.kind), code(part.name)
    title = f"~{kind} {name}~ was {part.state}" if resolved else f"*{kind}* {name} {part.state}"
    lines = [title + (f" · {code(part.place)}" if part.place else "")]
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
        change = f": {code(field.desired)} → {code(field.live)}"
    who = [f"by {code(field.by)}"] if field.by else []
    where = [f"Git {code(field.git)}"] if field.git else []
    origin = " · ".join(who + where)
    return f"• {code(field.path)}{change}" + (f"\n     {origin}" if origin else "")


def _code_block(lines: Iterable[str]) -> str:
    body = escape("\n".join(lines)).replace("`", _BACKTICK)
    return f"```\n{body}\n```"


def _unformatted(text: str) -> str:
    """Escaped, and without the characters that would start or end bold, italic, struck or code."""
    return escape(text.translate(_UNFORMATTED))


def _cut(text: str, limit: int = MAX_SECTION) -> str:
    """At most `limit` characters, cut between lines, so that no escape or code span is torn."""
    if len(text) <= limit:
        return text
    kept: list[str] = []
    length = 2
    for line in text.splitlines():
        length += len(line) + 1
        if length > limit:
            break
        kept.append(line)
    return "\n".join([*kept, "…"])


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
