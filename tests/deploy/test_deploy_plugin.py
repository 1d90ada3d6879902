"""The wheel, and what is made of it: the command by uv, and the plugin by the real krew and the real kubectl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from git import Actor, Repo

from driftd import __version__
from driftd.sandbox.server import Sandbox
from tests.deploy.manifests import ROOT
from tests.docs import console
from tools.krew import PLATFORMS, PYTHONS, Platform, build, install, manifest

_HERE = "{}.{}".format(*sys.version_info)
_ANOTHER = "3.13" if _HERE != "3.13" else "3.12"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the release builds it, by the locked build backend."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    return folder / f"driftd-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def archive(wheel: Path) -> Path:
    """For this machine and two Pythons, of which one is here."""
    return build(_this_platform(), sorted({_HERE, _ANOTHER}), wheel, wheel.parent)


@pytest.fixture
def environment(chart_tools: Path, assets: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A home of its own with kubectl, krew and a Python without driftd on the PATH."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, program in {
        "kubectl": assets / "kubectl",
        "kubectl-krew": chart_tools / "krew",
        "python3": Path(sys.executable).resolve(),
    }.items():
        (bin_folder / name).symlink_to(program)
    path = [tmp_path / ".krew" / "bin", bin_folder, *map(Path, ("/usr/bin", "/bin"))]
    return {"PATH": os.pathsep.join(map(str, path)), "HOME": str(tmp_path), "KREW_NO_UPGRADE_CHECK": "1"}


def test_krew_installs_the_plugin_and_kubectl_runs_it(archive: Path, environment: dict[str, str], tmp_path: Path):
    """By the manifest of a release: krew checks the archive's hash. In a folder with modules of the plugin's names."""
    file = tmp_path / "drift.yaml"
    file.write_text(manifest(__version__, {_this_platform(): archive}, "https://example.com/v1", "https://example.com"))
    krew = ("kubectl", "krew", "install", f"--manifest={file}", f"--archive={archive}")
    assert "Installed plugin: drift" in _run(*krew, env=environment).stderr
    (tmp_path / "yaml.py").write_text("raise SystemExit('a module of this folder was loaded')\n")
    assert _run("kubectl", "drift", "--version", env=environment, cwd=tmp_path).stdout == f"driftd {__version__}\n"
    refused = _run("kubectl", "drift", "--config", "nowhere.yaml", env=environment, cwd=tmp_path, code=2)
    assert "nowhere.yaml" in refused.stderr


async def test_the_plugin_checks_a_repository(archive: Path, environment: dict[str, str], tmp_path: Path):
    """With all that it brings: git is read, manifests are parsed, the cluster is asked."""
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / ".krew" / "bin", filter="data")
    deploy = tmp_path / "deploy"
    repo = Repo.init(deploy, initial_branch="main")
    (deploy / "config.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: default}\n")
    repo.git.add("--all")
    author = Actor("Ada Lovelace", "ada@example.com")
    repo.index.commit("Serve the shop", author=author, committer=author)
    repo.close()
    async with Sandbox().serve() as sandbox:
        sandbox.write_kubeconfig(tmp_path / "kubeconfig")
        found = {**environment, "KUBECONFIG": str(tmp_path / "kubeconfig")}
        (printed,) = await console.run(["kubectl drift --repo . ; echo exit code $?"], deploy, found)
    assert "missing" in printed
    assert "ConfigMap" in printed
    assert printed.endswith("exit code 1\n")


def test_an_archive_for_other_bytes_than_the_manifests_is_refused(
    archive: Path, environment: dict[str, str], tmp_path: Path
):
    file, other = tmp_path / "drift.yaml", tmp_path / archive.name
    file.write_text(manifest(__version__, {_this_platform(): archive}, "https://example.com/v1", "https://example.com"))
    other.write_bytes(archive.read_bytes() + b"\0")
    done = _run("kubectl", "krew", "install", f"--manifest={file}", f"--archive={other}", env=environment, code=1)
    assert "checksum" in done.stderr


def test_an_archive_tells_nothing_of_the_machine_that_made_it(archive: Path):
    """So that anyone who builds it again gets the same bytes."""
    with tarfile.open(archive) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.uname) == (0, 0, "")
            content = tar.extractfile(member)
            assert content is not None
            assert str(archive.parent).encode() not in content.read(), member.name
            assert member.name.rpartition("/")[2] not in ("RECORD", "direct_url.json", "uv_cache.json", ".lock")


def test_without_a_python_that_will_do_the_plugin_says_which_it_needs(archive: Path, tmp_path: Path):
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "drift", filter="data")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "readlink"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = _run("/bin/sh", tmp_path / "drift" / "kubectl-drift", env={"PATH": str(tools)}, code=2)
    assert "needs Python" in done.stderr


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: f"{platform.os}-{platform.arch}")
def test_every_dependency_has_a_wheel_for_every_platform_and_python(platform: Platform, tmp_path: Path):
    """By uv's dry run, which asks the index and loads nothing."""
    for python in PYTHONS:
        install(platform, python, tmp_path / python, None, "--dry-run")


def test_the_manifest_names_every_archive(tmp_path: Path):
    archives = {}
    for platform in PLATFORMS:
        archives[platform] = tmp_path / platform.archive
        archives[platform].write_bytes(platform.archive.encode())
    document = yaml.safe_load(manifest("1.2.3", archives, "https://example.com/v1.2.3", "https://example.com"))
    assert document["spec"]["version"] == "v1.2.3"
    assert [(one["selector"]["matchLabels"], one["uri"]) for one in document["spec"]["platforms"]] == [
        ({"os": one.os, "arch": one.arch}, f"https://example.com/v1.2.3/{one.archive}") for one in PLATFORMS
    ]


def test_uv_installs_the_command(wheel: Path, tmp_path: Path):
    """`uv tool install`, and pipx alike: the same entry points, in an environment of their own."""
    folders = {name: str(tmp_path / name) for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR")}
    locked = ("--constraints", ROOT / "requirements.lock", "--python", sys.executable)
    _run(sys.executable, "-m", "uv", "tool", "install", *locked, wheel, env={**os.environ, **folders})
    for name in ("driftd", "kubectl-drift"):
        assert _run(tmp_path / "UV_TOOL_BIN_DIR" / name, "--version").stdout == f"driftd {__version__}\n"
    schema = _run(tmp_path / "UV_TOOL_BIN_DIR" / "driftd", "config", "schema").stdout
    assert json.loads(schema)["$id"]


def _this_platform() -> Platform:
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[os.uname().machine]
    return next(one for one in PLATFORMS if (one.os, one.arch) == (os.uname().sysname.lower(), machine))


def _run(
    *command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
    return done
