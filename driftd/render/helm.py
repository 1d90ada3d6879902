"""Renders folders that have a Chart.yaml, by running helm."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import join, normpath

from driftd.model.app import RenderOptions
from driftd.model.errors import PathNotFound, RenderError
from driftd.model.resource import Manifest, Source
from driftd.render import tool
from driftd.render.documents import DEFAULT_LIMITS, read_yaml, split_documents
from driftd.render.file_tree import FileTree
from driftd.render.helm_schema import require_local_schemas
from driftd.render.manifests import InvalidObject, flatten_lists, validate_object
from driftd.render.rendering import RenderedPart
from driftd.render.tool_errors import describe_tool_error

CHART_FILE = "Chart.yaml"
INSTALL_URL = "https://helm.sh/docs/intro/install/"

_HOOK = "helm.sh/hook"
_SOURCE = re.compile(r"^# Source: (?P<path>\S.*?)\s*$", re.MULTILINE)
_LOCATION = re.compile(r"(?P<path>[\w.-]+/(?:templates|charts|crds)/[^\s:()]+)(?::(?P<line>\d+))?(?::(?P<column>\d+))?")
_MISSING_DEPENDENCIES = re.compile(r"found in Chart\.yaml, but missing in charts/ directory: (?P<names>.*)")
_NOISE = re.compile(r"^(?:WARNING: .*|Use --debug flag .*|walk\.go:.*)$", re.MULTILINE)


def render(tree: FileTree, folder: str, options: RenderOptions) -> RenderedPart:
    """Runs `helm template` on a chart of the tree. `folder` is relative to the repository's root.

    An object's source is its template (or CRD file), with the origin "helm" and line 1, as helm reports no lines. CRDs
    are included. Hooks and tests (objects with `helm.sh/hook`) are left out: Helm creates them around an installation,
    and they are not part of the release.

    Nothing is downloaded: dependencies must be in the chart's `charts/` folder, values files in the repository. There
    are no plugins, no post-renderers and no cluster, so `lookup` returns nothing. `tool.run` holds it to that.

    Raises: RenderError (or ToolMissing), with the file and, if known, the line.
    """
    chart = join(folder, CHART_FILE)
    program = tool.find(options.helm, INSTALL_URL, chart)
    with tool.workbench() as bench:
        root = bench.repository
        tree.export(root, under=folder)
        require_local_schemas(root, folder)
        _require_complete(tree, root, folder)
        values = [_values_file(tree, root, folder, file) for file in options.values_files]
        command = [program, "template", "--include-crds", "--skip-tests", "--no-hooks"]
        command += [f"--namespace={options.namespace}"]
        command += [f"--values={file}" for file in values]
        command += [f"--api-versions={version}" for version in options.api_versions]
        command += [f"--kube-version={options.kube_version}"] if options.kube_version else []
        command += ["--", options.release, str(root / folder)]
        try:
            output = tool.run(command, bench, env=_environment(bench.home), timeout=options.timeout, file=chart)
        except tool.ToolFailed as error:
            raise _render_error(str(error), root, folder) from None  # its text may quote values
        return _parse_output(output, root, folder)


def _require_complete(tree: FileTree, root: Path, folder: str) -> None:
    """Raises: RenderError: a submodule, or what a link leads to, is not in the exported chart.

    Helm would not see it, and render the chart without it.
    """
    missing = {path: what for path, what in tree.unreadable(folder).items() if not (root / path).exists()}
    dangling = [link for link in (root / folder).rglob("*") if link.is_symlink() and not link.exists()]
    for link in dangling:
        missing.setdefault(str(link.relative_to(root)), "a link to what is not in the chart's folder")
    for path, what in sorted(missing.items()):
        raise RenderError(f"{what}: the chart would be rendered without it", file=path)


def _values_file(tree: FileTree, root: Path, folder: str, file: str) -> Path:
    path = normpath(file.lstrip("/") if file.startswith("/") else join(folder, file))
    chart = join(folder, CHART_FILE)
    if path.startswith("../") or path == ".." or "://" in file:
        raise RenderError(f"the values file {file} is outside of the repository", file=chart)
    if not (root / path).is_file():
        try:
            tree.export(root, under=path)
        except PathNotFound as error:
            raise RenderError(f"there is no values file {path} in the repository", file=chart) from error
    if not (root / path).is_file():
        raise RenderError(f"there is no values file {path} in the repository", file=chart)
    return root / path


def _environment(home: Path) -> dict[str, str]:
    return {
        "HELM_CACHE_HOME": str(home / "cache"),
        "HELM_CONFIG_HOME": str(home / "config"),
        "HELM_DATA_HOME": str(home / "data"),
        "HELM_PLUGINS": str(home / "plugins"),
        "HELM_NO_PLUGINS": "1",
        "HELM_REGISTRY_CONFIG": str(home / "registry.json"),
        "HELM_REPOSITORY_CACHE": str(home / "repositories"),
        "HELM_REPOSITORY_CONFIG": str(home / "repositories.yaml"),
        "KUBECONFIG": str(home / "kubeconfig"),
    }


def _parse_output(output: bytes, root: Path, folder: str) -> RenderedPart:
    manifests: list[Manifest] = []
    errors: list[RenderError] = []
    for raw in split_documents(output, join(folder, CHART_FILE)):
        comment = _SOURCE.search(raw.text)
        file = _template_file(comment["path"], root, folder) if comment else join(folder, CHART_FILE)
        try:
            value, _ = (raw.value, 0) if raw.is_json else read_yaml(raw, file, DEFAULT_LIMITS)
        except RenderError as error:
            errors.append(RenderError(f"what this template makes cannot be read: {error.message}", file=file))
            continue
        for _, each in flatten_lists(value) if value is not None else ():
            try:
                body = validate_object(each)
            except InvalidObject as error:
                errors.append(RenderError(f"of what this template makes, {error}", file=file))
                continue
            if _HOOK not in (body["metadata"].get("annotations") or {}):
                manifests.append(Manifest.of(body, Source(file, 1, origin="helm")))
    return RenderedPart(tuple(manifests), tuple(errors))


def _template_file(path: str, root: Path, folder: str) -> str:
    """The path in the repository of a template that helm names `CHART/templates/x.yaml`.

    For a template of a dependency that is packed as an archive, it is the archive.
    """
    steps = path.split("/")[1:]
    for count in range(len(steps), 0, -1):
        candidate = root / folder / "/".join(steps[:count])
        if candidate.is_file():
            return str(candidate.relative_to(root))
        archives = sorted(candidate.parent.glob(f"{candidate.name}-*.tgz")) if candidate.parent.name == "charts" else []
        if archives:
            return str(archives[0].relative_to(root))
    return join(folder, CHART_FILE)


def _render_error(text: str, root: Path, folder: str) -> RenderError:
    """helm's error, located at the template that it names, without its advice on command line options."""
    text = _NOISE.sub("", text).strip().removeprefix("Error: ")
    text = text.replace(f"{root}/", "").replace(str(root), ".")
    if missing := _MISSING_DEPENDENCIES.search(text):
        message = f"the charts it depends on are not in {join(folder, 'charts')}/: {missing['names']}"
        advice = "driftd fetches nothing: run `helm dependency build` and commit what it downloads"
        return RenderError(f"{message}; {advice}", file=join(folder, CHART_FILE))
    message = describe_tool_error(text, "helm", f"helm template {folder}")
    location = _LOCATION.search(text)
    if location is None:
        return RenderError(message, file=join(folder, CHART_FILE))
    line, column = location["line"], location["column"]
    return RenderError(
        message,
        file=_template_file(location["path"], root, folder),
        line=int(line) if line else None,
        column=int(column) if column else None,
    )
