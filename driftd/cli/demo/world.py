"""The files of the demo: a repository with a web shop's manifests, and driftd's configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from git import Actor, Repo

APP = "web"
NAMESPACE = "shop"
CHANNEL = "#drift"
GOOD_IMAGE = "registry.example.com/shop/web:1.4.0"
BAD_IMAGE = "registry.example.com/shop/web:1.5.0-broken"

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    app.kubernetes.io/name: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: web
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web
    spec:
      containers:
        - name: web
          image: {image}
          ports:
            - containerPort: 8080
          env:
            - name: LOG_LEVEL
              value: info
          resources:
            requests: {{cpu: 100m, memory: 128Mi}}
            limits: {{memory: 256Mi}}
          readinessProbe:
            httpGet: {{path: /ready, port: 8080}}
"""

_FILES = {
    "apps/web/namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n",
    "apps/web/deployment.yaml": _DEPLOYMENT.format(image=GOOD_IMAGE),
    "apps/web/service.yaml": """\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app.kubernetes.io/name: web
  ports:
    - port: 80
      targetPort: 8080
""",
    "apps/web/config.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
data:
  currency: EUR
""",
}


@dataclass(frozen=True, slots=True)
class DemoWorld:
    """The paths of one demo, all below `folder`."""

    folder: Path

    @property
    def repository(self) -> Path:
        return self.folder / "shop-deploy"

    @property
    def config(self) -> Path:
        return self.folder / "driftd.yaml"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.folder / "driftd.log"

    def make_repository(self) -> None:
        """Creates the repository with its first commit."""
        repo = Repo.init(self.repository, initial_branch="main")
        try:
            for name, content in _FILES.items():
                file = self.repository / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
            _commit(repo, "Deploy the shop's web tier", "Ada Lovelace")
        finally:
            repo.close()

    def commit_image(self, image: str, subject: str, author: str) -> str:
        """Commits another image. Returns the commit's hash."""
        repo = Repo(self.repository)
        try:
            (self.repository / "apps/web/deployment.yaml").write_text(_DEPLOYMENT.format(image=image))
            return _commit(repo, subject, author)
        finally:
            repo.close()

    @property
    def database(self) -> Path:
        return self.folder / "driftd.db"

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.database}"

    @property
    def token(self) -> Path:
        return self.folder / "slack-token"

    def write_token(self, token: str) -> None:
        self.token.touch(mode=0o600)
        self.token.write_text(token + "\n")

    def write_config(self, *, mode: str, slack: str) -> None:
        """Writes the daemon's configuration; JSON is YAML too."""
        document = {
            "apiVersion": "driftd.io/v1alpha1",
            "kind": "Config",
            "clusters": [{"name": "demo", "kubeconfig": str(self.kubeconfig)}],
            "sources": [
                {"name": "shop", "url": str(self.repository), "ref": {"branch": "main"}, "interval": "1s"}
            ],
            "apps": [
                {
                    "name": APP, "source": "shop", "path": "apps/web", "namespace": NAMESPACE, "mode": mode,
                    "settle": "2s", "deadline": "6s", **({"rollback": "auto"} if mode == "heal" else {}),
                }
            ],
            "notify": {"slack": {"tokenFile": str(self.token), "channel": CHANNEL, "apiUrl": slack}},
            "store": {"url": self.store_url},
            "web": {"listen": "127.0.0.1:0"},
            "cacheDir": str(self.folder / "mirrors"),
            "log": {"format": "text"},
        }  # fmt: skip
        partial = self.config.with_suffix(".new")
        partial.write_text(json.dumps(document, indent=2) + "\n")
        partial.replace(self.config)


def _commit(repo: Repo, subject: str, author: str) -> str:
    actor = Actor(author, f"{author.split(maxsplit=1)[0].lower()}@shop.example.com")
    repo.index.add(["apps"])
    return repo.index.commit(subject, author=actor, committer=actor, author_date=datetime.now(UTC)).hexsha
