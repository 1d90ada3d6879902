"""What libraries find while they are imported, and nobody afterwards."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import pytest

from driftd.process.imports import environment_default, module_hidden


def test_a_hidden_module_is_not_found_and_then_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the import inside fails."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(ModuleNotFoundError), module_hidden("colorsys"):
        import_module("colorsys")
    assert import_module("colorsys").__name__ == "colorsys"


def test_a_module_that_is_loaded_already_stays() -> None:
    """Hiding it would give its users two of it."""
    with module_hidden("os"):
        assert sys.modules["os"] is os
    assert sys.modules["os"] is os


def test_a_default_variable_is_there_inside_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Child processes do not inherit it."""
    monkeypatch.delenv("DRIFTD_TEST", raising=False)
    with environment_default("DRIFTD_TEST", "quiet"):
        assert os.environ["DRIFTD_TEST"] == "quiet"
    assert "DRIFTD_TEST" not in os.environ
    with pytest.raises(KeyError), environment_default("DRIFTD_TEST", "quiet"):
        raise KeyError
    assert "DRIFTD_TEST" not in os.environ


def test_the_users_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """And stays."""
    monkeypatch.setenv("DRIFTD_TEST", "loud")
    with environment_default("DRIFTD_TEST", "quiet"):
        assert os.environ["DRIFTD_TEST"] == "loud"
    assert os.environ["DRIFTD_TEST"] == "loud"
