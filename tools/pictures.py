"""Draws the pictures of the README: the output of `driftd check` for a drift, and the Slack message about it.

They are produced by the code that users run: the demo's manifests, compared under the real schemas with an edited live
object. `python -m tools.pictures` writes them; a test fails when they are out of date.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from driftd.cli.demo.preview import slack_message
from driftd.cli.demo.world import CHANNEL, NAMESPACE, DemoWorld
from driftd.cli.output.table import print_reports
from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.typed.schema import Schemas
from driftd.model.app import RenderOptions
from driftd.model.drift import FieldDrift, Status, Verdict
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Notification
from driftd.model.report import Report
from driftd.model.resource import Json, Manifest
from driftd.model.revision import GitLine, Revision
from driftd.notify import slack
from driftd.notify.message import compose
from driftd.render.app import render
from driftd.render.file_tree import FolderTree
from driftd.render.yaml.line_numbers import field_lines
from driftd.sandbox.resources.catalog import builtin
from driftd.sandbox.slack.workspace import SlackMessage
from tools.terminal_svg import terminal_svg

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"

_APP = "application/argocd/shop"  # as it is found where Argo CD deploys it
_NOW = datetime(2026, 11, 22, 9, 5, tzinfo=UTC)
_EDITED = _NOW - timedelta(minutes=4)
_COMMIT = Revision(
    "4f0c2d9be1a7c3550f6e8d21b94a7705c1d2e3f4",
    "Ada Lovelace",
    _NOW - timedelta(days=3),
    "Deploy the shop's web tier",
    "main",
)


def main() -> None:
    """Writes every picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in pictures().items():
        (FOLDER / name).write_text(content)


def pictures() -> dict[str, str]:
    """The pictures as SVG, by file name; the output is deterministic."""
    report = _report()
    return {
        "check.svg": terminal_svg(lambda console: print_reports(console, [report], now=_NOW), "driftd check"),
        "slack.svg": terminal_svg(_messages(report), "#drift", width=112),
    }


def _report() -> Report:
    with TemporaryDirectory() as folder:
        world = DemoWorld(Path(folder))
        world.make_repository()
        tree = FolderTree(world.repository, "apps/web")
        rendering = render(tree, RenderOptions(namespace=NAMESPACE))
        files = tree.read(sorted({m.source.file for m in rendering.manifests}))
        verdicts = tuple(_verdict(manifest, files[manifest.source.file]) for manifest in rendering.manifests)
    return Report(_APP, "prod", _COMMIT, verdicts, _NOW)


def _verdict(manifest: Manifest, data: bytes) -> Verdict:
    manifest = manifest.in_namespace(None if manifest.ref.kind == "Namespace" else NAMESPACE)
    if manifest.ref.kind == "ConfigMap":
        return Verdict(manifest.ref, manifest.api_version, Status.MISSING, manifest.source)
    live: Json = copy.deepcopy(manifest.body)
    live["metadata"]["managedFields"] = [_entry("kubectl", "Apply", {"f:spec": {}})]
    if manifest.ref.kind == "Deployment":
        _edit(live)
    schemas = Schemas(builtin().documents["apis/apps/v1" if manifest.ref.group else "api/v1"])
    schema = schemas.of(manifest.ref.group, "v1", manifest.ref.kind)
    verdict = Comparison(Redactor(b"pictures")).verdict(manifest, live, schema)
    lines = field_lines(data, [(manifest.source, field.at) for field in verdict.fields])
    fields = tuple(
        _with_line(field, line, manifest.source.file) for field, line in zip(verdict.fields, lines, strict=True)
    )
    return Verdict(verdict.ref, verdict.api_version, verdict.status, verdict.source, fields)


def _edit(live: Json) -> None:
    """Applies an edit as by `kubectl edit`, and another as by `kubectl scale`."""
    live["spec"]["replicas"] = 5
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["image"] = container["image"].replace("1.4.0", "1.4.1-hotfix")
    container["env"].append({"name": "FEATURE_X", "value": "on"})
    item = {"f:image": {}, "f:env": {'k:{"name":"FEATURE_X"}': {".": {}, "f:name": {}, "f:value": {}}}}
    live["metadata"]["managedFields"] = [
        _entry("kubectl", "Apply", _applied()),
        {**_entry("kubectl", "Update", {"f:spec": {"f:replicas": {}}}), "subresource": "scale"},
        _entry("kubectl-edit", "Update", _in_container(item)),
    ]


def _applied() -> Json:
    whole = {"f:name": {}, "f:ports": {}, "f:env": {}, "f:resources": {}, "f:readinessProbe": {}}
    return {"f:metadata": {"f:labels": {}}, **_in_container(whole)}


def _in_container(item: Json) -> Json:
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': item}}}}}


def _entry(manager: str, operation: str, fields: Json) -> Json:
    return {
        "manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "fieldsV1": fields, "time": _EDITED.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip


def _with_line(field: FieldDrift, line: int, file: str) -> FieldDrift:
    return replace(field, git=GitLine(file, line, _COMMIT.sha, _COMMIT.author, _COMMIT.time, _COMMIT.subject))


def _messages(report: Report) -> Callable[[Console], None]:
    opened = Incident(
        id="5d41c0de", app=report.app, cluster=report.cluster, type=IncidentType.DRIFT, revision=_COMMIT.sha,
        fingerprint="", first_seen=_EDITED, updated=_EDITED, resources=report.drifted,
    )  # fmt: skip

    def draw(console: Console) -> None:
        message = compose(Notification("1", IncidentEvent.OPENED, opened, _EDITED))
        posted = SlackMessage(CHANNEL, "1", slack.fallback(message), tuple(slack.blocks(message)))
        console.print(slack_message(posted, CHANNEL))

    return draw


if __name__ == "__main__":
    main()
