"""The sessions that the documents show, typed into a shell: with the real kubectl, on the embedded cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from git import Actor, Repo

from driftd.sandbox.server import Sandbox
from tests.docs.console import plays, run
from tests.docs.deployed import WORLDS
from tests.docs.sessions import SESSIONS

_MANIFESTS = {
    "deployment.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: web
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: nginx:1.25
          env:
            - {name: LOG_LEVEL, value: info}
""",
    "service.yaml": """\
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: web
spec:
  selector: {app: web}
  ports:
    - port: 80
""",
    "namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n",
}
_CONFIG = """\
sources:
  - {name: shop, url: "https://git.example.com/shop/deploy.git"}
apps:
  - {name: web, source: shop, path: apps/web}
"""
PAGES = [page for page in SESSIONS if page.name not in WORLDS]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with the manifests of the documents in `apps/web`, committed, and a configuration beside them."""
    folder = tmp_path / "deploy"
    repo = Repo.init(folder, initial_branch="main")
    (folder / "driftd.yaml").write_text(_CONFIG)
    (folder / "apps" / "web").mkdir(parents=True)
    for name, text in _MANIFESTS.items():
        (folder / "apps" / "web" / name).write_text(text)
    repo.git.add("--all")
    author = Actor("Ada Lovelace", "ada@example.com")
    repo.index.commit("Serve the shop", author=author, committer=author)
    repo.close()
    return folder


@pytest.fixture
async def environment(repository: Path, assets: Path, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """A shell's environment with `driftd` and `kubectl`, whose kubeconfig leads to a cluster with the manifests."""
    kubeconfig = tmp_path / "kubeconfig"
    found = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(assets), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "KUBECONFIG": str(kubeconfig),
        "LANG": "C.UTF-8",
        "COLUMNS": "120",
    }
    async with Sandbox().serve() as sandbox:
        sandbox.write_kubeconfig(kubeconfig)
        for name in ("namespace", "deployment", "service"):
            apply = f"kubectl apply --server-side --filename apps/web/{name}.yaml && echo applied"
            (printed,) = await run([apply], repository, found)
            assert printed.endswith("applied\n"), printed
        yield found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_a_session_goes_as_the_page_shows_it(page: Path, repository: Path, environment: dict[str, str]):
    """All blocks of a page, one after the other, in the folder of a checkout."""
    await plays(SESSIONS[page], repository, environment)
