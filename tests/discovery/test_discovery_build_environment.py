"""Argo CD's build environment, replaced as Argo CD replaces it."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.discovery.build_environment import BuildEnvironment
from driftd.discovery.deployed import Unsupported
from tests.discovery.objects import application

COMMIT = "0123456789abcdef" * 2 + "01234567"
SOURCE = {"repoURL": "https://git.example.com/a.git", "path": "apps/web", "targetRevision": "main"}


def environment(**metadata: Any) -> BuildEnvironment:
    body = application(SOURCE, COMMIT, namespace="shop")
    body["metadata"] |= metadata
    body["status"]["controllerNamespace"] = "argocd"
    return BuildEnvironment.of(body, SOURCE, COMMIT)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$ARGOCD_APP_NAME", "web"),
        ("${ARGOCD_APP_NAME}-x", "web-x"),
        ("$ARGOCD_APP_NAMESPACE/$ARGOCD_APP_PROJECT_NAME", "shop/default"),
        ("$ARGOCD_APP_REVISION", COMMIT),
        ("$ARGOCD_APP_REVISION_SHORT $ARGOCD_APP_REVISION_SHORT_8", "0123456 01234567"),
        ("$ARGOCD_APP_SOURCE_REPO_URL", "https://git.example.com/a.git"),
        ("$ARGOCD_APP_SOURCE_PATH@$ARGOCD_APP_SOURCE_TARGET_REVISION", "apps/web@main"),
        ("$NOBODY_KNOWS", ""),
        ("$$ARGOCD_APP_NAME", "$ARGOCD_APP_NAME"),
        ("${$}x", "$x"),
        ("a$", "a$"),
        ("a$ b", "a$ b"),
        ("a$/b", "a$/b"),
        ("$1", ""),
        ("${}x", "x"),
        ("${ARGOCD_APP_NAME", "ARGOCD_APP_NAME"),
        ("nothing", "nothing"),
    ],
)
def test_a_text_is_expanded_as_go_does_it(text: str, expanded: str) -> None:
    """Those that are not known are empty, and what is broken is left out."""
    assert environment().expand(text) == expanded


def test_an_application_in_another_namespace_than_its_argo_cd_has_that_in_its_name() -> None:
    """As Argo CD names it."""
    assert environment(namespace="team").expand("$ARGOCD_APP_NAME") == "team_web"


def test_what_only_plugins_have_is_said() -> None:
    """Instead of taking it for empty."""
    with pytest.raises(Unsupported, match="KUBE_VERSION"):
        environment().expand("$KUBE_VERSION")
