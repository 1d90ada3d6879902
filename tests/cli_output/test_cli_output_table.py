"""The tables that people read, in every kind of terminal, and pictures of them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe, markdown
from driftd.cli.output.at_work import print_at_work
from driftd.cli.output.difference import difference
from driftd.cli.output.incident import print_incident
from driftd.cli.output.lines import Line, console_for, print_lines
from driftd.cli.output.outbox import print_outbox
from driftd.cli.output.overview import (
    AppStatus,
    HistoryLine,
    Tone,
    history_json,
    print_history,
    print_status,
    status_json,
)
from driftd.cli.output.progress import progress
from driftd.cli.output.table import print_reports
from driftd.cli.output.trouble import print_trouble
from driftd.model.command import Lease
from driftd.model.document import check_document
from driftd.model.drift import Change, FieldDrift, Status
from driftd.model.health import HealthState
from driftd.model.incident import Ended, Incident, IncidentType, Resolution
from driftd.model.next_deployment import PendingRevision
from driftd.model.plan import Hold, Mode
from driftd.model.report import Report
from driftd.model.revision import RevisionState
from driftd.service.views import IncidentDetail
from driftd.store.records import Backlog
from tests.cli_output.samples import ALL, DRIFTED, NOW, QUIET, REVISION, reports, texts, verdict

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def shown(*given: Report, width: int = 80, show_all: bool = False, **console: object) -> str:
    stream = io.StringIO()
    print_reports(Console(file=stream, width=width, legacy_windows=False, **console), given, now=NOW, show_all=show_all)
    return stream.getvalue()


def field_of(desired: object, live: object, change: Change = Change.CHANGED) -> Report:
    drift = FieldDrift(("data", "x"), change, desired, live, ())
    return Report("web", "prod", None, (verdict("ConfigMap", "c", Status.DRIFTED, drift),), NOW)


def test_the_table_in_80_columns():
    """One line per object with its Git line at the edge; below it field, values, owner and line; then the summary."""
    assert (
        shown(*ALL)
        == """\
web on prod at 4f0c1a2b  Ada Lovelace, 2 hours ago “Run three replicas of the s…

≠ drifted   Deployment web/web                               apps/web/web.yaml:1
    ~ spec.replicas  Git 3 → live 5
      by  kubectl (Update, scale), alice@example.com, 3 minutes ago · 2026-11-22
          08:57 UTC
      git apps/web/deploy.yaml:8 4f0c1a2b Ada Lovelace, 2 hours ago “Run three …
    ~ spec.template.spec.containers[name=web].image
      Git nginx:1.25 → live nginx:1.26
      by  kubectl-edit (Update), 8 minutes ago · 2026-11-22 08:52 UTC
      git apps/web/deploy.yaml:14 4f0c1a2b Ada Lovelace, 2 hours ago “Run three…
    + spec.template.spec.containers[name=web].env[name=DEBUG]
      not in Git → live {"name": "DEBUG", "value": "1"}
      by  kubectl-edit (Update), 8 minutes ago · 2026-11-22 08:52 UTC
    - metadata.labels["app.kubernetes.io/part-of"]  Git shop → gone
      by  nobody named in managedFields
      git apps/web/deploy.yaml:6 4f0c1a2b Ada Lovelace, 2 hours ago “Run three …

≠ drifted   ConfigMap web/web-config                  apps/web/web-config.yaml:1
    ~ data["nginx.conf"]
        - Git, + live
        @@ line 2 @@
           listen 80;
           server_name shop.example.com;
        -  gzip on;
        +  gzip off;
           root /srv;
         }
      by  kubectl-edit (Update), 8 minutes ago · 2026-11-22 08:52 UTC
      git apps/web/web-config.yaml:9 4f0c1a2b Ada Lovelace, 2 hours ago “Run th…

- missing   Service web/web  not in the cluster              apps/web/web.yaml:1
+ orphaned  CronJob web/old-report  no longer in Git

? unknown   ServiceMonitor web/web                           apps/web/web.yaml:1
    cannot get servicemonitors: Forbidden

? drift, and not everything could be read · 1 unknown · 2 drifted · 1 missing ·
  1 orphaned · 1 ignored · 10 in sync

✓ in sync  ingress on prod  10 objects  4f0c1a2b Ada Lovelace, 2 hours ago “Run…

broken on prod

  apps/broken/deploy.yaml:14:3: a mapping is not allowed here

? could not tell

3 apps · 1 with drift · 1 could not be told · 1 in sync
"""
    )


def test_an_object_of_thousands_of_fields_is_cut_and_says_so():
    """`check -o json` has all of them."""
    drifts = [FieldDrift(("data", f"key{number}"), Change.CHANGED, "a", "b", ()) for number in range(5_000)]
    text = shown(Report("web", "prod", None, (verdict("ConfigMap", "c", Status.DRIFTED, *drifts),), NOW))
    assert "data.key199 " in text
    assert "data.key200 " not in text
    assert "… and 4800 more fields" in text


def test_objects_in_sync_are_shown_when_all_are_asked_for():
    """Otherwise they are only counted."""
    assert "page-3" not in shown(QUIET)
    assert "✓ in sync   ConfigMap web/page-3" in shown(QUIET, show_all=True)
    assert "· ignored   Job web/migrate" in shown(DRIFTED, show_all=True)


def test_a_terminal_gets_colours_and_a_file_does_not(monkeypatch):
    """And a person who asks for none gets none (no-color.org)."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = shown(*ALL, force_terminal=True)
    assert ESCAPE.search(coloured)
    assert ESCAPE.sub("", coloured) == shown(*ALL)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown(*ALL, force_terminal=True))


def test_a_terminal_without_unicode_still_shows_everything():
    """Arrows, dots and signs have their equals in ASCII."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="")
    print_reports(Console(file=stream, width=80), ALL, now=NOW)
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert "! drifted   Deployment web/web" in text
    assert "Git 3 -> live 5" in text
    assert "OK in sync  ingress on prod" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width):
    """Wrapped lines keep their indent."""
    lines = shown(*ALL, width=width).splitlines()
    assert max(map(len, lines)) <= width


def test_values_that_look_alike_are_distinguished():
    """The text "5" is not the number 5, an empty text is not null, a blank at the end is one."""
    assert 'Git "5" → live 5' in shown(field_of("5", 5))
    assert 'Git "" → live null' in shown(field_of("", None))
    assert 'Git "a " → live a' in shown(field_of("a ", "a"))
    assert 'Git "true" → live true' in shown(field_of("true", True))
    assert r"Git a\xa0b → live a b" in shown(field_of("a\xa0b", "a b"))


def test_long_values_show_the_part_that_differs():
    """Two digests of one image differ at their end."""
    start = "registry.example.com/shop/web@sha256:" + "0" * 80
    text = shown(field_of(start + "aaaa", start + "bbbb"))
    assert "0aaaa → live …" in text
    assert "0bbbb" in text


def test_a_missing_line_break_at_the_end_is_a_difference_that_one_sees():
    """An empty diff would say that nothing differs."""
    field = FieldDrift(("data", "x"), Change.CHANGED, "a\nb\n", "a\nb", ())
    assert [str(line) for line in difference(field)] == [" a", " b", "+\\ no line break at the end"]


def test_a_difference_of_many_lines_is_cut_and_says_so():
    """A ConfigMap may hold a megabyte."""
    added = FieldDrift(("data", "x"), Change.ADDED, None, "x\n" * 100, ())
    lines = difference(added, max_lines=10)
    assert len(lines) == 10
    assert str(lines[-1]) == "@@ 91 more lines @@"
    huge = FieldDrift(("data", "x"), Change.CHANGED, "x\n" * 9_000, "y\n" * 9_000, ())
    assert [str(line) for line in difference(huge)] == ["@@ 9000 lines in Git, 9000 lines in the cluster @@"]


def test_a_line_that_looks_like_a_diffs_own_is_shown():
    """`-- comment`, taken away, reads `--- comment` in a unified diff."""
    field = FieldDrift(("data", "x"), Change.CHANGED, "-- a\nb\n", "++ a\nb\n", ())
    assert [str(line) for line in difference(field)] == ["--- a", "+++ a", " b"]


@given(reports, st.integers(30, 130), st.booleans())
def test_the_table_shows_any_report_and_steers_no_terminal(report, width, show_all):
    """Names and values come from clusters and repositories; none reaches the terminal as a command."""
    plain = shown(report, report, width=width, show_all=show_all)
    assert [c for c in plain if not c.isprintable() and c != "\n"] == []
    plain.encode()
    coloured = shown(report, width=width, force_terminal=True)
    assert "\x1b" not in ESCAPE.sub("", coloured)


@pytest.mark.parametrize(
    ("elapsed", "words"),
    [
        (timedelta(), "just now"),
        (timedelta(seconds=-20), "just now"),
        (timedelta(seconds=59), "59 seconds ago"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=25), "1 day ago"),
        (timedelta(days=800), "2 years ago"),
        (timedelta(minutes=-5), "in 5 minutes"),
    ],
)
def test_ages_are_in_the_largest_unit(elapsed, words):
    """A clock that is a little ahead is nobody's concern."""
    assert describe.ago(NOW - elapsed, NOW) == words


STATUSES = (
    AppStatus(
        "web",
        "prod",
        Mode.OBSERVE,
        REVISION.sha,
        RevisionState.GOOD,
        HealthState.HEALTHY,
        QUIET.counts,
        None,
        NOW - timedelta(seconds=40),
    ),
    AppStatus(
        "pay",
        "prod",
        Mode.HEAL,
        REVISION.sha,
        RevisionState.BAD,
        HealthState.DEGRADED,
        DRIFTED.counts,
        Hold("pay", "aaaa1111", "bbbb2222", "digest", "not healthy after 10m", "driftd", NOW - timedelta(minutes=4)),
        NOW - timedelta(seconds=5),
    ),
    AppStatus("new", "prod", Mode.APPROVE),
    AppStatus("far", "edge", Mode.OBSERVE, error="the API server of edge does not answer"),
)
REFUSED = Incident(
    "0b1c", "config/driftd.yaml", "", IncidentType.CONFIG, None, "f", NOW - timedelta(minutes=4), NOW, (),
    message="driftd.yaml:3: there is no key nme\nand 2 other mistakes",
)  # fmt: skip
HISTORY = (
    HistoryLine(NOW, "drift", Tone.BAD, REVISION.sha, None, "Deployment web/web: spec.replicas 3 → 5"),
    HistoryLine(NOW - timedelta(days=3), "rolled back", Tone.GOOD, REVISION.sha, "ada", "3 of 12 objects written"),
)


def console_text(print_it, width: int = 100) -> str:
    stream = io.StringIO()
    print_it(Console(file=stream, width=width, legacy_windows=False))
    return stream.getvalue()


def test_status_has_a_row_for_every_app():
    """Mode, revision and its state, health, counts, the last pass; then holds and errors."""
    text = console_text(lambda console: print_status(console, STATUSES, now=NOW))
    rows = {line.split()[0]: line for line in text.splitlines() if re.search(r" on (prod|edge) ", line)}
    assert re.search(r"web on prod +observe +4f0c1a2b good +healthy +10 in sync +40 seconds ago", rows["web"])
    assert re.search(r"pay on prod +heal +4f0c1a2b bad held +degraded", rows["pay"])
    assert re.search(r"new on prod +approve +- +- +- +not yet", rows["new"])
    assert "could not tell" in rows["far"]
    assert "pay is held at aaaa1111 by driftd, 4 minutes ago, until Git moves on from bbbb2222: not healthy" in text
    assert "far: the API server of edge does not answer" in text


def test_status_says_which_apps_driftd_does_not_deploy():
    """Where it heals, it writes what hands have changed and no commit; in observe it writes nothing anyway."""
    apps = [AppStatus(str(mode), "prod", mode, deploys=False) for mode in Mode]
    text = console_text(lambda console: print_status(console, apps, now=NOW))
    assert re.search(r"heal +heal, deploys: false +-", text)
    assert re.search(r"approve +approve, deploys: false +-", text)
    assert re.search(r"observe +observe +-", text)
    document = json.loads(status_json([*apps, *STATUSES], {}, []))
    assert [app["deploys"] for app in document["apps"]] == [False] * 3 + [True] * 4


def test_status_says_what_no_channel_has_taken_yet():
    """Which channel, how much, since when; a channel that has taken everything has no line."""
    backlog = {
        "slack": Backlog(3, 1, NOW - timedelta(minutes=4)),
        "audit": Backlog(0, 2, None),
        "fine": Backlog(0, 0, None),
    }
    text = console_text(lambda console: print_outbox(console, backlog, now=NOW))
    assert text.splitlines() == [
        "audit: 2 messages given up",
        "slack: 3 messages not delivered yet (the oldest is from 4 minutes ago), 1 message given up",
    ]


def test_status_says_what_is_wrong_beside_the_apps():
    """A configuration that was refused: the daemon goes on with the one before."""
    text = console_text(lambda console: print_trouble(console, [REFUSED], now=NOW))
    assert text == "config/driftd.yaml (since 4 minutes ago): driftd.yaml:3: there is no key nme\n"


def test_history_has_a_row_for_every_event():
    """In the order given."""
    text = console_text(lambda console: print_history(console, HISTORY, now=NOW))
    assert text.index("drift") < text.index("rolled back")
    assert "2026-11-19 09:00:00 UTC" in text
    assert "3 days ago" in text


def test_no_row_of_the_status_takes_a_second_line():
    """In eighty columns, with what differs before the number of all."""
    counts = {Status.DRIFTED: 1, Status.MISSING: 2, Status.IN_SYNC: 10}
    apps = [
        AppStatus("web", "prod", Mode.HEAL, REVISION.sha, RevisionState.GOOD, HealthState.HEALTHY, counts, None, NOW)
    ]
    text = console_text(lambda console: print_status(console, apps, now=NOW), width=80)
    _, row = text.splitlines()
    assert re.fullmatch(r"web +heal +4f0c1a2b good +healthy +1 drifted, 2 missing of 13 +just now", row)
    assert len(row) <= 80


def test_history_tells_object_field_both_values_and_who_in_a_line_each():
    """Before and after of what driftd wrote, both sides of what it saw; the id of an incident to look it up."""
    field = {
        "path": "spec.replicas", "change": "changed", "desired": 2, "live": 5, "git": None,
        "by": {"manager": "kubectl-edit", "user": "ada"},
    }  # fmt: skip
    seen = {"kind": "Deployment", "namespace": "web", "name": "web", "status": "drifted", "fields": [field]}
    written = {**seen, "outcome": "configured", "error": None}
    gone = {**written, "fields": [], "status": "missing", "deleted_by": {"manager": "kubectl", "user": None}}
    lines = [
        HistoryLine(NOW, "action", Tone.GOOD, REVISION.sha, "driftd", "heal", objects=(written, gone)),
        HistoryLine(NOW, "incident", Tone.BAD, REVISION.sha, None, "drift opened", incident="0b1c2d3e4f506171"),
        HistoryLine(NOW, "verdict", Tone.BAD, REVISION.sha, None, "1 drifted", objects=(seen,)),
    ]
    text = console_text(lambda console: print_history(console, lines, now=NOW), width=80)
    assert "  Deployment web/web spec.replicas: 5 → 2 (by ada with kubectl-edit), configured\n" in text
    assert "  Deployment web/web missing (by kubectl), configured\n" in text
    assert "  Deployment web/web spec.replicas: Git 2, live 5 (by ada with kubectl-edit)\n" in text
    assert "(incident 0b1c2d3e4f50)" in text
    assert len(text.splitlines()) == 1 + 3 + 3


def test_history_tells_what_was_put_back_with_its_hand_its_line_and_its_end():
    """The value is one that the field had: it is not live any more."""
    by, argo = {"manager": "kubectl-edit", "user": None}, {"manager": "argocd-controller", "user": None}
    field = {
        "path": "spec.replicas", "change": "changed", "desired": 2, "live": 5, "by": by,
        "git": {"file": "web/deploy.yaml", "line": 7},
    }  # fmt: skip
    edit = {
        "kind": "Deployment", "namespace": "web", "name": "web", "status": "drifted", "fields": [field],
        "seconds": 3.21, "put_back_by": argo,
    }  # fmt: skip
    deleted = {**edit, "status": "missing", "fields": [], "seconds": 0.01, "put_back_by": None}
    lines = [HistoryLine(NOW, "reverted", Tone.NEUTRAL, REVISION.sha, None, "2 edits", objects=(edit, deleted))]
    text = console_text(lambda console: print_history(console, lines, now=NOW), width=80)
    assert (
        "  Deployment web/web spec.replicas: Git 2 (web/deploy.yaml:7), had 5 (by kubectl-edit), "
        "put back (by argocd-controller) after 3.2 s\n"
    ) in text
    assert "  Deployment web/web deleted, put back after less than 0.1 s\n" in text


def test_status_and_history_have_a_form_for_programs():
    """With the words of `check -o json`."""
    document = json.loads(status_json(STATUSES, {"slack": Backlog(2, 0, NOW)}, [REFUSED]))
    assert [app["app"] for app in document["apps"]] == ["web", "pay", "new", "far"]
    assert document["apps"][0]["counts"]["in_sync"] == 10
    assert document["apps"][1]["held"]["bad_revision"] == "bbbb2222"
    assert document["apps"][2]["counts"] is None
    assert document["incidents"][0]["type"] == "config"
    assert document["outbox"] == [{"channel": "slack", "pending": 2, "failed": 0, "oldest": "2026-11-22T09:00:00Z"}]
    assert json.loads(history_json("web", HISTORY))["history"][1]["by"] == "ada"


@given(texts, texts)
def test_status_and_history_steer_no_terminal(name, reason):
    """Any name, any reason."""
    app = AppStatus(
        name, name, Mode.HEAL, revision=name, hold=Hold(name, name, name, name, reason, reason, NOW), error=reason
    )
    entry = HistoryLine(NOW, name, Tone.BAD, name, name, reason)
    for text in (
        console_text(lambda console: print_status(console, [app], now=NOW)),
        console_text(lambda console: print_history(console, [entry], now=NOW)),
    ):
        assert [c for c in text if not c.isprintable() and c != "\n"] == []


def test_of_two_long_lists_what_differs_inside_is_shown():
    """One argument of thirty was taken away: neither all thirty, nor thirty that moved up."""
    arguments = [f"--option-{number}=value" for number in range(30)]
    shortened = [argument for argument in arguments if argument != "--option-7=value"]
    path = ("spec", "containers", 0, "args")
    field = FieldDrift(path, Change.CHANGED, arguments, shortened, at=path)
    assert list(map(str, difference(field))) == ['- [7]: "--option-7=value"']


def test_empty_tables_say_so():
    """An empty screen makes one wonder."""
    assert "No apps" in console_text(lambda console: print_status(console, [], now=NOW))
    assert "Nothing has happened" in console_text(lambda console: print_history(console, [], now=NOW))


def test_progress_is_silent_where_nobody_watches():
    """A file or a pipe gets no byte of it."""
    stream = io.StringIO()
    with progress(stream) as work:
        work.step("Reading the cluster")
    assert stream.getvalue() == ""


def test_progress_says_what_is_being_done_and_leaves_nothing_behind(monkeypatch):
    """On a terminal."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with progress(stream) as work:
        work.step("Reading [the] cluster")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "Reading [the] cluster" in text
    assert stream.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize("columns", ["0", "00", "", "abc", "-5"])
def test_a_width_that_is_none_cuts_and_hides_nothing(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """Containers without a terminal set COLUMNS=0."""
    monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    print_lines(console_for(stream), [Line(Text("x" * 500), cut=True)])
    assert stream.getvalue() == "x" * 500 + "\n"


def test_an_incident_about_a_map_or_a_list_is_shown() -> None:
    """Whole maps and lists differ where a key of Git is none of the kind's, and where a list is one value."""
    over = verdict("ConfigMap", "a", Status.DRIFTED, FieldDrift(("data",), Change.CHANGED, {"a": "1"}, ["2"], ()))
    now = verdict("ConfigMap", "b", Status.DRIFTED, FieldDrift(("data",), Change.REMOVED, {"a": "1"}, None, ()))
    ended = (Ended(over, Resolution.REVERTED, NOW),)
    incident = Incident("1", "web", "prod", IncidentType.DRIFT, None, "f", NOW, NOW, (over, now), ended=ended)
    text = console_text(lambda console: print_incident(console, IncidentDetail(incident, (), ()), now=NOW))
    assert text.count("ConfigMap web/a: drifted") == 1
    assert text.count("ConfigMap web/b: drifted") == 1


@pytest.mark.parametrize(
    ("pending", "text"),
    [
        (PendingRevision("Flux", "b" * 40), "Flux has yet to deploy bbbbbbbb"),
        (PendingRevision("Flux", "b" * 40, commits=1), "Flux has yet to deploy bbbbbbbb, 1 commit ahead"),
        (PendingRevision("Flux", "b" * 40, commits=0), "Flux has yet to deploy bbbbbbbb, with other parameters"),
        (PendingRevision("Flux", "b" * 40, "failed", 2), "Flux has yet to deploy bbbbbbbb, 2 commits ahead: failed"),
        (PendingRevision("Flux", None, "it is suspended"), "Flux may have yet to deploy something: it is suspended"),
    ],
)
def test_what_is_still_to_be_deployed_is_said_below_the_app(pending: PendingRevision, text: str):
    """Of one in sync and of one that is not, in every list of apps."""
    for report in (QUIET, DRIFTED):
        assert f"\n  {text}\n" in shown(replace(report, pending=pending), width=120)
    stream = io.StringIO()
    app = AppStatus("web", "prod", Mode.OBSERVE, pending=pending)
    print_status(Console(file=stream, width=120), [app], now=NOW)
    assert f"web: {text}\n" in stream.getvalue()
    assert text in markdown.render([replace(QUIET, pending=pending)])
    document = check_document([replace(QUIET, pending=pending)])
    assert document["apps"][0]["pending"]["revision"] == pending.revision


def test_nobody_is_missed_at_what_was_found_and_cannot_be_judged():
    """There are no passes of it: that no process works on it is no news."""
    lease = Lease("application/argocd/web", "node/42/abc", NOW + timedelta(seconds=20))
    judged = AppStatus("application/argocd/web", "prod", Mode.OBSERVE, revision="a" * 40, lease=lease)
    not_judged = AppStatus("application/argocd/redis", "prod", Mode.OBSERVE, error="a plugin renders it")
    stream = io.StringIO()
    print_at_work(Console(file=stream, width=120), [judged, not_judged], now=NOW)
    assert stream.getvalue() == "driftd 42 on node is at work\n"
    stream = io.StringIO()
    print_at_work(Console(file=stream, width=120), [replace(judged, lease=None), not_judged], now=NOW)
    assert stream.getvalue() == "no driftd is at work\n"
