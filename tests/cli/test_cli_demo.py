"""What the demo prints can be used as it is printed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from driftd.cli.demo.preview import slack_message
from driftd.cli.demo.steps import program
from driftd.cli.output.lines import UNLIMITED
from driftd.sandbox.slack.workspace import SlackMessage


def shown(message: SlackMessage, *, expand: bool = True) -> str:
    console = Console(width=80 if expand else UNLIMITED)
    with console.capture() as captured:
        console.print(slack_message(message, "#drift", expand=expand))
    return captured.get()


def test_the_program_that_is_printed_runs_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where driftd is not on the PATH, as after `make demo`."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    done = subprocess.run([*shlex.split(program()), "--version"], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.startswith(b"driftd ")


def test_on_the_path_the_program_is_printed_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If that is this driftd, and no other one."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    script = tmp_path / "driftd"
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "driftd"
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert program() == str(script)


def test_a_reply_in_a_thread_looks_like_a_reply() -> None:
    """And a message that was edited says so, as in Slack."""
    assert "#drift" in shown(SlackMessage("C1", "1.0", "web has drifted"))
    reply = shown(SlackMessage("C1", "2.0", "healed", thread_ts="1.0"))
    assert "reply in the thread" in reply
    assert "#drift" not in reply
    assert "(edited)" in shown(SlackMessage("C1", "1.0", "web has drifted", edits=1))


def test_a_message_in_a_pipe_is_as_wide_as_its_text() -> None:
    """Nothing is wrapped, and no line is filled up to a width that nobody looks at."""
    text = "a word " * 40
    lines = shown(SlackMessage("C1", "1.0", text.strip()), expand=False).splitlines()
    assert text.strip() in lines[1]
    assert {len(line) for line in lines} == {len(text.strip()) + 4}
