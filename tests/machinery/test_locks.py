"""The lock files pin all requirements of pyproject.toml with hashes, and name no host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock", "tests/controlplane/go.lock")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(lock: str) -> dict[str, str]:
    matches = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in matches}


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("requirements.lock", project()["project"]["dependencies"]),
        ("requirements-build.lock", project()["dependency-groups"]["build"]),
        ("requirements-build.lock", project()["build-system"]["requires"]),
        ("requirements-dev.lock", project()["project"]["dependencies"]),
        ("requirements-dev.lock", project()["dependency-groups"]["dev"]),
        ("requirements-dev.lock", project()["dependency-groups"]["docs"]),
    ],
)
def test_every_requirement_is_locked_within_its_bounds(lock: str, requirements: list[str]) -> None:
    """`make lock` was run after the latest change of a requirement."""
    locked = pins(lock)
    for requirement in map(Requirement, requirements):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{lock} lacks {requirement.name}: run `make lock`"
        assert requirement.specifier.contains(version), f"{lock} has {requirement.name} {version}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_lock_names_a_host(lock: str) -> None:
    """A tampered package is refused, and any mirror can be used."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index-url" not in text
    logical_lines = text.replace("\\\n", " ").splitlines()
    entries = [line for line in logical_lines if line.strip() and not line.lstrip().startswith("#")]
    assert entries
    assert [line for line in entries if "--hash=sha256:" not in line] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_development_has_the_versions_that_users_get(lock: str) -> None:
    """Users install the versions that were tested."""
    development = pins("requirements-dev.lock")
    assert {name: development.get(name) for name in pins(lock)} == pins(lock)
