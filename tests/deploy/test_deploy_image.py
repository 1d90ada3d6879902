"""The Dockerfile, checked against the repository and the manifests without a container engine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from driftd import __version__
from driftd.cli.main import app as commands
from tests.deploy.dockerfile import Stage, ignored_by, parse
from tests.deploy.manifests import DEPLOY, ROOT
from tests.support.assets import BINARIES

DOCKERFILE = ROOT / "Dockerfile"


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return parse(DOCKERFILE.read_text())


@pytest.fixture(scope="module")
def final(stages: list[Stage]) -> Stage:
    return stages[-1]


def test_every_base_image_names_its_exact_version(stages: list[Stage]):
    """Including the patch release; a digest is not included, since it differs between mirrors."""
    named = {stage.name for stage in stages}
    for stage in stages:
        if stage.base not in named:
            assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[a-z-]+(@sha256:[0-9a-f]{64})?", stage.base), stage.base


def test_everything_copied_from_the_repository_is_there_and_reaches_the_build(stages: list[Stage]):
    sources = [
        word for stage in stages for text in stage.all("COPY") if "--from=" not in text for word in text.split()[:-1]
    ]
    assert "requirements.lock" in sources
    ignored = ignored_by((ROOT / ".dockerignore").read_text())
    for source in sources:
        path = ROOT / source
        assert path.exists(), source
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        reached = [f for f in files if not ignored(f.relative_to(ROOT).as_posix())]
        assert reached, f"{source} is left out by .dockerignore"
        assert not any("__pycache__" in f.parts for f in reached)


def test_the_manual_page_is_installed_and_reaches_the_build(stages: list[Stage]):
    """`man driftd` works where driftd is installed; hatchling refuses to build without the file."""
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["shared-data"] == {"docs/driftd.1": "share/man/man1/driftd.1"}
    assert "/docs/driftd.1" in targets["sdist"]["include"]
    (package,) = [stage for stage in stages if stage.name == "package"]
    assert "docs/driftd.1 ./docs/" in package.all("COPY")


def test_what_is_copied_from_a_stage_comes_from_an_earlier_one(stages: list[Stage]):
    for index, stage in enumerate(stages):
        for text in stage.all("COPY"):
            match = re.search(r"--from=(\S+)", text)
            if match:
                assert match[1] in {earlier.name for earlier in stages[:index]}


def test_kustomize_and_helm_are_those_that_the_tests_run_with(stages: list[Stage]):
    """Built from the same modules, with the versions and hashes of the repository."""
    (tools,) = [stage for stage in stages if stage.name == "tools"]
    recipes = {binary.name: binary for binary in BINARIES}
    assert tools.arguments()["HELM_VERSION"] == recipes["helm"].version
    for name in ("kustomize", "helm"):
        (build,) = [text for text in tools.all("RUN") if f"-o /out/{name} " in text]
        assert build.split()[-1] == recipes[name].package
        module = f"tests/controlplane/{recipes[name].module}"
        assert f"{module} ./" in tools.all("COPY")
        assert (ROOT / module / "go.sum").read_text()
        for flag in recipes[name].flags:
            assert flag.replace(recipes[name].version, "${HELM_VERSION}") in build


def test_python_packages_are_installed_by_their_hashes_only(stages: list[Stage]):
    installs = [
        part for stage in stages for text in stage.all("RUN") for part in text.split("&&") if " install " in part
        and "pip " in part
    ]  # fmt: skip
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install, install


def test_the_driver_for_postgresql_is_in_it():
    """The store may be a server's without another image: the lock file that is installed has the extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    for requirement in project["optional-dependencies"]["postgresql"]:
        name, _, extra = re.split(r"[><=]", requirement)[0].partition("[")
        assert {name, f"{name}-{extra.rstrip(']')}"} <= locked


def test_the_process_is_not_root_and_has_the_id_of_the_manifests(final: Stage):
    """By number, so that Kubernetes can check that it is not root; with a name, since ssh requires one."""
    assert final.all("USER") == ["10001:10001"]
    deployment = yaml.safe_load((DEPLOY / "base" / "deployment.yaml").read_text())
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == "10001:10001"
    assert any("useradd --uid 10001" in text for text in final.all("RUN"))


def test_it_starts_the_daemon_by_the_exec_form_and_takes_other_commands(final: Stage):
    assert final.command("ENTRYPOINT")[-1] == "driftd"
    (command,) = final.command("CMD")
    assert command in {
        registered.callback.__name__ for registered in commands.registered_commands if registered.callback
    }
    assert final.environment()["DRIFTD_CONFIG"] == "/etc/driftd/driftd.yaml"


def test_everything_is_written_to_places_that_the_manifests_mount(final: Stage):
    deployment = yaml.safe_load((DEPLOY / "base" / "deployment.yaml").read_text())
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    writable = [Path(m["mountPath"]) for m in container["volumeMounts"] if not m.get("readOnly")]
    environment = final.environment()
    for name in ("HOME", "XDG_CACHE_HOME", "STATE_DIRECTORY", "CACHE_DIRECTORY"):
        assert any(Path(environment[name]).is_relative_to(mount) for mount in writable), name
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert final.all("WORKDIR") == ["/tmp"]


def test_it_has_the_programs_that_driftd_calls(final: Stage):
    installed = " ".join(final.all("RUN"))
    for package in ("git", "openssh-client", "ca-certificates"):
        assert f" {package} " in installed
    copied = " ".join(final.all("COPY"))
    assert "/out/kustomize" in copied
    assert "/out/helm" in copied


def test_there_is_no_secret_in_it(stages: list[Stage]):
    for stage in stages:
        for name in (*stage.arguments(), *stage.environment()):
            assert not re.search(r"TOKEN|PASSWORD|SECRET|KEY", name), name
        assert not stage.all("ADD")


def test_its_version_is_the_packages(final: Stage):
    assert final.arguments()["VERSION"] == __version__
    labels = final.labels()
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {f"org.opencontainers.image.{key}" for key in ("title", "description", "version", "revision")} <= set(labels)
    deployment = yaml.safe_load((DEPLOY / "base" / "deployment.yaml").read_text())
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"driftd:{__version__}"
