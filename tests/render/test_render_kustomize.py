"""Kustomize builds files of the repository, and nothing else."""

from __future__ import annotations

import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from driftd.model.errors import RenderError, ToolMissing
from driftd.render import kustomization, kustomize
from driftd.render.app import Rendering, RenderKind, RenderOptions, render
from driftd.render.rendering import RenderedPart
from driftd.render.yaml.line_numbers import field_lines
from tests.render.repositories import config_map, tree, write

SERVICE = """
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {note: "yes"}
spec:
  ports: [{port: 0o120}]
"""
BASE = {
    "base/kustomization.yaml": "resources: [service.yaml]\n",
    "base/service.yaml": config_map("x") + "---" + SERVICE,
}


INLINE = "{{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {{name: a}}, files: [x={url}/a]}}"
"""A generator that is an entry of its kustomization, not a file."""


@pytest.fixture
def webserver() -> Iterator[tuple[str, list[str]]]:
    """A local server that returns a manifest for every request, and the paths that were requested."""
    requested: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(config_map("remote").encode())

        def log_message(self, *_: object) -> None:
            """Says nothing on stderr."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requested
    server.shutdown()
    server.server_close()
    thread.join()


def built(root: Path, path: str, files: dict[str, str], options: RenderOptions) -> Rendering:
    rendering = render(tree(root, path, files), options)
    assert rendering.errors == ()
    return rendering


def refused(root: Path, files: dict[str, str], options: RenderOptions) -> RenderError:
    """The one error of an app in `app`, which has no manifests then."""
    rendering = render(tree(root, "app", files), options)
    assert rendering.manifests == ()
    [error] = rendering.errors
    return error


def test_an_overlay_on_a_base_elsewhere_in_the_repository(tmp_path: Path, programs: RenderOptions) -> None:
    """The source of each object is its file and line; the origin annotation is removed."""
    files = {
        **BASE,
        "apps/web/prod/kustomization.yaml": """
            # production
            resources:
            - ../../../base
            - local.yaml
            namePrefix: prod-
            namespace: shop
            configMapGenerator:
            - name: settings
              literals: [a=b]
            - name: more
              files: [more.txt]
        """,
        "apps/web/prod/local.yaml": "\n\n" + config_map("local"),
        "apps/web/prod/more.txt": "text",
    }
    rendering = built(tmp_path, "apps/web/prod", files, programs)
    assert rendering.kind is RenderKind.KUSTOMIZE
    sources = {
        f"{m.ref.kind}/{m.ref.namespace}/{m.ref.name.split('-')[1]}": (m.source.file, m.source.line, m.source.origin)
        for m in rendering.manifests
    }
    assert sources == {
        "ConfigMap/shop/x": ("base/service.yaml", 1, "kustomize"),
        "Service/shop/web": ("base/service.yaml", 5, "kustomize"),
        "ConfigMap/shop/local": ("apps/web/prod/local.yaml", 1, "kustomize"),
        "ConfigMap/shop/settings": ("apps/web/prod/kustomization.yaml", 8, "kustomize"),
        "ConfigMap/shop/more": ("apps/web/prod/kustomization.yaml", 10, "kustomize"),
    }
    service = next(m for m in rendering.manifests if m.ref.kind == "Service")
    assert service.body["metadata"]["annotations"] == {"note": "yes"}
    assert service.body["spec"]["ports"][0]["port"] == 80
    assert all("annotations" not in m.body["metadata"] for m in rendering.manifests if m.ref.kind == "ConfigMap")
    assert field_lines(b"", [(service.source, ("spec", "ports"))]) == [5]


@pytest.mark.parametrize(
    "build_metadata",
    [
        "",
        "buildMetadata: [managedByLabel]\n",
        "buildMetadata:\n- managedByLabel\n",
        "buildMetadata:\n  - managedByLabel\n",
    ],
)
def test_asking_for_origins_changes_nothing_else(tmp_path: Path, programs: RenderOptions, build_metadata: str) -> None:
    """A build metadata option that the user set still works, and the source is still known."""
    kustomization = f"{build_metadata}resources:\n- a.yaml"
    rendering = built(tmp_path, "", {"kustomization.yaml": kustomization, "a.yaml": config_map("a")}, programs)
    [manifest] = rendering.manifests
    labels = {"app.kubernetes.io/managed-by": "kustomize-v5.8.1"} if build_metadata else None
    assert manifest.body["metadata"].get("labels") == labels
    assert manifest.body["metadata"].get("annotations") is None
    assert manifest.source.file == "a.yaml"


def test_origins_that_the_user_asked_for_stay(tmp_path: Path, programs: RenderOptions) -> None:
    """They are part of what Git declares then."""
    files = {
        "app/kustomization.yaml": "resources: [../base]\nbuildMetadata: [originAnnotations]\n",
        **BASE,
    }
    rendering = built(tmp_path, "app", files, programs)
    service = next(m for m in rendering.manifests if m.ref.kind == "Service")
    origin = "path: ../base/service.yaml\n"
    assert service.body["metadata"]["annotations"] == {"note": "yes", "config.kubernetes.io/origin": origin}
    assert service.source.file == "base/service.yaml"


def test_a_kustomization_in_one_line_is_built_without_origins(tmp_path: Path, programs: RenderOptions) -> None:
    """Where the option cannot be inserted into the file, the source is the kustomization file."""
    rendering = built(
        tmp_path, "", {"kustomization.yaml": "{resources: [a.yaml]}", "a.yaml": config_map("a")}, programs
    )
    [manifest] = rendering.manifests
    assert manifest.source.file == "kustomization.yaml"


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_each_name_of_a_kustomization_file(tmp_path: Path, programs: RenderOptions, name: str) -> None:
    assert built(tmp_path, "", {name: "resources: [a.yaml]\n", "a.yaml": config_map("a")}, programs).manifests


def test_bases_in_and_around_each_other(tmp_path: Path, programs: RenderOptions) -> None:
    """A base may contain one that was exported before; components work too."""
    files = {
        "shared/kustomization.yaml": "resources: [common.yaml]\n",
        "shared/common.yaml": config_map("common"),
        "shared/deep/kustomization.yaml": "resources: [deep.yaml]\n",
        "shared/deep/deep.yaml": config_map("deep"),
        "apps/web/base/kustomization.yaml": "resources: [web.yaml]\n",
        "apps/web/base/web.yaml": config_map("web"),
        "components/labels/kustomization.yaml": """
            apiVersion: kustomize.config.k8s.io/v1alpha1
            kind: Component
            labels: [{pairs: {team: a}}]
        """,
        "apps/web/prod/kustomization.yaml": """
            resources: [../base, ../../../shared/deep, ../../../shared]
            components: [../../../components/labels]
        """,
    }
    rendering = built(tmp_path, "apps/web/prod", files, programs)
    assert sorted(m.source.file for m in rendering.manifests) == [
        "apps/web/base/web.yaml",
        "shared/common.yaml",
        "shared/deep/deep.yaml",
    ]
    assert {m.body["metadata"]["labels"]["team"] for m in rendering.manifests} == {"a"}


def test_a_plain_folder_builds_the_kustomizations_below_it(tmp_path: Path, programs: RenderOptions) -> None:
    """As Flux does: a sub-folder with a kustomization file is built, its files are not read by themselves."""
    files = {
        "app/a.yaml": config_map("a"),
        "app/sub/kustomization.yaml": "resources: [deep]\nnamePrefix: p-\n",
        "app/sub/deep/kustomization.yaml": "resources: [b.yaml]\n",
        "app/sub/deep/b.yaml": config_map("b"),
        "app/sub/not-named.yaml": config_map("not-named"),
        "app/z.yaml": config_map("z"),
    }
    rendering = built(tmp_path, "app", files, programs)
    assert rendering.kind is RenderKind.YAML
    assert [m.ref.name for m in rendering.manifests] == ["a", "p-b", "z"]
    assert [m.source.origin for m in rendering.manifests] == ["yaml", "kustomize", "yaml"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("https://example.com/a.yaml", "https://example.com/a.yaml is remote"),
        (
            "github.com/kubernetes-sigs/kustomize/examples/helloWorld?ref=v1",
            "is no file and no folder of the repository",
        ),
        ("git@github.com:org/repo", "is no file and no folder of the repository"),
        ("git::https://example.com/x.git", "is remote"),
        ("not-there", "is no file and no folder of the repository"),
        ("../../outside", "leads out of the repository"),
        ("/etc", "leads out of the repository"),
        ("../empty", "the folder ../empty has no kustomization file"),
        ("../base/service.yaml", "kustomize reads files only in and below its own folder"),
    ],
)
def test_a_base_that_cannot_be_used_names_its_line(
    tmp_path: Path, programs: RenderOptions, entry: str, says: str
) -> None:
    """The error is for the line that names the base, also where that is in another base."""
    kustomization = f"resources:\n- ok.yaml\n- {entry}\n"
    ok = config_map("ok")
    write(tmp_path, {"outside/kustomization.yaml": "{}"})
    files = {**BASE, "empty/x.txt": "", "app/kustomization.yaml": kustomization, "app/ok.yaml": ok}
    error = refused(tmp_path / "repo", files, programs)
    assert (error.file, error.line) == ("app/kustomization.yaml", 3)
    assert says in error.message
    if not entry.startswith("../"):
        nested = {
            "app/kustomization.yaml": "resources: [../b]\n",
            "b/kustomization.yaml": kustomization,
            "b/ok.yaml": ok,
        }
        error = refused(tmp_path / "nested", nested, programs)
        assert (error.file, error.line) == ("b/kustomization.yaml", 3)


@pytest.mark.parametrize(
    "field",
    [
        "resources: [{url}/a.yaml]",
        "crds: ['{url}/a']",
        "openapi: {{path: '{url}/a'}}",
        "patches: [{{path: '{url}/a'}}]",
        "patchesStrategicMerge: ['{url}/a']",
        "configMapGenerator: [{{name: a, files: ['key={url}/a']}}]",
        "configMapGenerator: [{{name: a, files: ['{url}/a']}}]",
        "configMapGenerator: [{{name: a, envs: ['{url}/a']}}]",
        "secretGenerator: [{{name: a, env: '{url}/a'}}]",
        "configurations: ['{url}/a']",
        "transformers: ['{url}/a']",
        "replacements: [{{path: '{url}/a'}}]",
        "transformers: [transformer.yaml]",
        "components: ['{url}/a']",
        "helmCharts: [{{name: a, repo: '{url}'}}]",
        "validators: ['{url}/a']",
        "generators: ['git::{url}/a']",
        "generators: ['git@127.0.0.1:a/b']",
        "patchesJson6902: [{{target: {{version: v1, kind: ConfigMap, name: a}}, path: '{url}/a'}}]",
        f"generators: ['{INLINE}']",
        f"transformers:\n- |\n  {INLINE}\n  ",
        f"generators:\n- |\n  {INLINE}\n  \n",
    ],
)
def test_nothing_is_asked_of_any_server(
    tmp_path: Path, programs: RenderOptions, webserver: tuple[str, list[str]], field: str
) -> None:
    """Wherever kustomize would download something, it is refused before any request."""
    url, requested = webserver
    files = {
        "app/kustomization.yaml": "resources: [a.yaml]\n" * ("resources" not in field) + field.format(url=url),
        "app/a.yaml": config_map("a"),
        "app/transformer.yaml": f"""
            apiVersion: builtin
            kind: PatchTransformer
            metadata: {{name: a}}
            path: {url}/a
        """,
    }
    error = refused(tmp_path, files, programs)
    assert error.file.startswith("app/")
    assert requested == []


@pytest.mark.usefixtures("confinement")
@pytest.mark.parametrize("field", ["resources: ['{url}/a']", f"generators:\n- |\n  {INLINE}\n"])
def test_kustomize_itself_has_no_network(
    tmp_path: Path,
    programs: RenderOptions,
    webserver: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    field: str,
) -> None:
    """What driftd would overlook, the kernel refuses: Go uses no proxy for this machine's own addresses."""
    url, requested = webserver
    monkeypatch.setattr(kustomization, "_is_remote", lambda _: False)
    monkeypatch.setattr(kustomization.Workspace, "_collect_reference", lambda *_: None)
    refused(tmp_path, {"app/kustomization.yaml": field.format(url=url)}, programs)
    assert requested == []


def test_nothing_of_the_repository_is_run(tmp_path: Path, programs: RenderOptions) -> None:
    """A generator that is a program in the repository is refused."""
    marker = tmp_path / "was-run"
    files = {
        "app/kustomization.yaml": "generators: [generator.yaml]\n",
        "app/generator.yaml": """
            apiVersion: example.com/v1
            kind: Evil
            metadata:
              name: evil
              annotations: {config.kubernetes.io/function: "exec: {path: ./evil.sh}"}
        """,
        "app/evil.sh": f"#!/bin/sh\ntouch {marker}\n",
    }
    app = tree(tmp_path / "repo", "app", files)
    (tmp_path / "repo/app/evil.sh").chmod(0o755)
    [error] = render(app, programs).errors
    assert "plugin" in error.message
    assert not marker.exists()


def test_links_out_of_the_repository_are_not_there_for_kustomize(tmp_path: Path, programs: RenderOptions) -> None:
    """A linked file from outside can't be smuggled into a ConfigMap."""
    write(tmp_path, {"secret.txt": "hunter2"})
    kustomization = "configMapGenerator:\n- name: a\n  files: [stolen.txt]\n"
    app = tree(tmp_path / "repo", "app", {"app/kustomization.yaml": kustomization})
    (tmp_path / "repo/app/stolen.txt").symlink_to(tmp_path / "secret.txt")
    rendering = render(app, programs)
    assert rendering.manifests == ()
    assert "stolen.txt" in str(rendering.errors[0])
    assert "hunter2" not in str(rendering.errors[0])


def test_an_error_of_kustomize_is_short_and_of_the_repository(tmp_path: Path, programs: RenderOptions) -> None:
    """Not the five nested reasons that kustomize prints, and no temporary folder."""
    files = {"app/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "resource: [a.yaml]\n"}
    error = refused(tmp_path, files, programs)
    assert str(error) == 'base/kustomization.yaml: kustomize: invalid Kustomization: json: unknown field "resource"'
    files = {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": "a: [\nb: 1\n"}
    error = refused(tmp_path / "2", files, programs)
    assert error.file == "app/a.yaml"
    assert error.message.startswith("kustomize: YAML parse error at line 2: did not find expected")


def test_a_kustomization_file_that_does_not_parse_names_its_line(tmp_path: Path, programs: RenderOptions) -> None:
    error = refused(tmp_path, {"app/kustomization.yaml": "resources:\n- [a\n"}, programs)
    assert (error.file, error.line) == ("app/kustomization.yaml", 3)


def test_an_object_of_kustomize_that_is_wrong_is_one_error(tmp_path: Path, programs: RenderOptions) -> None:
    """The others are still there."""
    files = {
        "app/kustomization.yaml": "resources: [a.yaml, b.yaml]\n",
        "app/a.yaml": config_map("a"),
        "app/b.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: b\nsops: {}\n",
    }
    rendering = render(tree(tmp_path, "app", files), programs)
    assert [m.ref.name for m in rendering.manifests] == ["a"]
    assert [e.file for e in rendering.errors] == ["app/b.yaml"]


def test_without_kustomize_the_error_names_it(tmp_path: Path) -> None:
    """And says where one gets it."""
    options = RenderOptions(kustomize="no-such-kustomize")
    error = refused(
        tmp_path, {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": config_map("a")}, options
    )
    assert isinstance(error, ToolMissing)
    assert error.file == "app/kustomization.yaml"
    assert "`no-such-kustomize`, which is not installed" in error.message
    assert "https://" in error.message


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path, programs: RenderOptions) -> None:
    """A build that takes too long is an error in time, and nothing is left running."""
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\n/bin/sleep 61.{os.getpid()} &\n/bin/sleep 60\n")
    slow.chmod(0o755)
    options = replace(programs, kustomize=str(slow), timeout=0.5)
    before = time.monotonic()
    error = refused(tmp_path / "repo", {"app/kustomization.yaml": "{}"}, options)
    assert time.monotonic() - before < 20
    assert "took longer than 0.5 s" in error.message
    deadline = time.monotonic() + 10
    while _is_running(f"/bin/sleep\061.{os.getpid()}\0"):
        assert time.monotonic() < deadline, "the child of the killed program still runs"


def _is_running(command: str) -> bool:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if file.read_text() == command:
                return True
    return False


def test_the_program_does_not_inherit_the_environment(
    tmp_path: Path, programs: RenderOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be tokens in it."""
    monkeypatch.setenv("DRIFTD_TOKEN", "hunter2")
    spy = tmp_path / "spy"
    spy.write_text("#!/bin/sh\n/usr/bin/env | /usr/bin/sed 's/.*/# &/'\n")
    spy.chmod(0o755)
    seen: list[bytes] = []
    monkeypatch.setattr(kustomize, "_parse_output", lambda output, *_, **__: seen.append(output) or RenderedPart())
    render(tree(tmp_path / "repo", "", {"kustomization.yaml": "{}"}), replace(programs, kustomize=str(spy)))
    assert b"PATH=" in seen[0]
    assert b"hunter2" not in seen[0]
