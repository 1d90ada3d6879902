"""The documentation site: every page is on it, every link leads somewhere, and it needs nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.docs.html import Html, is_elsewhere
from tests.docs.pages import links
from tests.docs.reference import ROOT, pages
from tools.site import SHOWN, build


class _Loader(yaml.SafeLoader):
    """Reads the configuration of the site without what it has in Python."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(into=tmp_path_factory.mktemp("site") / "built")


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Html]:
    """Every page of the site, by its file."""
    return {file: Html(file) for file in site.rglob("*.html")}


def _navigation(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict):
            for below in entry.values():
                yield from _navigation(below)
        else:
            yield entry


def test_every_page_is_in_the_navigation_and_is_built(site: Path):
    """Once. The builder does not say so itself."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)
    named = list(_navigation(config["nav"]))
    assert len(set(named)) == len(named)
    wanted = {page.relative_to(ROOT).as_posix() for page in pages()}
    others = {name for name in SHOWN if name.endswith(".md")}
    assert set(named) == wanted | others
    for name in named:
        page = site / name.replace("README.md", "index.md")
        assert page.with_suffix(".html").exists(), name


def test_every_link_of_the_site_leads_to_a_page_and_an_anchor_of_it(built: dict[Path, Html]):
    broken = []
    for file, page in built.items():
        if file.name == "404.html":  # its links start at the root of the host
            continue
        for link in page.links:
            if is_elsewhere(link):
                continue
            target, anchor = page.target(link)
            if not target.exists() or (anchor and target in built and anchor not in built[target].ids):
                broken.append(f"{file.name}: {link}")
    assert not broken


def test_a_link_to_another_host_is_a_whole_address_over_https(built: dict[Path, Html]):
    """That it answers is not tried: tests use no network."""
    outward = {link for page in built.values() for link in page.links if is_elsewhere(link)}
    assert outward
    for link in outward:
        parts = urlsplit(link)
        assert parts.scheme == "https", link
        assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), link
        assert " " not in link


def test_the_site_loads_nothing_from_another_host(site: Path, built: dict[Path, Html]):
    """No font, no script, no tracker: only links lead elsewhere, and they are followed by readers alone."""
    assert not {loaded for page in built.values() for loaded in page.loaded if is_elsewhere(loaded)}
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"url\(\s*['\"]?([^)'\"]+)|@import\s+['\"]([^'\"]+)", sheet.read_text())
        assert not [one for pair in addresses for one in pair if one and is_elsewhere(one)], sheet


@pytest.mark.parametrize("mistake", ["[nowhere](nowhere.md)", "[nowhere](faq.md#nowhere)"])
def test_a_link_that_leads_nowhere_fails_the_build(mistake: str, tmp_path: Path):
    root = tmp_path / "checkout"
    for name in (*SHOWN, "mkdocs.yml"):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / name, target) if (ROOT / name).is_dir() else shutil.copyfile(ROOT / name, target)
    with (root / "docs" / "glossary.md").open("a") as page:
        page.write(f"\n{mistake}\n")
    with pytest.raises(subprocess.CalledProcessError):
        build(root, tmp_path / "built")


def test_each_answer_of_the_comparison_has_a_source_or_is_a_plain_no():
    """What other tools do is read in their documents."""
    page = ROOT / "docs" / "comparison.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ") and not line.startswith("| |")]
    assert len(rows) > 15
    for row in rows:
        question, *answers = [cell.strip() for cell in row.strip("|").split("|")]
        for answer in answers:
            plain = answer.strip("*") in ("no", "none", "not measured", "years")
            assert plain or "](" in answer, f"{question}: {answer}"
    assert len({urlsplit(link.target).netloc for link in links() if link.page == page}) > 5
