"""Previews for people: every text from the cluster or from Git is shown as what it is, and a comment fits."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from driftd.cli.output import Format, markdown, write_reports
from driftd.model.drift import Change, FieldDrift, Status
from driftd.model.preview import Effect, FieldPreview, ObjectPreview, Preview
from driftd.model.report import Report
from tests.cli_output.samples import IMAGE, LABEL, NGINX, NOW, REPLICAS, REVISION, reports, texts, verdict
from tests.cli_output.test_cli_output_formats import assert_harmless

_FOLDED = re.compile(
    r"<details><summary>[\w ,:+-]*(?:<code>[^<>\n]*</code>(?:, <code>[^<>\n]*</code>)*)?</summary>|</details>"
)


def written(output: Format, *of: Report) -> str:
    stream = StringIO()
    write_reports(of, output, stream, now=NOW)
    return stream.getvalue()


def previewed(*objects: ObjectPreview, error: str | None = None) -> Report:
    verdicts = tuple(each.verdict for each in objects if each.effect is not Effect.REMOVED)
    return Report("web", "prod", REVISION, verdicts, NOW, preview=Preview("origin/main", REVISION, objects, error))


def deployment(*fields: FieldPreview) -> ObjectPreview:
    return ObjectPreview(verdict("Deployment", "web", Status.DRIFTED, *(each.drift for each in fields)), None, fields)


@st.composite
def previews(draw: st.DrawFn) -> Report:
    """Any report with the preview of all of its objects, with any effects."""
    report = draw(reports)
    objects = [
        ObjectPreview(
            each,
            draw(
                st.sampled_from([None, Effect.CREATED, Effect.UNDONE, Effect.ADOPTED, Effect.REMOVED, Effect.STANDING])
            ),
            tuple(
                FieldPreview(
                    field, draw(st.sampled_from([e for e in Effect if e not in (Effect.CREATED, Effect.REMOVED)]))
                )
                for field in each.fields
            ),
            draw(st.none() | texts),
        )
        for each in report.verdicts
    ]
    return replace(report, preview=Preview(draw(texts), REVISION, tuple(objects)))


@given(previews())
def test_a_comment_lets_no_text_become_markup(report: Report) -> None:
    """No link, image, HTML, emphasis or mention comes from a name or a value, folded up or not."""
    text = markdown.render([report], now=NOW)
    assert_harmless(text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    for token in tokens:
        if token.type == "html_block":
            assert _FOLDED.fullmatch(token.content.strip()), token.content
    spans = [child for token in tokens for child in token.children or []]
    assert {span.type for span in spans} <= {
        "text", "code_inline", "softbreak", "em_open", "em_close", "strong_open", "strong_close",
    }  # fmt: skip
    plain = "".join(span.content for span in spans if span.type == "text")
    assert not set(plain) & set("@<>[]`\\!")


@given(previews())
def test_every_other_format_shows_any_preview(report: Report) -> None:
    assert_harmless(written(Format.TABLE, report))
    assert json.loads(written(Format.JSON, report))["apps"][0]["preview"]["objects"] is not None
    for output in (Format.JUNIT, Format.SARIF):
        assert written(output, report) == written(output, replace(report, preview=None))


def test_a_comment_fits_however_much_there_is_to_say() -> None:
    """With 500 apps, or with thousands of objects: the edits come first, and what does not fit is counted."""
    edit = FieldPreview(REPLICAS, Effect.UNDONE, 3)
    many = [
        ObjectPreview(
            verdict("Deployment", f"web-{n}-{'x' * 40}", Status.DRIFTED, IMAGE),
            None,
            (FieldPreview(IMAGE, Effect.CHANGED),),
        )
        for n in range(3_000)
    ]
    text = markdown.render([previewed(*many, deployment(edit))], now=NOW)
    assert len(text) < 65_000
    assert text.index("Edits by hand that it undoes") < text.index("**changed**")
    assert re.search(r"… and \d+ more objects that did not fit here", text)
    apps = [replace(previewed(deployment(edit)), app=f"app-{n}-{'x' * 60}") for n in range(500)]
    text = markdown.render(apps, now=NOW)
    assert len(text) < 65_000
    assert re.search(r"… and \d+ more apps that did not fit here", text)
    text = markdown.render([replace(previewed(), app=f"app-{n}-{'x' * 200}") for n in range(500)], now=NOW)
    assert len(text) < 65_000
    assert "Nothing changes in 500 apps" in text


def test_long_values_are_told_by_their_lines() -> None:
    """Live is what goes, and the revision what comes."""
    edit = FieldPreview(NGINX, Effect.CONFLICT, "server {}\n")
    for output in (Format.TABLE, Format.MARKDOWN):
        text = written(output, previewed(deployment(edit)))
        assert "-  gzip off;" in text
        assert "+  gzip on;" in text


def test_what_is_not_there_and_what_goes_is_said_in_our_own_words() -> None:
    """Told apart from values that read the same."""
    gone = FieldDrift(("data", "b"), Change.ADDED, None, "gone", ("data",))
    text = written(
        Format.MARKDOWN, previewed(deployment(FieldPreview(LABEL, Effect.CHANGED), FieldPreview(gone, Effect.CHANGED)))
    )
    assert "| *not there* | `shop` |" in text
    assert '| `"gone"` | *gone* |' in text


def test_a_preview_that_could_not_be_made_says_why_beside_what_differs() -> None:
    """It is no success, and no claim that nothing is undone."""
    drifted = verdict("Deployment", "web", Status.DRIFTED, REPLICAS)
    report = replace(previewed(error="the deployed commit is not here"), verdicts=(drifted,))
    assert report.undecided
    for output in (Format.TABLE, Format.MARKDOWN):
        text = written(output, report)
        assert "the deployed commit is not here" in text
        assert "spec.replicas" in text
    assert "changes nothing that is live" not in written(Format.MARKDOWN, report)
    assert "changes nothing that could be told; not all" in written(Format.MARKDOWN, report)
