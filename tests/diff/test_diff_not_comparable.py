"""What Git alone does not say is neither drift nor, where it stands for something else, in sync."""

from __future__ import annotations

import base64
import copy
from dataclasses import replace
from typing import Any

import pytest

from driftd.model.drift import Status, Verdict
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source, Undetermined
from tests.diff.objects import COMPARISON, JsonObject, changed_manually, deployed, owned, schema_of

CONFIG: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c", "namespace": "n", "labels": {"a": "b"}},
    "data": {"password": "random", "size": "1"},
}
SCHEMA = schema_of("v1", "ConfigMap")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n"


def verdict_on(declared: JsonObject, live: JsonObject | None, *undetermined: Undetermined) -> Verdict:
    manifest = Manifest.of(declared, Source("app.yaml", 1))
    return COMPARISON.verdict(
        replace(manifest, undetermined=undetermined), live, schema_of(declared["apiVersion"], declared["kind"])
    )


def live(**data: Any) -> JsonObject:
    """The object as its deployer has it, with other data (None: without that key)."""
    body = copy.deepcopy(CONFIG)
    body["data"] = {key: value for key, value in {**body["data"], **data}.items() if value is not None}
    return deployed(body, SCHEMA)


def test_a_value_that_each_rendering_makes_anew_is_no_drift() -> None:
    """It is shown as ignored; every other field is compared, and one that is gone is gone."""
    password = Undetermined(("data", "password"))
    result = verdict_on(CONFIG, live(password="another"), password)
    assert (result.status, result.fields) == (Status.IGNORED, ())
    assert [(format_path(field.path), field.undetermined) for field in result.ignored] == [("data.password", True)]
    result = verdict_on(CONFIG, live(password="another", size="2"), password)
    assert result.status is Status.DRIFTED
    assert [format_path(field.path) for field in result.fields] == ["data.size"]
    gone = verdict_on(CONFIG, live(password=None), password)
    assert [(format_path(field.path), str(field.change)) for field in gone.fields] == [("data.password", "removed")]
    assert verdict_on(CONFIG, None, password).status is Status.MISSING


def test_a_member_that_only_some_renderings_have_may_be_there_or_not() -> None:
    """As with an installation and an upgrade; other members count."""
    member = Undetermined(("data", "extra"), optional=True)
    optional = Undetermined(("data", "password"), optional=True)
    added = changed_manually(live(), owned("f:data", "f:extra"))
    added["data"]["extra"] = "1"
    assert verdict_on(CONFIG, added, member).status is Status.IGNORED
    assert verdict_on(CONFIG, live(password=None), optional).status is Status.IGNORED
    other = changed_manually(live(), owned("f:data", "f:other"))
    other["data"]["other"] = "1"
    assert verdict_on(CONFIG, other, member, optional).status is Status.DRIFTED
    assert verdict_on(CONFIG, other, Undetermined(("data",))).status is Status.IGNORED


def test_an_object_that_only_some_renderings_make_is_unknown_where_it_is_not_there() -> None:
    """Its name may be another one each time: creating it would never end."""
    itself = Undetermined((), optional=True)
    assert verdict_on(CONFIG, None, itself).status is Status.UNKNOWN
    assert verdict_on(CONFIG, live(), itself).status is Status.IN_SYNC
    assert verdict_on(CONFIG, live(size="2"), itself).status is Status.IGNORED


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (POINTER, "data.password: a Git LFS pointer in Git"),
        ("ENC[AES256_GCM,data:abc,iv:x,tag:y,type:str]", "data.password: encrypted with SOPS in Git"),
        ("<path:secret/data/db#password>", "data.password: a reference to a secret elsewhere in Git"),
        ("ref+vault://db#password", "data.password: a reference to a secret elsewhere in Git"),
    ],
)
def test_a_stand_in_is_unknown_unless_it_is_what_is_live(declared: str, says: str) -> None:
    """Its content is not in Git. A deployer that knows nothing of it deploys the stand-in itself."""
    body = copy.deepcopy(CONFIG)
    body["data"]["password"] = declared
    result = verdict_on(body, live())
    assert result.status is Status.UNKNOWN
    assert str(result.error).startswith(says)
    assert verdict_on(body, live(password=declared)).status is Status.IN_SYNC
    assert verdict_on(body, None).status is Status.UNKNOWN
    assert verdict_on(body, live(size="2")).status is Status.DRIFTED


def test_an_encrypted_value_of_a_secret_is_found_in_its_base64() -> None:
    """As a generator writes a file into it; no value is in the reason."""
    text = base64.b64encode(b"ENC[AES256_GCM,data:abc,iv:x]").decode()
    secret = {**copy.deepcopy(CONFIG), "kind": "Secret", "data": {"password": text}}
    actual = deployed(
        {**secret, "data": {"password": base64.b64encode(b"hunter2").decode()}}, schema_of("v1", "Secret")
    )
    result = verdict_on(secret, actual)
    assert result.status is Status.UNKNOWN
    assert "SOPS" in str(result.error)
    assert text not in str(result.error)
    strings = {**copy.deepcopy(CONFIG), "kind": "Secret", "stringData": {"password": "${DB_PASSWORD}"}}
    del strings["data"]
    assert "${DB_PASSWORD} is put in by its deployer" in str(verdict_on(strings, actual).error)


@pytest.mark.parametrize(
    ("declared", "substituted"),
    [("${REGION}", "north"), ("shop.${DOMAIN:=example.com}", "shop.example.org"), ("${A}-${B}", "1-2"), ("${A}", "")],
)
def test_a_variable_that_the_deployer_substituted_is_unknown_and_a_hand_on_it_is_drift(
    declared: str, substituted: str
) -> None:
    """Flux puts the value in when it applies; what else stands in the text is compared."""
    body = copy.deepcopy(CONFIG)
    body["data"]["password"] = declared
    result = verdict_on(body, live(password=substituted))
    assert result.status is Status.UNKNOWN
    assert "is put in by its deployer (as Flux does)" in str(result.error)
    by_hand = changed_manually(live(), owned("f:data", "f:password"))
    by_hand["data"]["password"] = substituted
    assert verdict_on(body, by_hand).status is Status.DRIFTED
    body["data"]["password"] = f"a {declared} b"
    assert verdict_on(body, live(password=substituted)).status is Status.DRIFTED


def test_a_variable_of_a_shell_that_is_live_as_it_stands_is_in_sync() -> None:
    """Most texts with `${…}` are scripts."""
    body = copy.deepcopy(CONFIG)
    body["data"]["password"] = "echo ${HOME}"
    assert verdict_on(body, live(password="echo ${HOME}")).status is Status.IN_SYNC


DEPLOYMENT: JsonObject = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "c", "namespace": "n"},
    "spec": {
        "selector": {"matchLabels": {"app": "c"}},
        "template": {
            "metadata": {"labels": {"app": "c"}},
            "spec": {
                "containers": [
                    {"name": "c", "image": "c:${TAG}", "args": ["--token=random", "--region=${REGION}", "-v"]}
                ]
            },
        },
    },
}
ARGS = ("spec", "template", "spec", "containers", 0, "args")


def edited_deployment(manager: str = "pipeline", **container: Any) -> JsonObject:
    """As its deployer has it, with random values of its own and its variables replaced; then edited by hand."""
    body = copy.deepcopy(DEPLOYMENT)
    own = body["spec"]["template"]["spec"]["containers"][0]
    own |= {"image": "c:7", "args": ["--token=another", "--region=north", "-v"]}
    actual = deployed(body, schema_of("apps/v1", "Deployment"), manager)
    edited = changed_manually(
        actual,
        owned("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"c"}', *(f"f:{k}" for k in container)),
    )
    edited["spec"]["template"]["spec"]["containers"][0] |= container
    return edited


def unsaid(verdict: Verdict) -> dict[str, bool]:
    return {
        format_path(field.path).rpartition(".")[2]: (field.undetermined or field.stand_in) for field in verdict.fields
    }


def test_a_list_with_a_random_value_in_it_is_not_said_as_a_whole() -> None:
    """Somebody added an argument: to write Git's list would be to write another token. Without the token it is said."""
    token = Undetermined((*ARGS, 0))
    edited = edited_deployment(args=["--token=another", "--region=${REGION}", "-v", "--debug"])
    assert unsaid(verdict_on(DEPLOYMENT, edited, token)) == {"args": True}
    assert unsaid(verdict_on(DEPLOYMENT, edited)) == {"args": False}
    edited = edited_deployment(args=["--token=another", "--region=${REGION}", "--debug"])
    assert unsaid(verdict_on(DEPLOYMENT, edited, token)) == {"args[2]": False}


def test_a_random_value_that_is_gone_is_not_said_by_git() -> None:
    """Put back, it would be another one; and so with all that it stands in."""
    password = Undetermined(("data", "password"))
    assert [one.undetermined for one in verdict_on(CONFIG, live(password=None), password).fields] == [True]
    emptied = copy.deepcopy(live())
    del emptied["data"]
    assert [one.undetermined for one in verdict_on(CONFIG, emptied, password).fields] == [True]
    assert [one.undetermined for one in verdict_on(CONFIG, live(size=None), password).fields] == [False]


def test_an_encrypted_value_that_is_gone_is_not_said_by_git() -> None:
    """Its deployer decrypts it: the text in Git is not what was there."""
    body = copy.deepcopy(CONFIG)
    body["data"]["password"] = "ENC[AES256_GCM,data:abc,iv:x]"
    assert [one.stand_in for one in verdict_on(body, live(password=None)).fields] == [True]
    secret = {**copy.deepcopy(CONFIG), "kind": "Secret", "data": {
        "password": base64.b64encode(b"ENC[AES256_GCM,data:abc,iv:x]").decode(), "size": "MQ=="}}  # fmt: skip
    actual = deployed({**secret, "data": {"size": "MQ=="}}, schema_of("v1", "Secret"))
    assert [one.stand_in for one in verdict_on(secret, actual).fields] == [True]


@pytest.mark.parametrize(
    ("manager", "container", "unsaid_fields"),
    [
        ("kustomize-controller", {"args": ["--token=random", "--debug"]}, {"args": True}),
        ("kustomize-controller", {"image": "c:hotfix"}, {"image": True}),
        ("pipeline", {"image": "registry/c@sha256:0"}, {"image": True}),
        ("pipeline", {"args": ["--token=random", "--region=north", "-v", "--debug"]}, {"args": True}),
        ("pipeline", {"args": ["--token=random", "--region=north", "--debug"]}, {"args[1]": True, "args[2]": False}),
        ("pipeline", {"args": ["--token=random", "--region=${REGION}", "--debug"]}, {"args[2]": False}),
        ("pipeline", {"args": ["--token=random", "--debug"]}, {"args": False}),
    ],
)
def test_a_variable_that_the_deployer_replaced_is_not_said_by_git(
    manager: str, container: dict[str, Any], unsaid_fields: dict[str, bool]
) -> None:
    """Written as it stands, no program would know what to do with it; what else differs beside it is said."""
    found = unsaid(verdict_on(DEPLOYMENT, edited_deployment(manager, **container)))
    assert {path: value for path, value in found.items() if path[:4] == next(iter(container))[:4]} == unsaid_fields
