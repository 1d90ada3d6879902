"""What the documents say is so: links lead somewhere, examples are valid, commands and keys exist."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from driftd.config.loading import load
from driftd.notify.webhook import signature
from tests.docs.examples import check_example, preview_example, webhook_example
from tests.docs.messages import quoted_messages, source
from tests.docs.pages import Block, Link, anchors, blocks, commands, links
from tests.docs.reference import MANUAL, ROOT, leaves, manual, metrics, pages, with_parts

_LANGUAGES = {"console", "sh", "yaml", "json", "python", "text"}
_EXAMPLES = {"check": check_example, "preview": preview_example, "webhook": webhook_example}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_generated_parts_are_up_to_date(page: Path):
    """`python -m tests.docs.reference` writes them anew."""
    assert page.read_text() == with_parts(page.read_text())


def test_the_manual_page_is_up_to_date():
    """`python -m tests.docs.reference` writes it anew, from what --help says."""
    assert MANUAL.read_text() == manual()


@pytest.mark.parametrize("link", links(), ids=str)
def test_every_link_leads_somewhere(link: Link):
    path, _, anchor = link.target.partition("#")
    if "://" in link.target:
        return
    target = (link.page.parent / path).resolve() if path else link.page
    assert target.is_relative_to(ROOT)
    assert target.exists(), link
    if anchor:
        assert anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme():
    linked = {(link.page.parent / link.target.partition("#")[0]).resolve() for link in links()}
    assert {page for page in pages() if page.name != "README.md" or page.parent != ROOT} <= linked


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_every_block_says_what_language_it_is(block: Block):
    assert block.language in _LANGUAGES


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_every_yaml_example_is_valid(block: Block, tmp_path: Path):
    """What is not an object of Kubernetes', a file of Prometheus' or of the chart's is a configuration of driftd's."""
    document = yaml.safe_load(block.text)
    if block.text.startswith("# values.yaml\n"):
        Draft202012Validator(json.loads((ROOT / "deploy/chart/values.schema.json").read_text())).validate(document)
        block = replace(block, text=yaml.safe_dump(document["config"]))
    if document.get("kind", "Config") != "Config":
        assert document["metadata"]["name"]
        return
    if "current-context" in document:  # a kubeconfig: the test of audit events gives this one to an API server
        return
    if "groups" in document:
        _check_alerts(document)
        return
    file = tmp_path / "driftd.yaml"
    file.write_text(block.text)
    load(file)


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_every_json_example_is_what_the_code_makes(block: Block):
    assert block.example is not None, f"{block}: say which example it is"
    assert json.loads(block.text) == _EXAMPLES[block.example]()


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_every_shell_block_is_syntactically_right(block: Block):
    done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("sh", "console"), ids=str)
def test_every_driftd_and_make_command_exists(block: Block):
    """With the options and arguments that the documents give it."""
    lines = [line for line in block.text.splitlines() if block.language == "sh" or line.startswith("$ ")]
    for command in commands("\n".join(lines)):
        _check_command(command)


def test_every_command_that_is_named_in_a_sentence_exists():
    for page in pages():
        for command in re.findall(r"`((?:driftd|make) [^`]+)`", page.read_text()):
            if "COMMAND" not in command and "[OPTIONS]" not in command:
                _check_command(command)


def test_the_python_example_takes_a_real_signature_and_no_other():
    (block,) = blocks("python")
    names: dict[str, Any] = {}
    exec(block.text, names)
    is_from_driftd = names["is_from_driftd"]
    body, secret = b'{"version": 1}', "a shared secret"
    sent = int(datetime(2026, 11, 22, 9, 0, tzinfo=UTC).timestamp())
    header = signature(secret, body, sent)
    assert is_from_driftd(body, header, secret, now=sent + 10)
    assert not is_from_driftd(body + b" ", header, secret, now=sent + 10)
    assert not is_from_driftd(body, header, "another secret", now=sent + 10)
    assert not is_from_driftd(body, header, secret, now=sent + 3600)
    assert not is_from_driftd(body, "", secret, now=sent)
    digest = hmac.new(secret.encode(), b"999." + body, hashlib.sha256).hexdigest()
    assert not is_from_driftd(body, f"t={sent},v1={digest}", secret, now=sent)


def test_every_component_has_a_row_where_driftd_is_put_into_a_cluster():
    text = (ROOT / "docs" / "getting-started.md").read_text()
    for folder in (ROOT / "deploy" / "components").iterdir():
        assert f"deploy/components/{folder.name}" in text or folder.name == "heal-role"


@pytest.mark.parametrize("message", quoted_messages())
def test_a_message_that_troubleshooting_explains_is_one_of_the_code(message: str):
    """Word by word, but for the API server's own; `…` stands for anything."""
    of_the_api_server = ("is forbidden", "attempting to grant RBAC permissions not currently held")
    for part in filter(None, (part.strip() for part in message.split("…"))):
        assert part in of_the_api_server or part in source(), part


def test_files_that_sentences_name_are_there():
    for page in pages():
        for path in re.findall(r"`((?:deploy|config|docs|tests|driftd)/[\w./-]+)`", page.read_text()):
            if path not in ("deploy/overlays/mine", "deploy/web"):  # the latter as kubectl names an object
                assert (ROOT / path).exists(), f"{page.name}: {path}"


def _check_command(command: str) -> None:
    words = shlex.split(command, comments=True)
    if "--" in words:  # `kubectl exec … -- driftd …`
        words = words[words.index("--") + 1 :]
    if words[:1] == ["driftd"]:
        _check_driftd(words[1:])
    elif words[:1] == ["make"]:
        _check_make(words[1:])


def _check_driftd(words: list[str]) -> None:
    if words == ["--version"]:
        return
    known = dict(leaves())
    name = next((path for path in known if tuple(words[: len(path) - 1]) == path[1:]), None)
    assert name is not None, f"there is no command: driftd {' '.join(words)}"
    arguments = words[len(name) - 1 :]
    if "--help" in arguments or ">" in arguments:
        return
    if any(p.param_type_name == "argument" and p.required for p in known[name].params) and not arguments:
        return  # named in a sentence, without its argument
    known[name].make_context(" ".join(name), arguments)


def _check_make(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for word in words:
        if re.fullmatch(r"[a-z-]+", word):
            assert word in targets, f"there is no target: make {word}"


def _check_alerts(document: dict[str, Any]) -> None:
    known = metrics()
    for group in document["groups"]:
        for rule in group["rules"]:
            names = re.findall(r"driftd_\w+", rule["expr"])
            assert names, rule
            for name in names:
                assert f"`{name}`" in known, name
