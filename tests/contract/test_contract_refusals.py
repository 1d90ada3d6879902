# ruff: noqa: E501 - one request per line
"""Both API servers refuse the same requests with the same code, reason, message and causes."""

from __future__ import annotations

import json

import pytest

from tests.contract.client import APPLY, JSON_PATCH, MERGE, STRATEGIC, ApiServer, differences, normalise
from tests.contract.sequences import (
    CONFIG_MAP,
    CONFIG_MAPS,
    DEPLOYMENT,
    DEPLOYMENTS,
    SECRETS,
    SERVICE,
    SERVICES,
    WEB,
    WIDGETS,
    Step,
    apply,
    create,
    patch,
    put,
    with_,
)  # fmt: skip
from tests.contract.test_contract_sequences import define_widgets

_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings"
_BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "b"},
    "roleRef": {"kind": "Role", "name": "r"},
}
_STATEFUL = {**DEPLOYMENT, "kind": "StatefulSet"}
_WIDGET = {"apiVersion": "contract.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}


def _container(**fields: object) -> dict[str, object]:
    return with_(DEPLOYMENT, spec__template__spec__containers=[{"name": "web", "image": "x", **fields}])


REFUSED: dict[str, list[Step]] = {
    "no such object": [Step("GET", WEB), Step("DELETE", WEB), patch(WEB, {}), put(WEB, DEPLOYMENT)],
    "no such resource": [Step("GET", "/apis/apps/v1/namespaces/{ns}/nothings"), Step("GET", "/apis/none.example.com/v1/x")],
    "no such namespace": [Step("POST", "/api/v1/namespaces/contract-none/configmaps", CONFIG_MAP)],
    "it exists already": [create(CONFIG_MAPS, CONFIG_MAP), create(CONFIG_MAPS, CONFIG_MAP)],
    "a wrong namespace": [create(CONFIG_MAPS, with_(CONFIG_MAP, metadata__namespace="other"))],
    "a wrong name": [create(CONFIG_MAPS, CONFIG_MAP), put(f"{CONFIG_MAPS}/c", with_(CONFIG_MAP, metadata__name="d"))],
    "a wrong version": [create(DEPLOYMENTS, with_(DEPLOYMENT, apiVersion="apps/v1beta1"))],
    "a stale resource version": [
        create(CONFIG_MAPS, CONFIG_MAP),
        put(f"{CONFIG_MAPS}/c", with_(CONFIG_MAP, metadata__resourceVersion="1")),
        patch(f"{CONFIG_MAPS}/c", {"metadata": {"resourceVersion": "1"}, "data": {"z": "z"}}),
    ],
    "a bad name": [
        create(CONFIG_MAPS, with_(CONFIG_MAP, metadata__name="Not_Good")),
        create(SERVICES, with_(SERVICE, metadata__name="1web")),
        create(CONFIG_MAPS, with_(CONFIG_MAP, metadata__name=None)),
    ],
    "bad labels": [  # one at a time: Go iterates over a map in random order
        create(CONFIG_MAPS, with_(CONFIG_MAP, metadata__labels={"a b": "c"})),
        create(CONFIG_MAPS, with_(CONFIG_MAP, metadata__labels={"ok": "no good!"})),
    ],
    "missing fields": [
        create(DEPLOYMENTS, with_(DEPLOYMENT, spec__selector=None)),
        create(DEPLOYMENTS, with_(DEPLOYMENT, spec__template__spec__containers=[])),
        create(DEPLOYMENTS, with_(DEPLOYMENT, spec__template__spec__containers=[{"image": "x"}])),
        create(DEPLOYMENTS, with_(DEPLOYMENT, spec__template__spec__containers=[{"name": "x"}])),
        create(DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {}}),
        create(SERVICES, with_(SERVICE, spec__ports=[])),
    ],
    "values that make no sense": [
        create(DEPLOYMENTS, with_(DEPLOYMENT, spec__replicas=-1)),
        create(DEPLOYMENTS, with_(DEPLOYMENT, spec__template__metadata__labels={"app": "other"})),
        create(DEPLOYMENTS, _container(volumeMounts=[{"name": "none", "mountPath": "/x"}])),
        create(DEPLOYMENTS, _container(imagePullPolicy="Sometimes")),
        create(DEPLOYMENTS, _container(ports=[{"containerPort": 70000}])),
        create(SERVICES, with_(SERVICE, spec__type="Wonderful")),
        create(CONFIG_MAPS, with_(CONFIG_MAP, data={"a/b": "c"})),
    ],
    "fields that never change": [
        create(DEPLOYMENTS, DEPLOYMENT),
        patch(WEB, {"spec": {"selector": {"matchLabels": {"app": "new"}}, "template": {"metadata": {"labels": {"app": "new"}}}}}),
        create("/apis/apps/v1/namespaces/{ns}/statefulsets", with_(_STATEFUL, spec__serviceName="a")),
        patch("/apis/apps/v1/namespaces/{ns}/statefulsets/web", {"spec": {"serviceName": "b"}}),
        create(_BINDINGS, _BINDING),
        patch(f"{_BINDINGS}/b", {"roleRef": {"name": "other"}}),
        create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}),
        patch(f"{SECRETS}/s", {"type": "other"}),
        create(SERVICES, SERVICE),
        patch(f"{SERVICES}/web", {"spec": {"clusterIP": "10.96.77.77", "clusterIPs": ["10.96.77.77"]}}),
    ],
    "wrong types": [
        create(DEPLOYMENTS, with_(DEPLOYMENT, spec__replicas="3")),
        create(CONFIG_MAPS, with_(CONFIG_MAP, data={"a": 1})),
        create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "%%"}}),
        apply(WEB, with_(DEPLOYMENT, spec__replicas="3")),
        apply(WEB, with_(DEPLOYMENT, spec__template__spec__containers={"a": "b"})),
        apply(WEB, with_(DEPLOYMENT, spec__unknown=1)),
    ],
    "unknown fields": [
        Step("POST", f"{DEPLOYMENTS}?fieldValidation=Strict", with_(DEPLOYMENT, spec__foo=1, metadata__bar=2)),
        Step("POST", f"{DEPLOYMENTS}?fieldValidation=Warn&fieldManager=x", with_(DEPLOYMENT, spec__foo=1)),
    ],
    "list items twice": [
        apply(WEB, _container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])),
        create(DEPLOYMENTS, _container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])),
        apply(WEB, _container(env=[{"value": "1"}]), query="&force=true"),
    ],
    "options that do not fit": [
        Step("PATCH", WEB, DEPLOYMENT, APPLY),
        Step("PATCH", f"{WEB}?force=true", {}, MERGE),
        Step("POST", f"{CONFIG_MAPS}?dryRun=Some", CONFIG_MAP),
        Step("POST", f"{CONFIG_MAPS}?fieldValidation=Loose", CONFIG_MAP),
        Step("PATCH", WEB, {}, "application/json"),
    ],
    "patches that do not fit": [
        create(CONFIG_MAPS, CONFIG_MAP),
        patch(f"{CONFIG_MAPS}/c", [{"op": "test", "path": "/data/a", "value": "no"}], JSON_PATCH),
        patch(f"{CONFIG_MAPS}/c", [{"op": "remove", "path": "/data/none"}], JSON_PATCH),
    ],
    "apply with a wrong identity": [
        apply(WEB, with_(DEPLOYMENT, metadata__name="other")),
        apply(WEB, with_(DEPLOYMENT, metadata__managedFields=[{"manager": "x"}])),
        apply(WEB, with_(DEPLOYMENT, metadata__uid="nobody")),
    ],
    "custom objects that their schema refuses": [
        create(WIDGETS, {**_WIDGET, "spec": {}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 0}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": "1"}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 1, "color": "green"}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 1, "name": "A"}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 1, "name": "abcdefg"}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 1, "tags": ["a", "a"]}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 1, "parts": [{"count": 2}]}}),
        create(WIDGETS, {k: v for k, v in _WIDGET.items() if k != "spec"}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": None}}),
        create(WIDGETS, {**_WIDGET, "spec": {"size": 1, "port": True}}),
        create(WIDGETS, _WIDGET),
        patch(f"{WIDGETS}/w", {"spec": {"size": 5}}, STRATEGIC),
        apply(f"{WIDGETS}/w", {**_WIDGET, "spec": {"size": 1, "nope": 1}}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_the_sandbox_refuses_what_a_real_api_server_refuses(name: str, both: tuple[ApiServer, ApiServer]) -> None:
    """The answers to invalid requests are the same, word for word."""
    fake, real = both
    if "custom" in name:
        for server in both:
            await define_widgets(server)
    wrong: list[str] = []
    for number, step in enumerate(REFUSED[name]):
        expected = await real.request(step.method, step.path, step.body, step.media)
        actual = await fake.request(step.method, step.path, step.body, step.media)
        lines = differences(normalise(expected, real.namespace), normalise(actual, fake.namespace))
        wrong.extend(f"step {number} {step.method} {line}" for line in lines)
        if name == "unknown fields" and expected.headers.get("Warning") != actual.headers.get("Warning"):
            wrong.append(
                f"step {number}: warnings {json.dumps([expected.headers.get('Warning'), actual.headers.get('Warning')])}"
            )
    assert not wrong, "\n".join(wrong)
