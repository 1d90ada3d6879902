"""The start of every command: it is quick, and help is complete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gitserver import GitRepo

HEAVY = (
    "aiohttp",
    "alembic",
    "apscheduler",
    "asyncio",
    "deepdiff",
    "driftd.config",
    "driftd.model.drift",
    "git",
    "kubernetes",
    "orjson",
    "pydantic",
    "rich",
    "slack_sdk",
    "sqlalchemy",
    "structlog",
)
"""Packages that are slow to import, and that `--help` does not need."""


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["--version"], ["config", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help is printed at once: a fresh interpreter loads none of the libraries that the commands need."""
    script = (
        "import sys\n"
        "from driftd.cli.main import main\n"
        f"sys.argv = ['driftd', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print('loaded:', [m for m in {HEAVY!r} if m in sys.modules], code, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "loaded: [] 0"
    assert done.stdout


@pytest.mark.parametrize("module", ["driftd.cli.daemon", "driftd.cli.logs, driftd.cli.check, driftd.daemon.clusters"])
def test_logging_loads_no_rich(module: str) -> None:
    """It would print the variables of frames, which may be secrets; and it takes time and memory."""
    script = f"import sys, {module}; import driftd.cli.output.table as t; print(bool(t), 'rich' in before)"
    script = script.replace("import driftd.cli.output", "before = set(sys.modules); import driftd.cli.output")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True False\n"


def test_a_check_without_a_configuration_loads_neither_the_store_nor_the_settings() -> None:
    """It keeps nothing and reads no file: SQLAlchemy and pydantic would take a third of its time and memory."""
    script = (
        "import sys, driftd.cli.logs, driftd.cli.check, driftd.daemon.clusters\n"
        "print([m for m in ('alembic', 'driftd.store', 'pydantic', 'sqlalchemy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_command_ends_at_once_but_runs_the_exit_handlers_of_libraries() -> None:
    """With its exit code and its whole output; its objects are not freed one by one."""
    script = (
        "import atexit, sys\n"
        "from driftd.cli.main import command\n"
        "class Object:\n    def __del__(self): print('taken apart')\n"
        "held = Object()\n"
        "atexit.register(print, 'taken away')\n"
        "sys.argv = ['driftd', 'sync', 'web', '--config', '/nonexistent/driftd.yaml']\n"
        "command()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "/nonexistent/driftd.yaml" in done.stderr
    assert done.stdout == "taken away\n"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "driftd", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_names_every_command() -> None:
    """With one line each."""
    text = run("--help").stdout
    for command in ("check", "run", "sync", "rollback", "status", "history", "config", "demo"):
        assert f"\n  {command} " in text


def test_the_schema_is_json_schema_on_standard_output() -> None:
    """For editors."""
    done = run("config", "schema")
    assert done.returncode == 0
    assert "apps" in json.loads(done.stdout)["properties"]


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        ("KeyError('canary')", 2),
        ("RecursionError()", 2),
        ("OSError(28, 'No space left on device')", 2),
        ("EOFError()", 2),
        ("BrokenPipeError(32, 'Broken pipe')", 2),
        ("KeyboardInterrupt()", 130),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_what_nobody_has_foreseen_is_one_sentence_and_never_exit_code_1(raised: str, code: int, debug: bool) -> None:
    """1 says that something differs. With --debug there is the traceback as well."""
    script = (
        "import sys, driftd.cli.main as cli\n"
        f"def broken(**_): raise {raised}\n"
        "cli._logs = broken\n"
        f"sys.argv = ['driftd', 'check', '--repo', '.'{', ' + repr('--debug') if debug else ''}]\n"
        "cli.command()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    if raised.startswith(("Key", "Recursion", "OSError")) and code == 2:
        assert ("Traceback" in done.stderr) is debug
        assert done.stderr.splitlines()[-1].startswith("driftd: an unexpected error (")
        assert debug or "canary" not in done.stderr


def test_output_that_cannot_be_written_is_no_success() -> None:
    """The disk is full: whoever reads the file must not take it for the whole report."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "driftd", "config", "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_was_closed_before_is_none_of_driftds_files(tmp_path: Path, closed: str) -> None:
    """Some services start programs so: what is not in sync still ends with 1, and what cannot be told with 2."""
    GitRepo(tmp_path / "repository").write({"a.yaml": "a: 1\n"}).commit()
    driftd = f"exec {sys.executable} -m driftd check --repo . --kubeconfig /nonexistent {closed}"
    done = subprocess.run(
        ["sh", "-c", driftd], cwd=tmp_path / "repository", capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 2
    assert "unexpected" not in done.stdout + done.stderr
    assert ("/nonexistent" in done.stdout + done.stderr) is ("2" not in closed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "."], "say what to check: --repo ., or --config FILE"),
        (["check", "--repo", "nowhere"], "--repo nowhere: there is no such folder on this machine"),
        (["check", "--repo", ".", "--explain", "cm", "web"], "an object as KIND/NAME with --explain"),
        (["status"], "name the configuration by --config FILE, or by $DRIFTD_CONFIG"),
    ],
)
def test_what_a_new_user_forgets_is_told(tmp_path: Path, arguments: list[str], says: str) -> None:
    """With the option that it takes."""
    without = {name: value for name, value in os.environ.items() if name != "DRIFTD_CONFIG"}
    done = subprocess.run(
        [sys.executable, "-m", "driftd", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=60, env={**without, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 2
    assert says in done.stderr


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """As where somebody has switched branches in another window."""
    GitRepo(tmp_path / "repository").write({"a.yaml": "a: 1\n"}).commit()
    (tmp_path / "gone").mkdir()
    script = f"rmdir ../gone; exec {sys.executable} -P -m driftd check --repo ../repository"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path / "gone", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == "driftd: ../repository cannot be looked for from here: No such file or directory\n"


def test_an_error_cannot_steer_the_terminal() -> None:
    """It may repeat what a kubeconfig, a repository or a server says."""
    command = [sys.executable, "-m", "driftd", "sync", "web", "--config", "/nonexistent/\x1b[2J.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "/nonexistent/\\x1b[2J.yaml: there is no such file\n"


def test_a_repository_that_needs_too_much_memory_ends_the_check_with_a_sentence(tmp_path: Path) -> None:
    """The process may have 192 MiB here: neither is the machine's memory taken, nor is there a traceback."""
    bomb = f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "a"}}, "x": [{"{}, " * 900_000}{{}}]}}'
    GitRepo(tmp_path / "repository").write({f"app/{number}.json": bomb for number in range(8)}).commit()
    script = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (192 << 20, 192 << 20))\n"
        "from driftd.__main__ import command\n"
        "command()\n"
    )
    check = ["check", "--repo", str(tmp_path / "repository"), "--path", "app", "--kubeconfig", "/nonexistent"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script, *check],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 2
    assert done.stderr == "driftd: this needs more memory than one command may have: check less at once\n"
