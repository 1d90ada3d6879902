"""Fixtures of the real control plane, and settings of hypothesis.

A test that uses `assets`, or a fixture built on it, is marked `controlplane`; with `corpora`, it is marked `corpora`.
The control plane's programs are built before the first test runs, so that no test's timeout pays for it.
"""

from __future__ import annotations

import logging
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from driftd.process import confined
from tests.support import CONTROLPLANE, TIERS
from tests.support import assets as control_plane_assets
from tests.support import chart_tools as chart_tool_programs
from tests.support.controlplane import ControlPlane
from tests.support.kubelet import Kubelet
from tests.support.registry import registry_program

pytest_plugins = ["tests.support.tally", "tests.support.corpora", "tests.support.field_cases", "tests.support.worlds"]

# The speed of the machine is not a property of the code under test.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Restores logging, which a command that a test runs in its own process configures, for the tests after it."""
    root, own = logging.getLogger(), logging.getLogger("driftd")
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder with etcd, kube-apiserver, kube-controller-manager, kubectl, kustomize and helm."""
    return control_plane_assets.ensure()


@pytest.fixture(scope="session")
def chart_tools(assets: Path) -> Path:
    """The folder with helm3, helm-unittest, helm-docs, actionlint and krew; `assets` makes it a test of that tier."""
    return chart_tool_programs.ensure()


@pytest.fixture(scope="session")
def confinement() -> None:
    """The kernel keeps files and sockets from a program. Elsewhere these tests are skipped: CI accepts no skip."""
    can = confined.guarantees()
    if not (can.files and can.sockets):
        pytest.skip(f"needs Landlock and seccomp; here: {can}")


@pytest.fixture(scope="session")
def control_plane(assets: Path) -> Iterator[ControlPlane]:
    """A real Kubernetes cluster shared by all tests of the session (under xdist: one for each worker).

    Use the fixture `namespace`; a test that changes the whole cluster starts its own `ControlPlane(assets)`.
    """
    with ControlPlane(assets) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kubelet(control_plane: ControlPlane) -> Iterator[Kubelet]:
    """Runs the pods of the shared cluster."""
    with Kubelet(control_plane) as running:
        yield running


@pytest.fixture
def kubectl(control_plane: ControlPlane) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`kubectl` as the shared cluster's administrator."""
    return control_plane.kubectl


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the shared cluster for this test; deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with the tiers whose fixture it uses. First, so that `-m` selects by these marks."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        for mark, tier in TIERS.items():
            if tier.fixture in fixtures:
                item.add_marker(mark)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds the programs, with visible progress, if a selected test needs them."""
    if session.config.option.collectonly or not any(item.get_closest_marker(CONTROLPLANE) for item in session.items):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        control_plane_assets.ensure()
        fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
        if "chart_tools" in fixtures:
            chart_tool_programs.ensure()
        if fixtures & {"charts", "registry"}:
            registry_program()
