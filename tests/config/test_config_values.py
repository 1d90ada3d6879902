"""Durations, addresses and secrets."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.config.duration import format_duration, parse_duration
from driftd.config.loading import load, parse, unusable_files
from driftd.config.secret import SecretEnv, SecretFile
from driftd.config.values import ListenAddress, parse_listen_address
from driftd.model.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("0", 0),
        (".5s", 0.5),
        ("1m0.5s", 60.5),
    ],
)
def test_durations_parse_as_in_go(text, seconds):
    """The forms of time.ParseDuration."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5x",
        "-5s",
        "1d",
        "5 m",
        "m",
        "1w",
        "1mm",
        "1y",
        "9" * 400 + "h",
        "1e3s",
        "٣s",
        "5S",
        "inf",
        "99999999999h",
    ],
)
def test_what_is_no_duration_is_refused(text):
    """Days are none, as in Go: they are not always 24 hours long."""
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3000)))
def test_every_duration_parses_as_it_was_formatted(duration):
    """To the microsecond."""
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8080", ListenAddress("0.0.0.0", 8080)),
        ("[::]:8080", ListenAddress("::", 8080)),
        ("localhost:0", ListenAddress("localhost", 0)),
        (":8080", ListenAddress("0.0.0.0", 8080)),
    ],
)
def test_addresses_have_a_host_and_a_port(text, address):
    """IPv6 in brackets, as in URLs."""
    assert parse_listen_address(text) == address


@pytest.mark.parametrize("text", ["8080", "::1:8080", "host", "host:", "host:99999", "http://h:1", "a b:1", "h:-1"])
def test_what_is_no_address_is_refused(text):
    """With the form that it should have."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_listen_address(text)


def test_a_secret_file_loses_one_closing_line_break(tmp_path):
    """The one that editors add; blanks may belong to the secret."""
    (tmp_path / "token").write_text(" s3cret \n\n")
    assert SecretFile("auth.tokenFile", tmp_path / "token").read() == " s3cret \n"
    (tmp_path / "token").write_bytes(b"s3cret\r\n")
    assert SecretFile("auth.tokenFile", tmp_path / "token").read() == "s3cret"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no such file"), (b"", "empty"), (b"\n", "empty"), (b"hunter2\xff", "UTF-8")],
)
def test_a_secret_that_cannot_be_read_names_its_key_and_its_file(content, message, tmp_path):
    """And never what is in it."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        SecretFile("auth.tokenFile", path).read()
    assert str(caught.value).startswith(f"auth.tokenFile: {path}: ")
    assert message in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_a_secret_that_is_a_folder_is_no_secret(tmp_path):
    """As a mistaken mount of Kubernetes makes one."""
    with pytest.raises(ConfigError, match="cannot be read"):
        SecretFile("auth.tokenFile", tmp_path).read()


def test_a_secret_variable_is_read_when_it_is_used(monkeypatch):
    """And an empty one is as good as none."""
    secret = SecretEnv("auth.tokenEnv", "DRIFTD_TEST_TOKEN")
    monkeypatch.setenv("DRIFTD_TEST_TOKEN", "one")
    assert secret.read() == "one"
    monkeypatch.setenv("DRIFTD_TEST_TOKEN", "two\n")
    assert secret.read() == "two"
    monkeypatch.setenv("DRIFTD_TEST_TOKEN", "")
    with pytest.raises(ConfigError, match="DRIFTD_TEST_TOKEN is not set, or empty"):
        secret.read()


def test_a_secrets_value_is_in_no_repr(tmp_path, monkeypatch):
    """The object knows where the secret is, not what it is."""
    monkeypatch.setenv("TOKEN", "hunter2")
    (tmp_path / "token").write_text("hunter2")
    secrets = (SecretEnv("k", "TOKEN"), SecretFile("k", tmp_path / "token"))
    assert [secret.read() for secret in secrets] == ["hunter2", "hunter2"]
    assert "hunter2" not in repr(secrets)


def test_configured_files_that_are_missing_are_told_with_their_lines(tmp_path):
    """Every one, secret or not, in the form of a mistake; those that are there are not."""
    (tmp_path / "here").write_text("x")
    (tmp_path / "driftd.yaml").write_text(
        """\
clusters: [{name: prod, kubeconfig: nowhere.kubeconfig}]
sources:
  - {name: a, url: https://h/a, auth: {tokenFile: here, caFile: gone.pem}}
  - {name: b, url: https://h/b, auth: {username: ada, passwordFile: gone}}
notify: {webhooks: [{name: audit, url: https://h/, secretEnv: DRIFTD_NOT_SET}]}
"""
    )
    file = tmp_path / "driftd.yaml"
    warnings = unusable_files(load(file), file)
    assert [warning.removeprefix(f"{file}:").split(": ")[:2] for warning in warnings] == [
        ["1:25", "clusters[0].kubeconfig"],
        ["3:57", "sources[0].auth.caFile"],
        ["4:55", "sources[1].auth.passwordFile"],
        ["5:52", "notify.webhooks[0].secretEnv"],
    ]


def mistakes_in(content: bytes) -> list[str]:
    try:
        parse(content, file="driftd.yaml", folder=Path("/nowhere"))
    except ConfigError as error:
        return error.mistakes or ["driftd.yaml: refused without a word"]
    return []


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
def test_no_content_makes_the_loader_fall_over(content):
    """Whatever is in the file: a configuration, or mistakes with positions."""
    assert all(re.match(r"driftd\.yaml:[0-9]+:[0-9]+: ", mistake) for mistake in mistakes_in(content))


_words = st.sampled_from(
    [
        "name",
        "url",
        "apps",
        "sources",
        "ref",
        "branch",
        "auth",
        "tokenFile",
        "web",
        "heal",
        "mode",
        "5m",
        "notify",
        "slack",
    ]
)
_trees = st.recursive(
    _words | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_words, _trees, max_size=5))
def test_no_shape_makes_the_loader_fall_over(tree):
    """A list where a mapping belongs, a number where a list does: each is a mistake with a position."""
    assert all(re.match(r"driftd\.yaml:1:[0-9]+: ", mistake) for mistake in mistakes_in(json.dumps(tree).encode()))
