"""A page of the built site, taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
_NOT_LOADED = {"canonical", "prev", "next"}  # of a <link>: what search engines and readers are told


@dataclass(slots=True)
class Html(HTMLParser):
    """What a page links to, what a browser loads for it, and what a link may point to."""

    page: Path
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self.feed(self.page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") not in _NOT_LOADED:
            self.loaded.append(values["href"])
        if (attribute := _LOADED.get(tag)) and attribute in values:
            self.loaded.append(values[attribute])

    def target(self, link: str) -> tuple[Path, str]:
        """The file that a link without a host leads to, and the anchor in it."""
        parts = urlsplit(link)
        file = (self.page.parent / unquote(parts.path)).resolve() if parts.path else self.page
        return (file / "index.html" if file.is_dir() else file), unquote(parts.fragment)


def is_elsewhere(link: str) -> bool:
    """Whether it names another host."""
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme not in ("", "data")
