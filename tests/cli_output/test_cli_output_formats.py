"""What `check -o FORMAT` prints."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from markdown_it import MarkdownIt

from driftd.cli.output import Format, junit, markdown, sarif, write_reports
from driftd.cli.output import json as json_output
from driftd.cli.output.markdown_text import code
from driftd.model.document import check_document
from driftd.model.drift import Change, FieldDrift, Status
from driftd.model.report import Report
from tests.cli_output.samples import ALL, BROKEN, DRIFTED, NOW, QUIET, REPLICAS, REVISION, reports, verdict

# The OASIS schema as the npm package @microsoft/jest-sarif carries it (MIT licence).
SARIF_SCHEMA = jsonschema.Draft4Validator(
    json.loads((Path(__file__).parent / "data/sarif-2.1.0.json").read_text(encoding="utf-8"))
)


def written(output: Format, *shown: Report) -> str:
    stream = io.StringIO()
    write_reports(shown, output, stream, now=NOW)
    return stream.getvalue()


def assert_harmless(text: str) -> None:
    """No terminal would do anything with it but show it, and every stream can encode it."""
    assert [c for c in text if not c.isprintable() and c not in "\n\xa0\u3000"] == []
    text.encode()


def test_json_is_the_document_of_the_contract():
    """Keys, their order, and a line break at the end."""
    text = written(Format.JSON, *ALL)
    assert text.endswith("}\n")
    document = json.loads(text)
    assert document == check_document(ALL)
    assert list(document) == ["version", "apps"]
    app = document["apps"][0]
    assert list(app)[:5] == ["app", "revision", "in_sync", "counts", "resources"]
    assert app["counts"] == {"in_sync": 10, "drifted": 2, "missing": 1, "orphaned": 1, "ignored": 1, "unknown": 1}
    image = app["resources"][0]["fields"][1]
    assert image["path"] == "spec.template.spec.containers[name=web].image"
    assert image["by"] == {
        "manager": "kubectl-edit",
        "operation": "Update",
        "subresource": None,
        "user": None,
        "time": "2026-11-22T08:52:00Z",
    }
    assert image["git"]["line"] == 14


def test_json_keeps_integers_of_any_size():
    """JSON has no largest number, and a CRD's field may hold one."""
    field = FieldDrift(("spec", "n"), Change.CHANGED, 2**70, -(2**90), ())
    report = Report("web", "prod", None, (verdict("Thing", "web", Status.DRIFTED, field),), NOW)
    document = json.loads(written(Format.JSON, report))
    assert document["apps"][0]["resources"][0]["fields"][0]["desired"] == 2**70


@given(reports)
def test_json_means_what_was_reported_and_steers_no_terminal(report):
    """For any text in any place."""
    text = json_output.render([report])
    assert [c for c in text if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) <= 0x9F or c in "\u2028\u202e"] == []
    # JSON text read back may differ from the original only where Python's own JSON would, too.
    assert json.loads(text) == json.loads(json.dumps(check_document([report])))


def test_junit_has_a_suite_per_app_and_a_case_per_object():
    """Drift fails, what could not be told is an error, what is ignored is skipped."""
    root = ET.fromstring(written(Format.JUNIT, *ALL))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "27",
        "failures": "4",
        "errors": "2",
        "skipped": "1",
    }
    web, ingress, broken = root.findall("testsuite")
    assert [suite.get("name") for suite in (web, ingress, broken)] == ["web", "ingress", "broken"]
    deployment = web.find("testcase[@name='Deployment web/web']")
    assert (deployment.get("file"), deployment.get("line")) == ("apps/web/web.yaml", "1")
    assert deployment.find("failure").get("message") == "drifted: 4 fields"
    assert (
        "spec.replicas: Git 3 → live 5 (kubectl (Update, scale), alice@example.com" in deployment.find("failure").text
    )
    assert "-  gzip on;" in web.find("testcase[@name='ConfigMap web/web-config']/failure").text
    assert web.find("testcase[@name='ServiceMonitor web/web']/error").text == "cannot get servicemonitors: Forbidden"
    assert web.find("testcase[@name='Job web/migrate']/skipped") is not None
    assert [len(case) for case in ingress.findall("testcase")] == [0] * 10
    assert broken.find("testcase/error").text == BROKEN.error


@given(reports)
def test_junit_is_well_formed_and_harmless_for_any_text(report):
    """XML has characters that not even a reference can hold."""
    text = junit.render([report])
    root = ET.fromstring(text)
    assert int(root.get("tests")) == len(root.findall("testsuite/testcase"))
    assert int(root.get("failures")) == len(root.findall("testsuite/testcase/failure"))
    assert int(root.get("errors")) == len(root.findall("testsuite/testcase/error"))
    assert_harmless(text)


def test_sarif_points_at_the_lines_that_are_contradicted():
    """One result per field, at its own line; one per object that is missing, orphaned or unknown."""
    document = json.loads(written(Format.SARIF, *ALL))
    SARIF_SCHEMA.validate(document)
    (run,) = document["runs"]
    found = []
    for result in run["results"]:
        physical = result["locations"][0].get("physicalLocation")
        where = (physical["artifactLocation"]["uri"], physical["region"]["startLine"]) if physical else None
        found.append((result["ruleId"], where))
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert found == [
        ("changed", ("apps/web/deploy.yaml", 8)),
        ("changed", ("apps/web/deploy.yaml", 14)),
        ("added", ("apps/web/web.yaml", 1)),
        ("removed", ("apps/web/deploy.yaml", 6)),
        ("changed", ("apps/web/web-config.yaml", 9)),
        ("missing", ("apps/web/web.yaml", 1)),
        ("orphaned", None),
        ("unknown", ("apps/web/web.yaml", 1)),
    ]
    prints = [result["partialFingerprints"]["driftd/v1"] for result in run["results"]]
    assert len(set(prints)) == len(prints)


def test_sarif_of_an_app_that_could_not_be_judged_is_no_clean_run():
    """No results and a successful execution would read as "in sync"."""
    (run,) = json.loads(written(Format.SARIF, BROKEN))["runs"]
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert BROKEN.error in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_sarif_with_an_object_that_could_not_be_told_is_no_clean_run():
    """A service that compares runs would take the drift of before, which is not in this one, for put right."""
    unknown = verdict("ConfigMap", "c", Status.UNKNOWN)
    (run,) = json.loads(written(Format.SARIF, Report("web", "prod", None, (unknown,), NOW)))["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    (run,) = json.loads(written(Format.SARIF, Report("web", "prod", None, (), NOW)))["runs"]
    assert run["invocations"][0]["executionSuccessful"] is True


@pytest.mark.parametrize("output", [Format.MARKDOWN, Format.JUNIT])
def test_an_object_of_thousands_of_long_fields_is_there_with_some_of_them(output: Format):
    """And says how many more it has."""
    drifts = [FieldDrift(("data", f"key{at}"), Change.CHANGED, "a" * 900, "b" * 900, ()) for at in range(5_000)]
    text = written(output, Report("web", "prod", None, (verdict("ConfigMap", "c", Status.DRIFTED, *drifts),), NOW))
    assert "data.key4" in text
    assert "more fields" in text
    assert len(text) < 500_000
    assert len(text) <= 60_000 or output is Format.JUNIT


@given(reports)
def test_sarif_is_valid_for_any_text(report):
    """Against the standard's own schema."""
    text = sarif.render([report])
    SARIF_SCHEMA.validate(json.loads(text))
    assert [c for c in text if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) <= 0x9F] == []


def test_markdown_shows_fields_values_owners_and_lines():
    """A comment on a pull request that needs no other page."""
    text = written(Format.MARKDOWN, *ALL)
    assert text.startswith("### ⚠️ driftd: drift in 1 of 3 apps, could not tell for 1 of 3 apps\n")
    assert (
        "| `spec.replicas` | `3` | `5` | `kubectl (Update, scale), alice@example.com` 2026-11-22 08:57 UTC "
        "| `apps/web/deploy.yaml:8 4f0c1a2b Ada Lovelace` |" in text
    )
    assert "-  gzip on;\n+  gzip off;" in text
    assert "*not in Git*" in text
    assert "*gone*" in text
    assert "#### ✅ `ingress`: in sync" in text
    assert "#### ❔ `broken`: could not tell" in text
    assert written(Format.MARKDOWN, QUIET).startswith("### ✅ driftd: 1 app in sync")


def test_markdown_fits_into_a_comment_and_says_what_it_left_out():
    """GitHub refuses longer ones, and then nobody sees anything."""
    many = tuple(verdict("Service", f"service-{i}", Status.MISSING) for i in range(5_000))
    text = markdown.render([Report("web", "prod", None, many, NOW)])
    assert len(text) < 65_536
    shown = text.count("**missing**")
    assert f"… and {5_000 - shown} more objects that did not fit here" in text


@given(reports)
def test_markdown_lets_no_text_become_markup(report):
    """No link, image, HTML, emphasis or mention comes from a name or a value: all of them are in code spans."""
    text = markdown.render([report])
    assert_harmless(text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    spans = [child for token in tokens for child in token.children or []]
    assert {token.type for token in tokens} <= {
        "heading_open", "inline", "heading_close", "paragraph_open", "paragraph_close", "fence",
        "table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close",
        "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
    }  # fmt: skip
    assert {span.type for span in spans} <= {
        "text", "code_inline", "softbreak", "em_open", "em_close", "strong_open", "strong_close",
    }  # fmt: skip
    rows = sum(token.type == "tr_open" for token in tokens)
    assert sum(token.type in ("td_open", "th_open") for token in tokens) == rows * 5
    plain = "".join(span.content for span in spans if span.type == "text")
    assert not set(plain) & set("@<>[]`\\!")


@pytest.mark.parametrize("text", ["`", "``", "a`b``c", " x ", "a|b", "\\", "\\|", "", "`x", "x` ", "  "])
def test_a_code_span_shows_exactly_its_text(text):
    """Backticks, pipes, backslashes and blanks at the ends among it."""
    row = f"| a |\n|---|\n| {code(text, in_table=True)} |\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(row)
    (span,) = [c for token in tokens[8:] for c in token.children or []]
    assert span.type == "code_inline"
    assert span.content == text or not text.strip()
    (inline,) = MarkdownIt("commonmark").parseInline(code(text))[0].children
    assert inline.content == text or not text.strip()


def test_every_format_takes_no_reports_at_all():
    """An empty configuration is no reason to fall over."""
    for output in Format:
        assert written(output)
    SARIF_SCHEMA.validate(json.loads(written(Format.SARIF)))


@pytest.mark.parametrize("output", Format)
def test_every_format_says_whom_a_difference_is_left_to(output):
    """A field, and an object as a whole, with the reason."""
    field = replace(REPLICAS, left_to="people: Git does not say what it should be instead")
    missing = replace(verdict("Service", "web", Status.MISSING), left_to="the app's deployer: Git has moved on")
    report = Report("web", "prod", REVISION, (verdict("Deployment", "web", Status.DRIFTED, field), missing), NOW)
    text = " ".join(written(output, report).replace("`", "").split())
    assert "people: Git does not say what it should be instead" in text
    assert "the app's deployer: Git has moved on" in text


def test_secrets_stay_redacted_in_every_format():
    """The redacted form is shown as it is, and compares by its hash."""
    field = FieldDrift(("data", "key"), Change.CHANGED, "<redacted:1f2e3d4c>", "<redacted:99aa88bb>", ())
    report = Report("web", "prod", None, (verdict("Secret", "tls", Status.DRIFTED, field),), NOW)
    for output in Format:
        text = written(output, report)
        assert "redacted:1f2e3d4c" in text
        assert "redacted:99aa88bb" in text


def test_what_could_not_be_read_is_never_shown_as_in_sync():
    """In no format."""
    unread = Report("web", "prod", None, (verdict("Pod", "a", Status.UNKNOWN, error="Forbidden"),), NOW)
    for report in (unread, BROKEN):
        assert "in sync" not in written(Format.TABLE, report)
        assert "in sync" not in written(Format.MARKDOWN, report)
        assert json.loads(written(Format.JSON, report))["apps"][0]["in_sync"] is False
        assert ET.fromstring(written(Format.JUNIT, report)).get("errors") == "1"
    assert DRIFTED.undecided
    assert "not everything could be read" in written(Format.TABLE, DRIFTED)
