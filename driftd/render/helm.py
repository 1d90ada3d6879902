"""Renders folders that have a Chart.yaml, by running helm."""

from __future__ import annotations

import contextvars
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from posixpath import join, normpath

from driftd.model.app import RenderOptions
from driftd.model.errors import PathNotFound, RenderError
from driftd.model.hook import Hook, hook_of
from driftd.model.resource import Manifest, Source
from driftd.render import tool
from driftd.render.file_tree import FileTree
from driftd.render.helm_schema import require_local_schemas
from driftd.render.manifests import InvalidObject, flatten_lists, validate_object
from driftd.render.rendering import RenderedPart
from driftd.render.stand_in_files import alter, stand_ins_in, with_note
from driftd.render.template_actions import (
    edit_everywhere,
    edit_templates,
    render_otherwise,
    restore_uncalled,
    without_unserved,
)
from driftd.render.tool_errors import describe_tool_error
from driftd.render.undetermined import with_undetermined
from driftd.render.yaml.documents import DEFAULT_LIMITS, RawDocument, read_yaml, split_documents

CHART_FILE = "Chart.yaml"
INSTALL_URL = "https://helm.sh/docs/intro/install/"

_SOURCE = re.compile(r"^# Source: (?P<path>\S.*?)\s*$", re.MULTILINE)
_LOCATION = re.compile(r"(?P<path>[\w.-]+/(?:templates|charts|crds)/[^\s:()]+)(?::(?P<line>\d+))?(?::(?P<column>\d+))?")
_MISSING_DEPENDENCIES = re.compile(r"found in Chart\.yaml, but missing in charts/ directory: (?P<names>.*)")
_NOISE = re.compile(r"^(?:WARNING: .*|Use --debug flag .*|walk\.go:.*)$", re.MULTILINE)


def render(tree: FileTree, folder: str, options: RenderOptions) -> RenderedPart:
    """Runs `helm template` on a chart of the tree. `folder` is relative to the repository's root.

    An object's source is its template (or CRD file), with the origin "helm" and line 1, as helm reports no lines. CRDs
    are included. Hooks and tests (objects with `helm.sh/hook`) are no manifests: Helm creates them around an
    installation, and they are not part of the release.

    Nothing is downloaded: dependencies must be in the chart's `charts/` folder, values files in the repository. There
    are no plugins, no post-renderers and no cluster, so `lookup` returns nothing. `tool.run` holds it to that.
    `kube_version` and `api_versions` of the options are the cluster's: of any other API version a chart is told that it
    is not served.

    The chart is rendered twice, at the same time: where the two differ (random values, times, revisions, what depends
    on an upgrade), the manifests say so.

    Raises: RenderError (or ToolMissing), with the file and, if known, the line.
    """
    chart = join(folder, CHART_FILE)
    program = tool.find(options.helm, INSTALL_URL, chart)
    with tool.workbench() as bench:
        root = bench.repository
        tree.export(root, under=folder)
        require_local_schemas(root, folder)
        _require_complete(tree, root, folder)
        values = _values_files(tree, root, folder, options)
        if options.kube_version is not None:
            edit_templates(root / folder, without_unserved(frozenset(options.api_versions)))
        contents = [(name, _values_file(tree, root, folder, file)) for name, file in options.file_parameters]
        run = _HelmTemplate(
            program,
            options,
            folder,
            tuple(file.relative_to(root) for file in values),
            tuple((name, file.relative_to(root)) for name, file in contents),
        )
        with ThreadPoolExecutor(2, thread_name_prefix="helm") as pool:
            # In this context, so that what stops this rendering stops both.
            first = pool.submit(contextvars.copy_context().run, run, bench)
            other = pool.submit(contextvars.copy_context().run, _render_otherwise, run, bench, first)
            try:
                output = first.result()
            except tool.ToolFailed as error:
                located = _render_error(str(error), root, folder)
                raise with_note(located, stand_ins_in(root), root) from None  # its text may quote values
        part = _parse_output(output, root, folder)
        if (other_output := other.result()) is None:
            return part
        return with_undetermined(part, _parse_output(other_output, root, folder))


@dataclass(frozen=True, slots=True)
class _HelmTemplate:
    """Runs of `helm template` on copies of the same part of a repository."""

    program: str
    options: RenderOptions
    folder: str
    values: tuple[Path, ...]
    contents: tuple[tuple[str, Path], ...]

    def __call__(self, bench: tool.Workbench, *flags: str) -> bytes:
        """The output for the chart on a workbench. Raises: ToolFailed, RenderError."""
        options, root = self.options, bench.repository
        command = [self.program, "template", *flags]
        command += ["--skip-crds"] if options.skip_crds else ["--include-crds"]
        command += [f"--namespace={options.namespace}"]
        command += [f"--values={root / file}" for file in self.values]
        command += [f"--values={file}" for file in self._inline_values(bench)]
        command += [f"--api-versions={version}" for version in options.api_versions]
        command += [f"--kube-version={options.kube_version}"] if options.kube_version else []
        for each in options.parameters:
            command += [f"--set{'-string' if each.is_string else ''}={each.name}={each.value}"]
        command += [f"--set-file={name}={root / file}" for name, file in self.contents]
        command += ["--", options.release, str(root / self.folder)]
        file = join(self.folder, CHART_FILE)
        return tool.run(command, bench, env=_environment(bench.home), timeout=options.timeout, file=file)

    def _inline_values(self, bench: tool.Workbench) -> Iterator[Path]:
        """Files with the values that are in no file of the repository: others can read the arguments of a program."""
        for number, text in enumerate(self.options.values):
            file = bench.home / f"values-{number}.yaml"
            file.write_text(text)
            yield file


def _render_otherwise(run: _HelmTemplate, bench: tool.Workbench, first: Future[bytes]) -> bytes | None:
    """A second rendering of the same files: an upgrade, at another time, with other revisions and other stand-ins.

    What it has otherwise is not determined by Git. None if it cannot be rendered this way.
    """
    with tool.workbench() as copy:
        shutil.copytree(bench.repository, copy.repository, symlinks=True, dirs_exist_ok=True)
        edit_everywhere(copy.repository, render_otherwise)  # values files may be elsewhere
        for file in stand_ins_in(copy.repository / run.folder):
            alter(file)
        try:
            return restore_uncalled(run(copy, "--is-upgrade"))
        except tool.ToolFailed:
            pass  # it cannot be upgraded from nothing, or an edit broke a template: then only what is random shows
        except RenderError:
            if first.exception() is not None:  # so did the first rendering take too much: that tells all
                return None
        try:
            return run(bench)
        except (tool.ToolFailed, RenderError):
            return None  # neither can it be rendered as it is, which the first rendering tells


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


def _values_files(tree: FileTree, root: Path, folder: str, options: RenderOptions) -> list[Path]:
    files = []
    for file in options.values_files:
        try:
            files.append(_values_file(tree, root, folder, file))
        except _NoValuesFile:
            if not options.ignore_missing_values_files:
                raise
    return files


class _NoValuesFile(RenderError):
    """The repository has no such values file."""


def _values_file(tree: FileTree, root: Path, folder: str, file: str) -> Path:
    path = normpath(file.lstrip("/") if file.startswith("/") else join(folder, file))
    chart = join(folder, CHART_FILE)
    if path.startswith("../") or path == ".." or "://" in file:
        raise RenderError(f"the values file {file} is outside of the repository", file=chart)
    if not (root / path).is_file():
        try:
            tree.export(root, under=path)
        except PathNotFound as error:
            raise _NoValuesFile(f"there is no values file {path} in the repository", file=chart) from error
    if not (root / path).is_file():
        raise _NoValuesFile(f"there is no values file {path} in the repository", file=chart)
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
    chart = join(folder, CHART_FILE)
    return parse_manifests(output, chart, lambda path: _template_file(path, root, folder))


def parse_manifests(output: bytes, file: str, file_of: Callable[[str], str]) -> RenderedPart:
    """What Helm has rendered: each object after a comment that names its template (`CHART/templates/x.yaml`).

    `file_of` is the file of such a name; `file` is that of objects without one.
    """
    manifests: list[Manifest] = []
    hooks: list[Hook] = []
    errors: list[RenderError] = []
    for raw in _documents(output, file):
        comment = _SOURCE.search(raw.text)
        template = file_of(comment["path"]) if comment else file
        try:
            value, _ = (raw.value, 0) if raw.is_json else read_yaml(raw, template, DEFAULT_LIMITS)
        except RenderError as error:
            errors.append(RenderError(f"what this template makes cannot be read: {error.message}", file=template))
            continue
        for _, each in flatten_lists(value) if value is not None else ():
            source = Source(template, 1, origin="helm")
            if (hook := hook_of(each, source)) is not None:
                hooks.append(hook)
                continue
            try:
                manifests.append(Manifest.of(validate_object(each), source))
            except InvalidObject as error:
                errors.append(RenderError(f"of what this template makes, {error}", file=template))
    return RenderedPart(tuple(manifests), tuple(errors), tuple(hooks))


def _documents(output: bytes, chart: str) -> Iterator[RawDocument]:
    """Raises: RenderError: for the chart: a line of the output is none of any file."""
    try:
        yield from split_documents(output, chart)
    except RenderError as error:
        raise RenderError(f"what the chart makes cannot be read: {error.message}", file=chart) from None


def _template_file(path: str, root: Path, folder: str) -> str:
    """The path in the repository of a template that helm names `CHART/templates/x.yaml`.

    For a template of a dependency that is packed as an archive, it is the archive. A template may write such a name
    itself: one that leads out of the chart is not followed.
    """
    steps = path.split("/")[1:]
    if ".." not in steps and "\0" not in path:
        for count in range(len(steps), 0, -1):
            candidate = root / folder / "/".join(steps[:count])
            if candidate.is_file():
                return str(candidate.relative_to(root))
            if candidate.parent.name == "charts" and (archives := _archives_of(candidate)):
                return str(archives[0].relative_to(root))
    return join(folder, CHART_FILE)


def _archives_of(chart: Path) -> list[Path]:
    """What a dependency is packed in, beside where its folder would be."""
    if not chart.parent.is_dir():
        return []
    return sorted(
        file for file in chart.parent.iterdir() if file.suffix == ".tgz" and file.name.startswith(f"{chart.name}-")
    )


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
