"""Importing GitPython leaves no variable in the environment, which each run of Git would have to unset."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("set_by_user", "left"), [({}, "None"), ({"GIT_PYTHON_REFRESH": "warn"}, "warn")])
def test_the_environment_is_as_it_was(set_by_user: dict[str, str], left: str) -> None:
    """A variable of the user's own stays."""
    program = "import os, driftd.git.gitpython; print(os.environ.get('GIT_PYTHON_REFRESH'))"
    variables = {name: value for name, value in os.environ.items() if name != "GIT_PYTHON_REFRESH"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**variables, **set_by_user}
    )
    assert done.stdout == f"{left}\n"


def test_it_is_loaded_where_there_is_no_git(tmp_path: Path) -> None:
    """The error is raised when Git is run."""
    program = "import driftd.git.gitpython"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PATH": str(tmp_path)}
    )
    assert (done.stdout, done.stderr) == ("", "")
