"""Slack's limits on messages and their blocks.

Source: https://docs.slack.dev/reference/block-kit/blocks and /reference/methods/chat.postMessage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

MAX_BLOCKS = 50
MAX_TEXT = 40_000
MAX_ATTACHMENTS = 100

Block = dict[str, Any]
_Check = Callable[[Block, str], Iterator[str]]


def block_mistakes(blocks: Any) -> list[str]:
    """Violations of Slack's rules, in its format: `[ERROR] … [json-pointer:/blocks/0/text]`."""
    if not isinstance(blocks, list):
        return [_at("must be an array", "/blocks")]
    mistakes: list[str] = []
    if len(blocks) > MAX_BLOCKS:
        mistakes.append(_at(f"no more than {MAX_BLOCKS} items allowed", "/blocks"))
    ids: set[str] = set()
    for index, block in enumerate(blocks):
        pointer = f"/blocks/{index}"
        if not isinstance(block, dict):
            mistakes.append(_at("must be an object", pointer))
            continue
        check = _CHECKS.get(block.get("type", ""))
        if check is None:
            mistakes.append(_at(f"unsupported type: {block.get('type')}", f"{pointer}/type"))
            continue
        mistakes.extend(check(block, pointer))
        if name := block.get("block_id"):
            if len(name) > 255:
                mistakes.append(_at("must be less than 256 characters", f"{pointer}/block_id"))
            if name in ids:
                mistakes.append(_at(f"`block_id` already exists: {name}", f"{pointer}/block_id"))
            ids.add(name)
    return mistakes


def _at(text: str, pointer: str) -> str:
    return f"[ERROR] {text} [json-pointer:{pointer}]"


def _text(value: Any, pointer: str, limit: int, kinds: tuple[str, ...] = ("mrkdwn", "plain_text")) -> Iterator[str]:
    """Checks a text object."""
    if not isinstance(value, dict):
        yield _at("missing required field: text", pointer)
        return
    if value.get("type") not in kinds:
        yield _at(f"must be one of: {', '.join(kinds)}", f"{pointer}/type")
    text = value.get("text")
    if not isinstance(text, str) or not text:
        yield _at("must be more than 0 characters", f"{pointer}/text")
    elif len(text) > limit:
        yield _at(f"must be less than {limit + 1} characters", f"{pointer}/text")


def _length(block: Block, key: str, pointer: str, limit: int, *, required: bool = False) -> Iterator[str]:
    value = block.get(key)
    if value is None:
        if required:
            yield _at(f"missing required field: {key}", pointer)
    elif not isinstance(value, str) or (required and not value):
        yield _at("must be more than 0 characters", f"{pointer}/{key}")
    elif len(value) > limit:
        yield _at(f"must be less than {limit + 1} characters", f"{pointer}/{key}")


def _section(block: Block, pointer: str) -> Iterator[str]:
    fields = block.get("fields")
    if "text" in block or not fields:
        yield from _text(block.get("text"), f"{pointer}/text", 3000)
    if fields is not None:
        if not isinstance(fields, list) or not 1 <= len(fields) <= 10:
            yield _at("no more than 10 items allowed", f"{pointer}/fields")
            return
        for index, field in enumerate(fields):
            yield from _text(field, f"{pointer}/fields/{index}", 2000)
    if "accessory" in block:
        yield from _element(block["accessory"], f"{pointer}/accessory")


def _header(block: Block, pointer: str) -> Iterator[str]:
    yield from _text(block.get("text"), f"{pointer}/text", 150, ("plain_text",))


def _divider(_block: Block, _pointer: str) -> Iterator[str]:
    yield from ()


def _elements(block: Block, pointer: str, limit: int) -> Iterator[tuple[Any, str]]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= limit:
        raise ValueError(_at(f"must have 1 to {limit} items", f"{pointer}/elements"))
    for index, element in enumerate(elements):
        yield element, f"{pointer}/elements/{index}"


def _context(block: Block, pointer: str) -> Iterator[str]:
    try:
        for element, element_pointer in list(_elements(block, pointer, 10)):
            if isinstance(element, dict) and element.get("type") == "image":
                yield from _image(element, element_pointer)
            else:
                yield from _text(element, element_pointer, 3000)
    except ValueError as error:
        yield str(error)


def _actions(block: Block, pointer: str) -> Iterator[str]:
    try:
        for element, element_pointer in list(_elements(block, pointer, 25)):
            yield from _element(element, element_pointer)
    except ValueError as error:
        yield str(error)


def _image(block: Block, pointer: str) -> Iterator[str]:
    if "slack_file" not in block:
        yield from _length(block, "image_url", pointer, 3000, required=True)
    yield from _length(block, "alt_text", pointer, 2000, required=True)
    if "title" in block:
        yield from _text(block["title"], f"{pointer}/title", 2000, ("plain_text",))


def _rich_text(block: Block, pointer: str) -> Iterator[str]:
    if not isinstance(block.get("elements"), list):
        yield _at("missing required field: elements", pointer)


def _element(element: Any, pointer: str) -> Iterator[str]:
    if not isinstance(element, dict) or "type" not in element:
        yield _at("missing required field: type", pointer)
        return
    yield from _length(element, "action_id", pointer, 255)
    if element["type"] == "button":
        yield from _text(element.get("text"), f"{pointer}/text", 75, ("plain_text",))
        yield from _length(element, "value", pointer, 2000)
        yield from _length(element, "url", pointer, 3000)
        if element.get("style") not in (None, "primary", "danger"):
            yield _at("must be one of: primary, danger", f"{pointer}/style")
    elif element["type"] == "image":
        yield from _image(element, pointer)
    elif element["type"] in ("static_select", "overflow"):
        yield from _options(element, pointer)


def _options(element: Block, pointer: str) -> Iterator[str]:
    limit = 5 if element["type"] == "overflow" else 100
    options = element.get("options") or []
    if not 1 <= len(options) <= limit:
        yield _at(f"must have 1 to {limit} items", f"{pointer}/options")
    for index, option in enumerate(options):
        yield from _text(option.get("text"), f"{pointer}/options/{index}/text", 75)
        yield from _length(option, "value", f"{pointer}/options/{index}", 150, required=True)


_CHECKS: dict[str, _Check] = {
    "actions": _actions,
    "context": _context,
    "divider": _divider,
    "header": _header,
    "image": _image,
    "rich_text": _rich_text,
    "section": _section,
}
