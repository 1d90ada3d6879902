"""The daemon through outages, on a control plane of its own: nothing missed, nothing notified twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.daemon.test_daemon_on_a_real_cluster import CONFIG, DEPLOYMENT
from tests.support.certificates import Authority
from tests.support.controlplane import ControlPlane
from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.server_process import free_ports

NAMESPACE = "shop"


@pytest.fixture
def cluster(assets: Path) -> Iterator[ControlPlane]:
    with ControlPlane(assets) as cluster:
        cluster.kubectl("create", "namespace", NAMESPACE)
        yield cluster


def test_outages_of_git_and_of_the_api_server_lose_and_double_no_notification(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """Edits before, between and after; a commit while Git is away; an edit while the API server restarts."""
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/deployment.yaml": DEPLOYMENT.replace("IMAGE", "shop/web:1"), "app/config.yaml": CONFIG})
    repository.commit("Deploy web")
    folder = tmp_path / "driftd"
    with WebhookReceiver() as hooks:
        config = app_config(
            repository=repository.url, kubeconfig=cluster.kubeconfig(), namespace=NAMESPACE, webhook=hooks,
            folder=folder, settle="1s", deadline="60s", mode="observe",
        )  # fmt: skip
        with Driftd(folder, config) as driftd:
            _kubectl(cluster, "apply", "--server-side", "-f", str(repository.folder / "app"))
            driftd.start()
            wait_until(lambda: _in_sync(driftd), "the first verdict")

            away = repository.folder.rename(tmp_path / "away")
            wait_until(lambda: hooks.events("source", "opened"), "the word that Git is away")
            _kubectl(cluster, "patch", "configmap", "web", "-p", '{"data":{"currency":"USD"}}')
            opened = wait_until(lambda: hooks.events("drift", "opened"), "drift while Git is away")[0]
            assert opened["resources"][0]["fields"][0]["by"]["manager"] == "kubectl-patch"

            away.rename(repository.folder)
            repository.write({"app/config.yaml": CONFIG.replace("EUR", "USD")}).commit("Accept the dollar")
            wait_until(lambda: hooks.events("source", "resolved"), "the word that Git is back")
            accepted = wait_until(lambda: hooks.events("drift", "resolved"), "the end of the drift")[0]
            assert (accepted["incident"], accepted["resolution"]) == (opened["incident"], "accepted")

            cluster.stop_apiserver()
            cluster.start_apiserver()
            _kubectl(cluster, "set", "image", "deployment/web", "web=shop/web:2")
            second = wait_until(lambda: hooks.events("drift", "opened")[1:], "the edit after the restart", 90)[0]
            assert second["resources"][0]["fields"][0]["live"] == "shop/web:2"
            _kubectl(cluster, "set", "image", "deployment/web", "web=shop/web:1")
            wait_until(lambda: len(hooks.events("drift", "resolved")) == 2, "the end of the second drift")
            assert driftd.stop() < 10

        events = [(body["incident"], body["event"]) for body in hooks.bodies]
        assert len(events) == len(set(events)), "something was notified twice"
        assert [body["event"] for body in hooks.events("drift")] == ["opened", "resolved"] * 2
        assert [body["event"] for body in hooks.events("source")] == ["opened", "resolved"]


def test_an_unreachable_api_server_makes_verdicts_unknown_and_never_in_sync(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """`check` exits with 2 and a reason; the daemon stays up and has it in its metrics."""
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/config.yaml": CONFIG}).commit("Deploy web")
    kubeconfig = cluster.kubeconfig()
    with Driftd(tmp_path / "driftd", {}) as driftd:
        cluster.stop_apiserver()
        arguments = ("check", "--repo", repository.url, "--path", "app", "-n", NAMESPACE)
        answer = driftd.run(*arguments, "--kubeconfig", str(kubeconfig), "-o", "json")
        assert answer.returncode == 2
        app: dict[str, Any] = json.loads(answer.stdout)["apps"][0]
        assert app["in_sync"] is False
        assert [resource["status"] for resource in app["resources"]] == ["unknown"]
        assert cluster.server in app["resources"][0]["error"]


def _kubectl(cluster: ControlPlane, *arguments: str) -> None:
    cluster.kubectl("-n", NAMESPACE, *arguments)


def _in_sync(driftd: Driftd) -> bool:
    return any(line["in_sync"] for line in driftd.lines("pass"))


def test_the_audit_log_of_the_api_server_names_the_user_behind_a_change(assets: Path, tmp_path: Path) -> None:
    """A removed key leaves no manager: the audit log has the user, the tool and the address."""
    port = free_ports(1)[0]
    (tmp_path / "certificates").mkdir()
    authority = Authority(tmp_path / "certificates")
    pair = authority.server("driftd", ["driftd.driftd.svc"])
    policy, webhook = tmp_path / "policy.yaml", tmp_path / "webhook.yaml"
    policy.write_text(json.dumps({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}],
    }))  # fmt: skip
    documented = _documented_kubeconfig()
    documented["clusters"][0]["cluster"] |= {
        "server": f"https://127.0.0.1:{port}/audit", "certificate-authority": str(authority.certificate),
    }  # fmt: skip
    documented["users"][0]["user"]["token"] = "the-audit-token"
    webhook.write_text(json.dumps(documented))
    flags = (
        f"--audit-policy-file={policy}", f"--audit-webhook-config-file={webhook}",
        "--audit-webhook-batch-max-wait=1s", "--audit-webhook-initial-backoff=1s",
    )  # fmt: skip
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/config.yaml": CONFIG}).commit("Deploy web")
    folder = tmp_path / "driftd"
    with ControlPlane(assets, apiserver_flags=flags) as cluster, WebhookReceiver() as hooks:
        cluster.kubectl("create", "namespace", NAMESPACE)
        config = app_config(
            repository=repository.url,
            kubeconfig=cluster.kubeconfig(),
            namespace=NAMESPACE,
            webhook=hooks,
            folder=folder,
        )
        config["web"] = {
            "listen": "127.0.0.1:0",
            "audit": {
                "listen": f"127.0.0.1:{port}", "tokenEnv": "DRIFTD_TEST_AUDIT_TOKEN",
                "certFile": str(pair.certificate), "keyFile": str(pair.key),
            },
        }  # fmt: skip
        with Driftd(folder, config, DRIFTD_TEST_AUDIT_TOKEN="the-audit-token") as driftd:
            _kubectl(cluster, "apply", "--server-side", "-f", str(repository.folder / "app"))
            driftd.start()
            wait_until(lambda: _in_sync(driftd), "the first verdict")
            grace = cluster.kubeconfig_for("grace", ["system:masters"])
            removal = '[{"op":"remove","path":"/data/currency"}]'
            arguments = ("patch", "configmap", "web", "--type=json", "-p", removal)
            _kubectl(cluster, "--kubeconfig", str(grace), *arguments)
            named = wait_until(lambda: _users(hooks), "the user's name", 60)
            assert named["user"] == "grace"
            assert named["manager"] == "kubectl-patch"
            assert (named["verb"], named["source"]) == ("patch", "127.0.0.1")


def _documented_kubeconfig() -> dict[str, Any]:
    """The one that docs/operations.md gives for the API server's audit webhook."""
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    blocks = (yaml.safe_load(block.partition("```")[0]) for block in page.split("```yaml\n")[1:])
    return next(block for block in blocks if "current-context" in block)


def _users(hooks: WebhookReceiver) -> dict[str, Any] | None:
    fields = [f for body in hooks.events("drift") for r in body["resources"] for f in r["fields"]]
    return next((field["by"] for field in fields if field["by"] and field["by"]["user"]), None)
