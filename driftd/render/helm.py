"""Folders with a Chart.yaml, rendered by the helm program."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from posixpath import join, normpath

from driftd.model.app import RenderOptions
from driftd.model.errors import PathNotFound, RenderError
from driftd.model.resource import Manifest, Source
from driftd.render import tool
from driftd.render.documents import DEFAULT, parts, read_yaml
from driftd.render.file_tree import FileTree
from driftd.render.manifests import NotAnObject, checked, objects_of
from driftd.render.rendering import Objects

CHART_FILE = "Chart.yaml"
HOME = "https://helm.sh/docs/intro/install/"

_HOOK = "helm.sh/hook"
_SOURCE = re.compile(r"^# Source: (?P<path>\S.*?)\s*$", re.MULTILINE)
_PLACE = re.compile(r"(?P<path>[\w.-]+/(?:templates|charts|crds)/[^\s:()]+)(?::(?P<line>\d+))?(?::(?P<column>\d+))?")
_MISSING = re.compile(r"found in Chart\.yaml, but missing in charts/ directory: (?P<names>.*)")
_NOISE = re.compile(r"^(?:WARNING: .*|Use --debug flag .*|walk\.go:.*)$", re.MULTILINE)


def render(tree: FileTree, folder: str, options: RenderOptions) -> Objects:
    """What `helm template` makes of a chart in the tree (`folder` is relative to the repository's root).

    Each object's source is the template (or CRD file) that it was made from; `origin` is "helm" and `line` is 1, as
    helm tells no lines. CRDs are included. Hooks and tests (objects with `helm.sh/hook`) are left out: Helm creates
    them around an installation and they are not part of what a release keeps in the cluster.

    Nothing is fetched: the charts it depends on must be in its `charts/` folder. Values files must be in the
    repository. There are no plugins, no post-renderers and no cluster, so `lookup` finds nothing.

    Raises: RenderError (of which ToolMissing), naming the file and, where it is known, the line.
    """
    chart = join(folder, CHART_FILE)
    program = tool.find(options.helm, HOME, chart)
    with tempfile.TemporaryDirectory(prefix="driftd-helm-") as temporary:
        home = Path(temporary).resolve()
        root = home / "repository"
        root.mkdir()
        tree.export(root, under=folder)
        values = [_values_file(tree, root, folder, file) for file in options.values_files]
        command = [program, "template", "--include-crds", "--skip-tests", "--no-hooks"]
        command += [f"--namespace={options.namespace}"]
        command += [f"--values={file}" for file in values]
        command += [f"--api-versions={version}" for version in options.api_versions]
        command += [f"--kube-version={options.kube_version}"] if options.kube_version else []
        command += ["--", options.release, str(root / folder)]
        try:
            output = tool.run(command, cwd=home, env=_environment(home), timeout=options.timeout, file=chart)
        except tool.ToolFailed as error:
            raise _condensed(str(error), root, folder) from error
        return _objects(output, root, folder)


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


def _objects(output: bytes, root: Path, folder: str) -> Objects:
    manifests: list[Manifest] = []
    errors: list[RenderError] = []
    for part in parts(output, join(folder, CHART_FILE)):
        comment = _SOURCE.search(part.text)
        file = _template_file(comment["path"], root, folder) if comment else join(folder, CHART_FILE)
        try:
            value, _ = (part.value, 0) if part.is_json else read_yaml(part, file, DEFAULT)
        except RenderError as error:
            errors.append(RenderError(f"what this template makes cannot be read: {error.message}", file=file))
            continue
        for _, each in objects_of(value) if value is not None else ():
            try:
                body = checked(each)
            except NotAnObject as error:
                errors.append(RenderError(f"of what this template makes, {error}", file=file))
                continue
            if _HOOK not in (body["metadata"].get("annotations") or {}):
                manifests.append(Manifest.of(body, Source(file, 1, origin="helm")))
    return Objects(tuple(manifests), tuple(errors))


def _template_file(path: str, root: Path, folder: str) -> str:
    """`CHART/templates/x.yaml`, as helm names it, as a path of the repository.

    A dependency that is packed as an archive has no such file: then it is the archive.
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


def _condensed(text: str, root: Path, folder: str) -> RenderError:
    """helm's error for the template that it names, without its advice for the command line."""
    text = _NOISE.sub("", text).strip().removeprefix("Error: ")
    text = text.replace(f"{root}/", "").replace(str(root), ".")
    if missing := _MISSING.search(text):
        message = f"the charts it depends on are not in {join(folder, 'charts')}/: {missing['names']}"
        advice = "driftd fetches nothing: run `helm dependency build` and commit what it downloads"
        return RenderError(f"{message}; {advice}", file=join(folder, CHART_FILE))
    place = _PLACE.search(text)
    if place is None:
        return RenderError(f"helm: {text}", file=join(folder, CHART_FILE))
    last = text.rpartition(": ")[2] if "error calling" in text else text
    line, column = place["line"], place["column"]
    return RenderError(
        f"helm: {last}",
        file=_template_file(place["path"], root, folder),
        line=int(line) if line else None,
        column=int(column) if column else None,
    )
