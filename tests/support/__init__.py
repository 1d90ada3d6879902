"""Support for the tests: the control plane, its kubelet, what lies beside the checkout, and which tests must run."""

from __future__ import annotations

from dataclasses import dataclass

CONTROLPLANE = "controlplane"
CORPORA = "corpora"
FIELD_CASES = "field_cases"
POSTGRESQL = "postgresql"
CONFINEMENT = "confinement"


@dataclass(frozen=True, slots=True)
class Tier:
    """Tests that share a requirement. They are marked by the fixture that provides it, so no test can miss its mark."""

    fixture: str
    title: str
    """Where the tests run, for the summary."""


TIERS = {
    CONTROLPLANE: Tier("assets", "on the real control plane"),
    CORPORA: Tier("corpora", "on other projects' manifests"),
    FIELD_CASES: Tier("field_cases", "on cases from the field"),
    POSTGRESQL: Tier("postgres", "on PostgreSQL"),
    CONFINEMENT: Tier("confinement", "of what the kernel keeps from a renderer"),
}
"""Tiers by their marks. A new one also needs its mark in `pyproject.toml` and `--require MARK` in `.ci/run`."""
