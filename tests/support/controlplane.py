"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager.

There is no scheduler and no node: `tests.support.kubelet` simulates both.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.certificates import Authority, KeyPair, service_account_keys
from tests.support.server_process import HOST, ServerFailed, ServerProcess, free_ports

ADMIN_GROUP = "system:masters"
_READY_WITHIN = 60.0
_POLL = 0.05
_TRIES = 3


class ControlPlane:
    """A separate cluster, with its data, certificates and logs in a folder that is removed by `stop`.

    `server` is the API server's address, which `restart_apiserver` keeps. `apiserver_flags` are added to the API
    server's flags. The servers end with the process that started them, however it ends.
    """

    def __init__(self, assets: Path, *, apiserver_flags: Sequence[str] = ()) -> None:
        self._assets = assets
        self._apiserver_flags = tuple(apiserver_flags)
        self._processes: dict[str, ServerProcess] = {}
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of its files and logs. Raises: RuntimeError: it is not running."""
        if self._folder is None:
            raise RuntimeError("The control plane is not running: call start() first.")
        return self._folder

    def start(self) -> Self:
        """Start everything; afterwards objects can be created in the namespace `default`.

        Raises: ServerFailed: a server ended or was not ready in time; the text has the end of its log.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._start()
            except ServerFailed as error:
                if "address already in use" not in str(error):  # another process has taken a port in the meantime
                    raise
        return self._start()

    def _start(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="driftd-controlplane-"))
        try:
            self._make_credentials()
            self._start_etcd()
            self.start_apiserver()
            self._start_controller_manager()
            self._wait(self._has_default_account, "kube-controller-manager")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all servers and remove the folder. Idempotent."""
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            process = self._processes.pop(name, None)
            if process is not None:
                process.stop(grace=0)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_apiserver(self) -> None:
        """Start the API server at its address and wait until it is ready.

        Raises: ServerFailed: it ended or was not ready in time.
        """
        self._run("kube-apiserver", *self._apiserver_arguments())
        self._wait(self._is_ready, "kube-apiserver")

    def stop_apiserver(self, grace: float = 2) -> None:
        """Stop the API server, gracefully for `grace` seconds; 0 simulates a power failure."""
        self._processes.pop("kube-apiserver").stop(grace)

    def restart_apiserver(self, grace: float = 2) -> None:
        """Stop it and start it again, at the same address and with the same data."""
        self.stop_apiserver(grace)
        self.start_apiserver()

    def kubeconfig(self) -> Path:
        """A kubeconfig of the cluster's administrator."""
        return self.kubeconfig_for("admin", (ADMIN_GROUP,))

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate of a user, whose permissions are defined by RBAC."""
        pair = self.credentials(user, groups)
        file = pair.certificate.with_suffix(".kubeconfig")
        if not file.exists():
            file.write_text(json.dumps(self._kubeconfig_document(user, pair), indent=2))
            file.chmod(0o600)
        return file

    def credentials(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A client certificate of a user."""
        digest = hashlib.sha256(json.dumps([user, *groups]).encode()).hexdigest()[:12]
        name = f"client-{digest}"
        pair = KeyPair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return pair if pair.key.exists() else self._authority.client(name, user, groups)

    @property
    def certificate_authority(self) -> Path:
        """The PEM file of the authority that signed the API server's certificate."""
        return self._authority.certificate

    def kubectl(
        self,
        *arguments: str | Path,
        input: str | None = None,  # noqa: A002 (subprocess's own name for it)
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator, without the configuration of the user.

        Raises: AssertionError: it failed and `check` is set; the text has its output.
        """
        done = subprocess.run(
            [self._assets / "kubectl", "--kubeconfig", self.kubeconfig(), *arguments],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder)},
        )
        if check and done.returncode != 0:
            shown = " ".join(map(str, arguments))
            raise AssertionError(f"kubectl {shown} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        return done

    def apiserver_metrics(self) -> list[Sample]:
        """All samples of the API server's metrics, such as `apiserver_request_total` by verb and resource."""
        text = self.get("/metrics")
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def get(self, path: str) -> str:
        """The API server's response to a GET by the administrator.

        Raises: OSError: no response. http.client.HTTPException: the status is not 200.
        """
        admin = self.credentials("admin", (ADMIN_GROUP,))
        context = ssl.create_default_context(cafile=str(self.certificate_authority))
        context.load_cert_chain(admin.certificate, admin.key)
        connection = http.client.HTTPSConnection(HOST, self._apiserver_port, timeout=10, context=context)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise http.client.HTTPException(f"GET {path}: {answer.status} {body[:500]}")
        return body

    def _make_credentials(self) -> None:
        self._etcd_port, self._etcd_peer_port, self._apiserver_port = free_ports(3)
        self.server = f"https://{HOST}:{self._apiserver_port}"
        self._authority = Authority(self.folder)
        self._serving = self._authority.server(
            "apiserver", (HOST, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1")
        )
        self._proxy = self._authority.client("front-proxy", "front-proxy-client")
        self._account_keys = service_account_keys(self.folder)

    def _start_etcd(self) -> None:
        client = f"http://{HOST}:{self._etcd_port}"
        peer = f"http://{HOST}:{self._etcd_peer_port}"
        self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=4294967296",
            "--log-level=warn",
        )

    def _apiserver_arguments(self) -> list[str]:
        return [
            f"--advertise-address={HOST}",
            f"--bind-address={HOST}",
            f"--secure-port={self._apiserver_port}",
            f"--etcd-servers=http://{HOST}:{self._etcd_port}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            f"--client-ca-file={self._authority.certificate}",
            f"--requestheader-client-ca-file={self._authority.certificate}",
            # both use the same authority: without a name, any client could act as the front proxy
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self._proxy.certificate}",
            f"--proxy-client-key-file={self._proxy.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._account_keys.certificate}",
            f"--service-account-signing-key-file={self._account_keys.key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none",
            *self._apiserver_flags,
        ]

    def _start_controller_manager(self) -> None:
        config = self.kubeconfig_for("system:kube-controller-manager")
        # the first would taint a node whose lease is not renewed, the second requires address ranges
        controllers = "*,-node-lifecycle-controller,-node-ipam-controller"
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={config}",
            f"--bind-address={HOST}",
            "--secure-port=0",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            f"--service-account-private-key-file={self._account_keys.key}",
            f"--root-ca-file={self._authority.certificate}",
            f"--controllers={controllers}",
        )

    def _run(self, program: str, *arguments: str) -> None:
        self._processes[program] = ServerProcess([self._assets / program, *arguments], self.folder / f"{program}.log")

    def _wait(self, done: Callable[[], bool], program: str) -> None:
        """Poll until `done`, while all servers run. Raises: ServerFailed: see `start`."""
        deadline = time.monotonic() + _READY_WITHIN
        while not done():
            for process in self._processes.values():
                process.check()
            if time.monotonic() > deadline:
                tail = self._processes[program].tail()
                raise ServerFailed(f"{program} was not ready within {_READY_WITHIN:.0f} s:\n{tail}")
            time.sleep(_POLL)

    def _is_ready(self) -> bool:
        return self._answers("/readyz")

    def _has_default_account(self) -> bool:
        """Whether the default service account exists, the last prerequisite of creating a pod."""
        return self._answers("/api/v1/namespaces/default/serviceaccounts/default")

    def _answers(self, path: str) -> bool:
        try:
            self.get(path)
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _kubeconfig_document(self, user: str, pair: KeyPair) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.server, "certificate-authority": str(self.certificate_authority)},
                }
            ],
            "users": [
                {"name": user, "user": {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}}
            ],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
