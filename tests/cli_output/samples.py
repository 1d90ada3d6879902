"""Sample reports for the tests of outputs, and a strategy for any report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.path import ListKey
from driftd.model.report import Report
from driftd.model.resource import ResourceRef, Source
from driftd.model.revision import GitLine, Revision

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
REVISION = Revision(
    sha="4f0c1a2b9d3e5f60718293a4b5c6d7e8f9012345",
    author="Ada Lovelace",
    time=NOW - timedelta(hours=2),
    subject="Run three replicas of the shop",
    ref="main",
)
EDITOR = FieldOwner("kubectl-edit", "Update", time=NOW - timedelta(minutes=8))
SCALER = FieldOwner("kubectl", "Update", "scale", "alice@example.com", NOW - timedelta(minutes=3))
WEB = ListKey((("name", "web"),))


def blamed(line: int, file: str = "apps/web/deploy.yaml") -> GitLine:
    return GitLine(file, line, REVISION.sha, REVISION.author, REVISION.time, REVISION.subject)


def verdict(kind: str, name: str, status: Status, *fields: FieldDrift, error: str | None = None) -> Verdict:
    source = None if status is Status.ORPHANED else Source(f"apps/web/{name}.yaml", 1)
    return Verdict(ResourceRef("", kind, "web", name), "v1", status, source, fields, error)


REPLICAS = FieldDrift(("spec", "replicas"), Change.CHANGED, 3, 5, ("spec", "replicas"), SCALER, blamed(8))
IMAGE = FieldDrift(
    ("spec", "template", "spec", "containers", WEB, "image"),
    Change.CHANGED,
    "nginx:1.25",
    "nginx:1.26",
    (),
    EDITOR,
    blamed(14),
)
DEBUG = FieldDrift(
    ("spec", "template", "spec", "containers", WEB, "env", ListKey((("name", "DEBUG"),))),
    Change.ADDED,
    None,
    {"name": "DEBUG", "value": "1"},
    (),
    EDITOR,
)
LABEL = FieldDrift(
    ("metadata", "labels", "app.kubernetes.io/part-of"), Change.REMOVED, "shop", None, (), None, blamed(6)
)
NGINX = FieldDrift(
    ("data", "nginx.conf"),
    Change.CHANGED,
    "server {\n  listen 80;\n  server_name shop.example.com;\n  gzip on;\n  root /srv;\n}\n",
    "server {\n  listen 80;\n  server_name shop.example.com;\n  gzip off;\n  root /srv;\n}\n",
    (),
    EDITOR,
    blamed(9, "apps/web/web-config.yaml"),
)

IN_SYNC = tuple(verdict("ConfigMap", f"page-{i}", Status.IN_SYNC) for i in range(10))
DRIFTED = Report(
    "web",
    "prod",
    REVISION,
    (
        verdict("Deployment", "web", Status.DRIFTED, REPLICAS, IMAGE, DEBUG, LABEL),
        verdict("ConfigMap", "web-config", Status.DRIFTED, NGINX),
        verdict("Service", "web", Status.MISSING),
        verdict("CronJob", "old-report", Status.ORPHANED),
        verdict("ServiceMonitor", "web", Status.UNKNOWN, error="cannot get servicemonitors: Forbidden"),
        verdict("Job", "migrate", Status.IGNORED),
        *IN_SYNC,
    ),
    NOW,
)
QUIET = Report("ingress", "prod", REVISION, IN_SYNC, NOW)
BROKEN = Report("broken", "prod", None, (), NOW, error="apps/broken/deploy.yaml:14:3: a mapping is not allowed here")
ALL = (DRIFTED, QUIET, BROKEN)

_nasty = st.sampled_from(
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x9b31m",
        "[bold]x[/bold]",
        "[/]",
        "a|b",
        "`",
        "``` ",
        "\\|",
        "<b>",
        "]]>",
        "@everyone",
        "\u202egnp.exe",
        "\ud800",
        "\x00",
        "\r\n",
        "\n",
        "\u2028",
        "&amp;",
        "|---|",
        "# x",
        "![x](http://x)",
        " ",
        "日本",
        "é",
        "\t",
        "%s",
        "{x}",
        "",
    ]
)
texts = st.one_of(_nasty, st.text(max_size=12), st.lists(_nasty, max_size=4).map("".join))
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
_times = st.datetimes(datetime(1971, 1, 2), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
_owners = st.builds(FieldOwner, texts, texts, st.none() | texts, st.none() | texts, st.none() | _times)
_lines = st.builds(
    GitLine, texts, st.integers(1, 9999), st.none() | texts, st.none() | texts, st.none() | _times, st.none() | texts
)
_paths = st.lists(
    texts | st.integers(0, 99) | st.builds(ListKey, st.tuples(st.tuples(texts, texts | st.integers()))), max_size=4
).map(tuple)
_fields = st.builds(
    FieldDrift, _paths, st.sampled_from(Change), _values, _values, st.just(()), st.none() | _owners, st.none() | _lines
)
_verdicts = st.builds(
    Verdict,
    st.builds(ResourceRef, texts, texts, st.none() | texts, texts),
    texts,
    st.sampled_from(Status),
    st.none() | st.builds(Source, texts, st.integers(1, 9999)),
    st.lists(_fields, max_size=3).map(tuple),
    st.none() | texts,
)
reports = st.builds(
    Report,
    texts,
    texts,
    st.none() | st.builds(Revision, texts, texts, _times, texts, texts),
    st.lists(_verdicts, max_size=4).map(tuple),
    _times,
    st.none() | texts,
)
