"""A Kustomization of a part of a repository is judged like one of the repository itself."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.discovery.artifacts import deployed_from_repository
from tests.discovery.objects import kustomization

COMMIT = "a" * 40
ARTIFACT = {"kind": "ExternalArtifact", "name": "apps"}
COPIES = [
    {"from": "@monorepo/apps/base/**", "to": "@artifact/base/"},
    {"from": "@monorepo/apps/production/**", "to": "@artifact/production/"},
]


def generator(copies: list[dict[str, Any]], **artifact: Any) -> dict[str, Any]:
    made = {"name": "apps", "originRevision": "@monorepo", "copy": copies, **artifact}
    sources = [
        {"alias": "charts", "kind": "OCIRepository", "name": "charts"},
        {"alias": "monorepo", "kind": "GitRepository", "name": "shop"},
    ]
    metadata = {"name": "parts", "namespace": "flux-system"}
    return {"metadata": metadata, "spec": {"sources": sources, "artifacts": [{"name": "other"}, made]}}


def of_artifact(path: str) -> dict[str, Any]:
    body = kustomization(path, None, sourceRef=ARTIFACT)
    body["status"] = {
        "lastAppliedRevision": f"latest@sha256:{'e' * 64}",
        "lastAppliedOriginRevision": f"main@sha1:{COMMIT}",
    }
    return body


@pytest.mark.parametrize(
    ("path", "copies", "expected"),
    [
        ("./production", COPIES, "apps/production"),
        ("production", [{"from": "@monorepo/production/**", "to": "@artifact/production/"}], "production"),
        ("./configs", [{"from": "@monorepo/infrastructure/**", "to": "@artifact/"}], "infrastructure/configs"),
        ("./a", [{"from": "@monorepo/**", "to": "@artifact/", "strategy": "Overwrite"}], "a"),
    ],
)
def test_folders_of_one_repository_are_found_there(path: str, copies: list[dict[str, Any]], expected: str) -> None:
    """With the commit that the artifact was made from."""
    found = deployed_from_repository(of_artifact(path), [generator(copies)])
    assert found["spec"]["sourceRef"] == {"kind": "GitRepository", "name": "shop", "namespace": "flux-system"}
    assert (found["spec"]["path"], found["status"]["lastAppliedRevision"]) == (expected, f"main@sha1:{COMMIT}")


@pytest.mark.parametrize(
    "made",
    [
        generator([*COPIES, {"from": "@charts/web/**", "to": "@artifact/charts/"}]),
        generator([*COPIES, {"from": "@monorepo/shared/**", "to": "@artifact/production/shared/"}]),
        generator([{**COPIES[0], "exclude": ["*.md"]}]),
        generator([{**COPIES[0], "strategy": "Merge"}]),
        generator([{"from": "@monorepo/apps/*.yaml", "to": "@artifact/"}]),
        generator(COPIES, originRevision="@charts"),
        generator(COPIES, originRevision=""),
        generator(COPIES, name="not-it"),
        {**generator(COPIES), "metadata": {"name": "parts", "namespace": "elsewhere"}},
    ],
)
def test_what_is_more_than_that_stays_an_artifact(made: dict[str, Any]) -> None:
    """Of other sources, at other places to each other, or without a word of the commit."""
    body = of_artifact("./production")
    assert deployed_from_repository(body, [made]) is body


def test_a_kustomization_of_another_source_is_left_as_it_is() -> None:
    """Whatever generators there are."""
    body = kustomization("./production", COMMIT)
    assert deployed_from_repository(body, [generator(COPIES)]) is body
