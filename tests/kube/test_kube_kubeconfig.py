"""Kubeconfig files are merged and resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.kube.kubeconfig import default_files, load_context
from driftd.model.errors import ConfigError


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
