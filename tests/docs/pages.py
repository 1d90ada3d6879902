"""The documents, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.docs.reference import ROOT, pages

_EXAMPLE = re.compile(r"<!-- example: (\w+) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `line` is where it starts in the page; `example` names it where a comment before it does."""

    page: Path
    line: int
    language: str
    text: str
    example: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Link:
    """A link or a picture of a page."""

    page: Path
    target: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)} -> {self.target}"


def blocks(*languages: str) -> list[Block]:
    """Every fenced block of the documents, of these languages or of all."""
    found = []
    for page in pages():
        example = None
        for token in MarkdownIt("commonmark").parse(page.read_text()):
            if token.type == "html_block" and (match := _EXAMPLE.search(token.content)):
                example = match[1]
            elif token.type == "fence":
                assert token.map is not None
                found.append(Block(page, token.map[0] + 1, token.info.strip(), token.content, example))
                example = None
    return [block for block in found if not languages or block.language in languages]


def links() -> list[Link]:
    """Every link and picture of the documents."""
    found = []
    for page in pages():
        for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
            for child in token.children or ():
                target = child.attrGet("href") or child.attrGet("src")
                if target:
                    found.append(Link(page, str(target)))
    return found


def anchors(page: Path) -> set[str]:
    """What a link may point to in a page: its headings, in the form that Git hosts give them."""
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    headings = [tokens[index + 1].content for index, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(text: str) -> list[str]:
    """The lines of a shell block that are commands: continued lines joined, prompts and comments taken away."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line.strip() for line in joined.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line and not line.startswith("#")]
