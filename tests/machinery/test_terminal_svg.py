"""The pictures of the README."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from rich.console import Console

from driftd.cli.output.table import print_reports
from driftd.model.drift import Status
from driftd.model.report import Report
from tests.cli_output.samples import ALL, NOW, verdict
from tools.terminal_svg import terminal_svg


def test_a_picture_is_the_same_each_time_and_loads_nothing():
    """So that it changes in Git only when the output does, and works where nothing else can be reached."""

    def render(console: Console) -> None:
        print_reports(console, ALL, now=NOW)

    svg = terminal_svg(render, "driftd check", width=100)
    assert svg == terminal_svg(render, "driftd check", width=100)
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "@font-face" not in svg
    assert "url(http" not in svg
    assert "Fira Code" not in svg
    assert "ui-monospace" in svg
    assert "nginx:1.26" in svg


def test_a_picture_of_any_text_is_well_formed():
    """Titles and names may hold what XML does not like."""
    report = Report("a<b>&\x00\ud800", "]]>", None, (verdict("<K>", "&\x1b[31m", Status.MISSING),), NOW)
    ET.fromstring(terminal_svg(lambda console: print_reports(console, [report], now=NOW), 'a <b> & "c"'))
