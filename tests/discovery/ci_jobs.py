"""What runs the jobs of GitHub and GitLab, as far as the examples need it: their shells, variables and files."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

ROOT = Path(__file__).parents[2]
_EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")

GH = """\
#!{python}
import json, pathlib, re, sys
file = pathlib.Path({comments!r})
comments = json.loads(file.read_text())
arguments = sys.argv[1:]
assert arguments.pop(0) == "api", sys.argv
options = dict()
rest = []
while arguments:
    word = arguments.pop(0)
    if word in ("--method", "--jq", "--field"):
        options[word] = arguments.pop(0)
    elif word not in ("--paginate", "--silent"):
        rest.append(word)
[path] = rest
if "--jq" in options:
    assert path == "repos/shop/deploy/issues/7/comments?per_page=100", path
    before, after = '.[] | select(.user.type == "Bot" and (.body | startswith("', '"))) | .id'
    assert options["--jq"].startswith(before) and options["--jq"].endswith(after), options["--jq"]
    marker = options["--jq"][len(before) : -len(after)]
    for each in comments:
        if each["type"] == "Bot" and each["body"].startswith(marker):
            print(each["id"])
else:
    key, at = options["--field"].split("=@")
    body = pathlib.Path(at).read_text()
    assert key == "body" and len(body) < 65536
    if options["--method"] == "POST":
        assert path == "repos/shop/deploy/issues/7/comments", path
        comments.append({{"id": 100 + len(comments), "type": "Bot", "body": body}})
    else:
        assert options["--method"] == "PATCH"
        number = int(re.fullmatch("repos/shop/deploy/issues/comments/([0-9]+)", path)[1])
        next(each for each in comments if each["id"] == number)["body"] = body
    file.write_text(json.dumps(comments))
"""
PYTHON = """\
#!{python}
# Stands for the runner's python3: a virtual environment of it has the driftd that is tested.
import os, pathlib, sys
if sys.argv[1:2] == ["-m"] and sys.argv[2] == "venv":
    folder = pathlib.Path(sys.argv[3], "bin")
    folder.mkdir(parents=True)
    for name, text in (("python", pathlib.Path(__file__).read_text()), ("driftd", {driftd!r})):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
elif sys.argv[1:3] == ["-m", "pip"]:
    arguments = sys.argv[3:]
    files = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--requirement"]
    assert all(map(os.path.isfile, files)), files
    with open({log!r}, "a") as log:
        log.write(" ".join(arguments) + "\\n")
else:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
DRIFTD = '#!/bin/sh\nPYTHONPATH={root} exec {python} -m driftd "$@"\n'


def program(folder: Path, name: str, text: str) -> None:
    """A program in a folder of the PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(stat.S_IRWXU)


@dataclass
class GitHubRunner:
    """Runs the steps of a composite action as GitHub's runner does, for pull request 7 of `shop/deploy`."""

    folder: Path
    checkout: Path
    environment: Mapping[str, str]
    inputs: Mapping[str, str]
    comments: Path = field(init=False)
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.comments = self.folder / "comments.json"
        if not self.comments.exists():
            self.comments.write_text("[]")
        programs = self.folder / "programs"
        driftd = DRIFTD.format(root=ROOT, python=sys.executable)
        log = str(self.folder / "pip.log")
        program(programs, "gh", GH.format(python=sys.executable, comments=str(self.comments)))
        program(programs, "python3", PYTHON.format(python=sys.executable, driftd=driftd, log=log))

    @property
    def summary(self) -> str:
        return (self.folder / "summary").read_text()

    def bodies(self) -> list[str]:
        return [each["body"] for each in json.loads(self.comments.read_text())]

    def run(self) -> int:
        """All steps of the action; returns 1 if one fails, and then does not run the others."""
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        defaults = {name: str(each["default"]) for name, each in action["inputs"].items()}
        inputs = {name: self._expanded(text, {}) for name, text in {**defaults, **self.inputs}.items()}
        for number, step in enumerate(action["runs"]["steps"]):
            if not self._is_due(step.get("if"), inputs):
                continue
            script = self.folder / f"step-{number}.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
                cwd=self.checkout,
                env=self._environment(step, inputs),
                capture_output=True,
                text=True,
                check=False,
            )
            if step.get("id") and (self.folder / "output").exists():
                lines = (self.folder / "output").read_text().splitlines()
                self.outputs |= dict(line.split("=", 1) for line in lines)
            if done.returncode:
                return 1
        return 0

    def _environment(self, step: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, str]:
        own = {name: self._expanded(str(text), inputs) for name, text in step.get("env", {}).items()}
        return {
            **self.environment,
            "PATH": f"{self.folder / 'programs'}:{self.environment['PATH']}",
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_REPOSITORY": "shop/deploy",
            **own,
        }

    def _is_due(self, condition: str | None, inputs: Mapping[str, str]) -> bool:
        if condition is None:
            return True
        for part in condition.split(" && "):
            name, value = part.split(" == ")
            if self._value(name, inputs) != value.strip("'"):
                return False
        return True

    def _expanded(self, text: str, inputs: Mapping[str, str]) -> str:
        return _EXPRESSION.sub(lambda match: self._value(match[1], inputs), text)

    def _value(self, name: str, inputs: Mapping[str, str]) -> str:
        known = {
            "github.token": "a-token",
            "github.base_ref": "main",
            "github.event_name": "pull_request",
            "github.event.pull_request.number": "7",
        }
        if name.startswith("inputs."):
            return inputs[name.removeprefix("inputs.")]
        if name.startswith("steps.preview.outputs."):
            return self.outputs.get(name.removeprefix("steps.preview.outputs."), "")
        return known[name]


@dataclass
class GitLab:
    """The part of GitLab's API that has the notes of merge request 5 of project 3; the token is user 42's."""

    url: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)

    @contextmanager
    def serve(self) -> Iterator[GitLab]:
        gitlab = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/api/v4/user":
                    self._answer({"id": 42})
                    return
                assert parts.path == "/api/v4/projects/3/merge_requests/5/notes"
                page = int(parse_qs(parts.query)["page"][0])
                more = str(page + 1) if len(gitlab.notes) > page * 2 else ""
                self._answer(gitlab.notes[(page - 1) * 2 : page * 2], more)  # two a page

            def do_POST(self) -> None:
                gitlab.notes.append({"id": len(gitlab.notes) + 1, "author": {"id": 42}, **self._body()})
                self._answer({})

            def do_PUT(self) -> None:
                number = int(self.path.rpartition("/")[2])
                next(each for each in gitlab.notes if each["id"] == number).update(self._body())
                self._answer({})

            def _body(self) -> Any:
                assert self.headers["PRIVATE-TOKEN"] == "a-token"
                gitlab.writes.append(self.command)
                return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, document: Any, next_page: str = "") -> None:
                content = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("X-Next-Page", next_page)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}/api/v4"
            yield self
            server.shutdown()
            thread.join()


def run_gitlab_job(
    folder: Path, checkout: Path, environment: Mapping[str, str], gitlab: GitLab
) -> subprocess.CompletedProcess[str]:
    """Runs the example's job in a merge request pipeline, as GitLab's runner does: all lines in one shell."""
    job = yaml.safe_load((ROOT / "docs/examples/gitlab-ci.yaml").read_text())["before-the-merge"]
    programs = folder / "programs"
    program(programs, "driftd", DRIFTD.format(root=ROOT, python=sys.executable))
    program(programs, "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    return subprocess.run(
        ["sh", "-e"],
        input="\n".join(job["script"]),
        cwd=checkout,
        env={
            **environment,
            **job["variables"],
            "PATH": f"{programs}:{environment['PATH']}",
            "CI_PROJECT_DIR": str(checkout),
            "CI_PROJECT_ID": "3",
            "CI_MERGE_REQUEST_IID": "5",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
            "CI_API_V4_URL": gitlab.url,
            "DRIFTD_GITLAB_TOKEN": "a-token",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def runner_environment(home: Path, kubeconfig: Path, assets: Path, ca_file: Path) -> dict[str, str]:
    """What both runners have besides."""
    return {
        "PATH": f"{assets}:{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "KUBECONFIG": str(kubeconfig),
        "GIT_SSL_CAINFO": str(ca_file),
    }
