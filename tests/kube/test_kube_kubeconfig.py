"""Kubeconfig files are merged and resolved."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.kube.kubeconfig import ClusterAccess, default_files, load_context
from driftd.kube.rest_client import Cluster
from driftd.model.errors import ConfigError, DriftdError


def write(file: Path, **parts: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **parts}))
    return file


def context(name: str, cluster: str, user: str, **more: str) -> dict[str, Any]:
    return {"name": name, "context": {"cluster": cluster, "user": user, **more}}


def test_several_files_are_merged_and_the_first_one_wins(tmp_path: Path) -> None:
    """Of two files that name a context, and the current one, the first is right, as for kubectl."""
    one = write(
        tmp_path / "one" / "config",
        **{"current-context": "prod"},
        contexts=[context("prod", "prod", "me", namespace="web")],
        clusters=[{"name": "prod", "cluster": {"server": "https://one", "certificate-authority": "ca.crt"}}],
    )
    two = write(
        tmp_path / "two" / "config",
        **{"current-context": "test"},
        contexts=[context("prod", "test", "me"), context("test", "test", "me")],
        clusters=[
            {"name": "prod", "cluster": {"server": "https://two"}},
            {"name": "test", "cluster": {"server": "https://test"}},
        ],
        users=[{"name": "me", "user": {"client-key": "key.pem"}}],
    )
    found = load_context([one, two], None)
    assert (found.name, found.namespace, found.cluster.fields["server"]) == ("prod", "web", "https://one")
    assert found.cluster.folder == one.parent
    assert found.user.folder == two.parent
    assert load_context([one, two], "test").cluster.fields["server"] == "https://test"


@pytest.mark.parametrize("section", ["contexts", "clusters", "users"])
def test_a_name_that_is_twice_in_one_file_is_an_error(tmp_path: Path, section: str) -> None:
    """As for kubectl: nobody can say which of two clusters is meant."""
    parts: dict[str, Any] = {
        "contexts": [context("prod", "prod", "me")],
        "clusters": [{"name": "prod", "cluster": {"server": "https://one"}}],
        "users": [{"name": "me", "user": {}}],
    }
    parts[section] *= 2
    with pytest.raises(ConfigError, match=rf"{section} has '\w+' twice: which one is meant\?$"):
        load_context([write(tmp_path / "config", **parts)], "prod")


def test_the_default_files_are_those_of_kubeconfig_else_the_one_at_home(tmp_path: Path) -> None:
    """$KUBECONFIG may list missing files; without it ~/.kube/config is used."""
    here = write(tmp_path / "here")
    home = write(tmp_path / ".kube" / "config")
    assert default_files({"KUBECONFIG": f"{tmp_path}/missing:{here}", "HOME": str(tmp_path)}) == [here]
    assert default_files({"HOME": str(tmp_path)}) == [home]


def test_the_error_for_a_missing_kubeconfig_names_the_default_file(tmp_path: Path) -> None:
    """And how to name another."""
    with pytest.raises(ConfigError, match=rf"{tmp_path}/\.kube/config.*--kubeconfig"):
        default_files({"HOME": str(tmp_path)})


def test_the_error_for_an_unknown_context_lists_the_existing_ones(tmp_path: Path) -> None:
    """A typo in --context shows the names to choose from."""
    file = write(tmp_path / "config", contexts=[context("prod", "c", "u"), context("dev", "c", "u")])
    with pytest.raises(ConfigError, match=r"no context 'pord'; it has: dev, prod"):
        load_context([file], "pord")
    with pytest.raises(ConfigError, match=r"no current-context; name one of: dev, prod"):
        load_context([file], None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty, or not a map"),
        ("- a\n", "is empty, or not a map"),
        ("a: [\ntoken: canary", "config:2:14 is not YAML"),
        ("a: \x00", "is not YAML"),
        ("contexts: {a: b}\ncurrent-context: a", "contexts is not a list"),
        ("contexts: [{context: {}}]\ncurrent-context: a", r"contexts\[0\] needs a name"),
        ("contexts: [{name: a, context: {cluster: b}}]\ncurrent-context: a", "names cluster 'b', which has no server"),
        (
            "contexts: [{name: a, context: {cluster: b, user: c}}]\ncurrent-context: a\n"
            "clusters: [{name: b, cluster: {server: 'https://x'}}]",
            "names user 'c', which is not there",
        ),
    ],
)
def test_the_error_for_a_broken_kubeconfig_names_the_file_and_the_mistake(
    tmp_path: Path, content: str, says: str
) -> None:
    """It quotes no content, which may be a token."""
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(ConfigError, match=says) as caught:
        load_context([file], None)
    assert str(file) in str(caught.value)
    assert "canary" not in str(caught.value)


def test_the_error_for_an_unreadable_kubeconfig_names_the_file(tmp_path: Path) -> None:
    """No traceback, but the file's name and the reason."""
    with pytest.raises(ConfigError, match=r"nowhere cannot be read: No such file"):
        load_context([tmp_path / "nowhere"], None)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4)
)
ANYTHING = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3)
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            *("server", "proxy-url", "tls-server-name", "certificate-authority-data", "insecure-skip-tls-verify"),
            *("disable-compression", "extensions", "token", "tokenFile", "username", "password", "as", "as-uid"),
            *("as-groups", "as-user-extra", "client-certificate", "client-key-data", "namespace", "cluster", "user"),
        ]
    ),
    ANYTHING | st.sampled_from(["https://localhost:99999", "https://[::1", "http://a\nb", "test", "https://:1"]),
)
EXEC = st.dictionaries(st.sampled_from(["command", "apiVersion", "args", "env", "installHint"]), ANYTHING)


async def error_of(file: Path) -> str | None:
    """The error of loading a configuration and preparing a connection, or None."""
    try:
        cluster = await Cluster.connect(ClusterAccess("test", file), environ={})
    except DriftdError as error:
        return str(error)
    await cluster.close()
    return None


@given(FIELDS, FIELDS, FIELDS, st.none() | EXEC, st.booleans())
@settings(max_examples=50)
def test_whatever_a_kubeconfig_holds_is_an_error_that_names_the_file(
    cluster: dict[str, Any], user: dict[str, Any], in_context: dict[str, Any], exec_: Any, valid: bool
) -> None:
    """Wrong types anywhere are one cluster's trouble, and no traceback."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "config")
        plugin = {"exec": {**exec_, "command": "/does/not/exist"}} if exec_ is not None else {}
        file.write_text(
            yaml.safe_dump(
                {
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {**in_context, "cluster": "test", "user": "test"}}],
                    "clusters": [{"name": "test", "cluster": {**cluster} | ({"server": "https://h"} if valid else {})}],
                    "users": [{"name": "test", "user": {**user, **plugin}}],
                }
            )
        )
        error = asyncio.run(error_of(file))
        assert error is None or str(file) in error or "kubeconfig user 'test'" in error


@given(ANYTHING)
def test_any_document_in_place_of_a_kubeconfig_is_an_error(document: Any) -> None:
    """A list, a number, a map of other things."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "config")
        file.write_text(yaml.safe_dump(document))
        assert str(file) in str(asyncio.run(error_of(file)))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 30_000,
        "a: " * 30_000,
        "- " * 30_000,
        "&a [*a]",
        "clusters: &a [*a]\ncontexts: *a",
        "contexts: [{name: 2026-99-99}]",
        "contexts: [{name: " + "9" * 5000 + "}]",
        "".join(
            f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}\n" if i else "m0: &m0 {k: v}\n" for i in range(9)
        ),
        "".join(f"m{i}: &m{i} [{', '.join([f'*m{i - 1}'] * 9)}]\n" if i else "m0: &m0 [v]\n" for i in range(9)),
        "\x00",
        "? {a: b}\n: c",
        "!!python/object/apply:os.system [ls]",
    ],
    ids=lambda text: text[:20],
)
def test_a_hostile_kubeconfig_is_an_error_at_once(tmp_path: Path, text: str) -> None:
    """Nested, cyclic, multiplied, or of what PyYAML has no exception of its own for."""
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        load_context([file], None)
