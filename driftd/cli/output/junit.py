"""JUnit XML for CI systems: a suite per app, a case per object."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from driftd.cli.output import describe
from driftd.cli.output.difference import difference, needs_lines
from driftd.model.document import timestamp
from driftd.model.drift import Status, Verdict
from driftd.model.report import Report
from driftd.model.text import plural, visible

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids, even as references."""


def render(reports: Sequence[Report]) -> str:
    """The reports as a `testsuites` document: drift is a failure, an unknown verdict an error."""
    suites = ET.Element("testsuites", name="driftd")
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in reports:
        suite = _suite(report)
        suites.append(suite)
        for key in totals:
            totals[key] += int(suite.get(key, "0"))
    for key, count in totals.items():
        suites.set(key, str(count))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _suite(report: Report) -> ET.Element:
    counts = report.counts
    suite = ET.Element(
        "testsuite",
        name=_text(report.app),
        tests=str(len(report.verdicts) + bool(report.error)),
        failures=str(len(report.drifted)),
        errors=str(counts[Status.UNKNOWN] + bool(report.error)),
        skipped=str(counts[Status.IGNORED]),
        timestamp=timestamp(report.time),
    )
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="cluster", value=_text(report.cluster))
    if report.revision:
        ET.SubElement(properties, "property", name="revision", value=_text(report.revision.sha))
    if report.error:
        case = ET.SubElement(suite, "testcase", classname=_text(report.app), name="the app as a whole")
        _outcome(case, "error", "could not tell", [report.error])
    for verdict in report.verdicts:
        suite.append(_case(report, verdict))
    return suite


def _case(report: Report, verdict: Verdict) -> ET.Element:
    case = ET.Element("testcase", classname=_text(report.app), name=_text(describe.object_name(verdict)))
    if verdict.source:
        case.set("file", _text(verdict.source.file))
        case.set("line", str(verdict.source.line))
    word = verdict.status.label
    if verdict.status is Status.UNKNOWN:
        _outcome(case, "error", word, [verdict.error or ""])
    elif verdict.status is Status.IGNORED:
        ET.SubElement(case, "skipped", message="ignored by a rule")
    elif verdict.status is not Status.IN_SYNC:
        meaning = describe.STATUS_MEANS.get(verdict.status)
        message = meaning or f"{word}: {plural(len(verdict.fields), 'field')}"
        _outcome(case, "failure", message, _lines(verdict))
    return case


def _lines(verdict: Verdict) -> Iterable[str]:
    if verdict.error:
        yield verdict.error
    if verdict.left_to is not None:
        yield describe.left_to(verdict.left_to)
    if (taken := describe.taken_over(verdict)) is not None:
        yield taken
    for field in verdict.fields[: describe.MAX_FIELDS]:
        multiline = needs_lines(field, 80)
        yield describe.field_sentence(field, values=not multiline)
        if multiline:
            yield from map(str, difference(field))
    if (more := describe.more_fields(verdict)) is not None:
        yield more


def _outcome(case: ET.Element, tag: str, message: str, lines: Iterable[str]) -> None:
    outcome = ET.SubElement(case, tag, message=_text(message), type=tag)
    outcome.text = _text("\n".join(lines))


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", visible(text))
