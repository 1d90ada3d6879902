"""What Helm has installed is kept in the cluster: it says what is declared."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from driftd.discovery.deployed import NotJudged, Unsupported
from driftd.discovery.helm import InstalledRelease, decode_release, installed
from tests.discovery.objects import helm_release, stored_release
from tests.render.repositories import config_map

MANIFEST = f"""---
# Source: shop/templates/a.yaml
{config_map("a")}
---
# Source: shop/charts/db/templates/b.yaml
{config_map("b", "other")}
"""


def apps(*stored: dict[str, Any], helm_releases: tuple[dict[str, Any], ...] = ()) -> dict[str, InstalledRelease]:
    found = list(installed([decode_release(each) for each in stored], helm_releases, "prod"))
    assert not [each for each in found if isinstance(each, NotJudged)]
    return {each.app.name: each for each in found if isinstance(each, InstalledRelease)}


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_a_release_declares_what_was_installed(kind: str) -> None:
    """Each object from its template; those without a namespace are in the release's."""
    found = apps(stored_release(MANIFEST, kind=kind))["release/web/web"]
    assert found.app.namespace == "web"
    assert not found.app.deploys
    assert found.desired.error is None
    assert [(m.ref.name, m.ref.namespace, m.source.file) for m in found.desired.manifests] == [
        ("a", None, "shop/templates/a.yaml"),
        ("b", "other", "shop/charts/db/templates/b.yaml"),
    ]
    assert found.desired.revision.subject == "shop-1.2.3, revision 3"
    assert found.desired.revision.time.isoformat() == "2026-02-03T04:05:06.123456+00:00"


def test_a_release_of_hooks_alone_declares_nothing_and_that_is_meant() -> None:
    """Helm keeps hooks apart."""
    assert apps(stored_release(""))["release/web/web"].desired.error is None


def test_what_flux_has_installed_is_named_by_its_helm_release() -> None:
    """By the revision that Flux says it has installed; other releases are named by themselves."""
    stored = stored_release(MANIFEST), stored_release(MANIFEST, name="other", version=1)
    found = apps(*stored, helm_releases=(helm_release("web", 3),))
    assert set(found) == {"helmrelease/flux-system/web", "release/web/other"}


def test_what_flux_ignores_is_ignored() -> None:
    """By the pointers and the objects of its drift detection."""
    ignored = [
        {"paths": ["/spec/replicas"], "target": {"kind": "Deployment", "name": "web"}},
        {"paths": ["/data/a~1b"]},
    ]
    body = helm_release("web", 3, driftDetection={"mode": "enabled", "ignore": ignored})
    first, second = apps(stored_release(MANIFEST), helm_releases=(body,))["helmrelease/flux-system/web"].ignore
    assert (first.paths, first.kinds, first.names) == (("spec.replicas",), ("Deployment",), ("web",))
    assert (second.paths, second.kinds) == (("data.a/b",), ())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (helm_release("web", None), "has not installed it yet"),
        (helm_release("web", 4), "is not there, or cannot be read"),
        (helm_release("web", 3, kubeConfig={"secretRef": {"name": "x"}}), "another cluster"),
        (
            helm_release("web", 3, driftDetection={"ignore": [{"paths": ["/a"], "target": {"kind": "(A|B)"}}]}),
            "by the expression '(A|B)'",
        ),
        (
            helm_release("web", 3, driftDetection={"ignore": [{"paths": ["/a"], "target": {"labelSelector": "a=b"}}]}),
            "by their labels",
        ),
        (helm_release("web", 3, driftDetection={"ignore": [{"paths": ["a"]}]}), "no JSON pointer"),
    ],
)
def test_what_cannot_be_judged_is_said_with_its_reason(body: dict[str, Any], says: str) -> None:
    """And never taken for in sync."""
    found = list(installed([decode_release(stored_release(MANIFEST))], [body], "prod"))
    [one] = [each for each in found if isinstance(each, NotJudged)]
    assert one.name == "helmrelease/flux-system/web"
    assert says in one.reason


def test_a_release_without_valid_yaml_is_an_error_of_its_app() -> None:
    """Which shows no value."""
    found = apps(stored_release("# Source: shop/templates/a.yaml\na: [hunter2\n"))["release/web/web"]
    assert found.desired.error is not None
    assert "hunter2" not in found.desired.error


@pytest.mark.parametrize(
    "content",
    [
        b"hunter2 is no base64",
        base64.b64encode(b"hunter2 is no JSON"),
        base64.b64encode(b"{}"),
        base64.b64encode(b"\x1f\x8bhunter2 is no gzip"),
        base64.b64encode(gzip.compress(b" " * (65 << 20))),
        base64.b64encode(b"[" * 100_000),
    ],
)
def test_what_is_no_release_is_said_without_a_word_of_it(content: bytes) -> None:
    """It may hold the values of Secrets; and it may be made to take all memory."""
    stored = stored_release("")
    stored["data"]["release"] = base64.b64encode(content).decode()
    with pytest.raises(Unsupported, match="what Helm has stored of it") as caught:
        decode_release(stored)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_release_shows_no_value_of_its_secrets() -> None:
    """Not in its representation either."""
    assert "hunter2" not in repr(decode_release(stored_release("password: hunter2")))
