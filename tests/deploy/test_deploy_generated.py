"""Files that are made from others are as they should be."""

from __future__ import annotations

import subprocess
from pathlib import Path

from driftd import __version__
from tests.deploy.chart import CHART
from tests.deploy.generated import ROOT, fresh
from tools.chart_schema import values_schema_text


def test_the_schema_of_the_values_has_every_key_of_the_configuration_of_today():
    """`make manifests` writes it anew."""
    assert (CHART / "values.schema.json").read_text() == values_schema_text()


def test_what_is_made_is_up_to_date(assets: Path, chart_tools: Path):
    """`make manifests` writes it anew."""
    for file, text in fresh(assets, chart_tools).items():
        assert file.read_text() == text, f"{file.relative_to(ROOT)} has aged: run `make manifests`"


def test_the_charts_own_tests_pass(chart_tools: Path):
    """By helm-unittest."""
    done = subprocess.run([chart_tools / "helm-unittest", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_helm_finds_nothing_to_improve(assets: Path):
    done = subprocess.run([assets / "helm", "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_charts_version_is_driftds():
    text = (CHART / "Chart.yaml").read_text()
    assert f"\nversion: {__version__}\nappVersion: {__version__}\n" in text
