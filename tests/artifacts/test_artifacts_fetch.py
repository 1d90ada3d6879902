"""Charts and artifacts come from real servers, are what they should be, and become commits."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from driftd.artifacts.mirror import artifact_mirror
from driftd.artifacts.registry import _is_of_registry
from driftd.artifacts.source import ArtifactKind, ArtifactSource, HttpsLogin
from driftd.git.mirrored_commits import MirroredCommits
from driftd.git.source import BasicAuth, HeldFiles
from driftd.model.errors import GitError, RefNotFound, SourceUnreachable
from driftd.model.secret import HeldSecret
from tests.artifacts.conftest import Charts
from tests.support.registry import FLUX_LAYER, running_file_server, running_registry

CANARY = "c4n4ry-5ecret-0123456789"
LOGIN = BasicAuth(HeldSecret("ann"), HeldSecret(CANARY))


@pytest.fixture
def clean(charts: Charts) -> Iterator[Charts]:
    charts.repository.requests.clear()
    yield charts
    charts.repository.sent_on.clear()
    charts.repository.login = ""


def chart(charts: Charts, version: str, **changes: object) -> ArtifactSource:
    login = HttpsLogin(held=HeldFiles(ca=charts.authority.certificate.read_text()))
    source = ArtifactSource(
        ArtifactKind.REPOSITORY_CHART, "web", charts.repository.url, "web", version, login=login, timeout=20
    )
    return replace(source, **changes)  # type: ignore[arg-type]


def in_registry(charts: Charts, name: str, applied: str, kind: ArtifactKind = ArtifactKind.REGISTRY) -> ArtifactSource:
    login = HttpsLogin(held=HeldFiles(ca=charts.authority.certificate.read_text()))
    return ArtifactSource(kind, "web", f"{charts.registry.host}/{name}", "web", applied, login=login, timeout=20)


async def content(mirror: MirroredCommits, sha: str, path: str) -> str:
    return (await mirror.tree(sha)).read([path])[path].decode()


def packed(files: dict[str, str], *links: tuple[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0+build.2"])
async def test_a_chart_of_a_helm_repository_is_a_commit_with_its_files(
    clean: Charts, tmp_path: Path, version: str
) -> None:
    """Its name and where it is from are what the commit says; it is fetched once."""
    mirror = artifact_mirror(chart(clean, version), tmp_path)
    revision = await mirror.fetch()
    assert (revision.ref, revision.author) == (f"web-{version}", "Helm")
    assert revision.subject.startswith(f"web-{version} from {clean.repository.url} (sha256:")
    assert yaml.safe_load(await content(mirror, revision.sha, "web/values.yaml")) == {"color": version}
    asked = len(clean.repository.requests)
    assert await mirror.fetch() == await artifact_mirror(chart(clean, version), tmp_path).fetch() == revision
    assert await mirror.revision(version) == await mirror.revision(revision.sha) or revision.sha
    assert len(clean.repository.requests) == asked
    other = await artifact_mirror(chart(clean, version), tmp_path / "other").fetch()
    assert other == revision, "the same chart is the same commit everywhere"


async def test_a_chart_of_a_registry_is_found_by_its_version(clean: Charts, tmp_path: Path) -> None:
    """A plus in a version is an underscore in a registry."""
    for version in ("1.0.0", "1.1.0+build.2"):
        source = in_registry(clean, "charts/web", version, ArtifactKind.REGISTRY_CHART)
        mirror = artifact_mirror(source, tmp_path)
        revision = await mirror.fetch()
        assert revision.ref == f"web-{version}"
        assert yaml.safe_load(await content(mirror, revision.sha, "web/values.yaml")) == {"color": version}
    with pytest.raises(RefNotFound, match=r"does not have 2\.0\.0"):
        await artifact_mirror(source.at("2.0.0"), tmp_path).fetch()


async def test_an_artifact_of_flux_is_fetched_by_its_digest(clean: Charts, tmp_path: Path) -> None:
    """Links in it are left out; the tag may be another one's by now."""
    archive = packed({"apps/web/a.yaml": "a: 1\n", "./b.yaml": "b: 1\n"}, ("apps/link", "/etc/passwd"))
    digest = clean.registry.push("shop/manifests", "latest", archive)
    clean.registry.push("shop/manifests", "latest", packed({"other.yaml": "c: 1\n"}))
    mirror = artifact_mirror(in_registry(clean, "shop/manifests", digest), tmp_path)
    revision = await mirror.fetch()
    assert [file.path for file in (await mirror.tree(revision.sha)).files()] == ["apps/web/a.yaml", "b.yaml"]
    assert await content(mirror, revision.sha, "b.yaml") == "b: 1\n"
    assert revision.time.isoformat() == "2026-02-03T04:05:06+00:00"
    layer = replace(in_registry(clean, "shop/manifests", digest), media_type="application/x")
    with pytest.raises(GitError, match="has no layer application/x"):
        await artifact_mirror(layer, tmp_path).fetch()
    layer = replace(in_registry(clean, "shop/manifests", digest), media_type=FLUX_LAYER)
    assert (await artifact_mirror(layer, tmp_path).fetch()).sha == revision.sha


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"../out.yaml": "a"}, "leads out"),
        ({"/etc/x": "a"}, "no path|leads out"),
        ({"a/.git/config": "a"}, "Git's own"),
        ({"a\nb": "a"}, "no path"),
    ],
)
async def test_no_path_of_an_archive_leads_out(clean: Charts, tmp_path: Path, files: dict[str, str], says: str) -> None:
    """Nor is any Git's own, or no path at all."""
    digest = clean.registry.push("shop/evil", "latest", packed(files))
    with pytest.raises(GitError, match=says):
        await artifact_mirror(in_registry(clean, "shop/evil", digest), tmp_path).fetch()


async def test_what_is_no_archive_or_no_chart_is_said(clean: Charts, tmp_path: Path) -> None:
    """And an archive that holds too much."""
    for data, says in (
        (b"no archive", "no archive that can be read"),
        (packed({"a.yaml": "x"} | {f"{n}.yaml": "" for n in range(20_001)}), "more than 20000 files"),
    ):
        digest = clean.registry.push("shop/bad", "latest", data)
        with pytest.raises(GitError, match=says):
            await artifact_mirror(in_registry(clean, "shop/bad", digest), tmp_path).fetch()
    clean.registry.push(
        "shop/web", "1.0.0", packed({"web/README": "x"}), "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    )
    with pytest.raises(GitError, match="holds no chart"):
        await artifact_mirror(in_registry(clean, "shop/web", "1.0.0", ArtifactKind.REGISTRY_CHART), tmp_path).fetch()


async def test_a_chart_that_is_not_what_the_index_says_is_refused(clean: Charts, tmp_path: Path) -> None:
    """By the digest in the index."""
    archive = clean.archives / "web-1.0.0.tgz"
    before = archive.read_bytes()
    try:
        archive.write_bytes(before + b"\0")
        with pytest.raises(GitError, match="is not what the index"):
            await artifact_mirror(chart(clean, "1.0.0"), tmp_path).fetch()
    finally:
        archive.write_bytes(before)


async def test_a_version_or_a_server_that_is_not_there_is_said(clean: Charts, tmp_path: Path) -> None:
    """What the server says is told, and no traceback."""
    with pytest.raises(RefNotFound, match=r"does not have version 9\.9\.9"):
        await artifact_mirror(chart(clean, "9.9.9"), tmp_path).fetch()
    with pytest.raises(SourceUnreachable, match="answers 404"):
        await artifact_mirror(chart(clean, "1", url=f"{clean.repository.url}/nothing"), tmp_path).fetch()
    with pytest.raises(SourceUnreachable, match="cannot be reached"):
        await artifact_mirror(chart(clean, "1", url="https://localhost:1"), tmp_path).fetch()
    with pytest.raises(SourceUnreachable, match="certificate is not trusted"):
        await artifact_mirror(chart(clean, "1", login=HttpsLogin()), tmp_path).fetch()
    (clean.archives / "broken").mkdir()
    (clean.archives / "broken" / "index.yaml").write_text("entries: [}")
    with pytest.raises(GitError, match="index of the repository cannot be read"):
        await artifact_mirror(chart(clean, "1", url=f"{clean.repository.url}/broken"), tmp_path).fetch()


async def test_a_login_goes_to_its_own_server_only(clean: Charts, tmp_path: Path) -> None:
    """Where that sends on to another one, or its index names one, the other one is not shown who asks."""
    at = clean.repository.url.replace("localhost", "127.0.0.1")
    clean.repository.login = f"ann:{CANARY}"
    login = HttpsLogin(LOGIN, HeldFiles(ca=clean.authority.certificate.read_text()), why_none="ask Ann")
    assert (await artifact_mirror(chart(clean, "1.0.0", login=login), tmp_path).fetch()).ref == "web-1.0.0"
    clean.repository.sent_on["/web-1.1.0+build.2.tgz"] = f"{at}/elsewhere.tgz"
    clean.repository.requests.clear()
    with pytest.raises(SourceUnreachable, match=r"answers 401 \(ask Ann\)") as raised:
        await artifact_mirror(chart(clean, "1.1.0+build.2", login=login), tmp_path).fetch()
    assert CANARY not in str(raised.value)
    assert clean.repository.requests[-1] == ("/elsewhere.tgz", None)
    clean.repository.sent_on["/web-1.1.0+build.2.tgz"] = "http://localhost:1/web.tgz"
    with pytest.raises(SourceUnreachable, match="not https"):
        await artifact_mirror(chart(clean, "1.1.0+build.2", login=login), tmp_path).fetch()


async def test_a_registry_that_asks_for_a_login_gets_it(clean: Charts, tmp_path: Path) -> None:
    """It is nowhere on disk, and without it the reason is told."""
    with running_registry(clean.authority, f"ann:{CANARY}") as private:
        digest = private.push("shop/manifests", "latest", packed({"a.yaml": "a: 1\n"}))
        source = replace(in_registry(clean, "shop/manifests", digest), url=f"{private.host}/shop/manifests")
        with pytest.raises(SourceUnreachable, match="answers 401"):
            await artifact_mirror(source, tmp_path).fetch()
        known = replace(source, login=replace(source.login, auth=LOGIN))
        mirror = artifact_mirror(known, tmp_path)
        assert await content(mirror, (await mirror.fetch()).sha, "a.yaml") == "a: 1\n"
    assert CANARY not in repr(known)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]  # noqa: ASYNC240


async def test_a_token_is_had_with_the_login_from_the_registry_s_own_domain_only(
    charts: Charts, tmp_path: Path
) -> None:
    """And the token is sent to the registry alone, not to where it sends on to for a layer."""
    archive = packed({"a.yaml": "a: 1\n"})
    layer = f"sha256:{hashlib.sha256(archive).hexdigest()}"
    manifest = json.dumps({"layers": [{"mediaType": FLUX_LAYER, "digest": layer}]}).encode()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    folder = tmp_path / "served"
    for name, data in ((f"manifests/{digest}", manifest), (f"blobs/{layer}", archive)):
        file = folder / "v2" / "shop" / "web" / name.replace(":", "_")
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
    login = HttpsLogin(LOGIN, HeldFiles(ca=charts.authority.certificate.read_text()))
    with running_file_server(folder, charts.authority) as server:
        server.login, server.realm = f"ann:{CANARY}", f"{server.url}/token"
        address = server.url.removeprefix("https://")
        source = ArtifactSource(ArtifactKind.REGISTRY, "web", f"{address}/shop/web", applied=digest, login=login)
        mirror = artifact_mirror(source, tmp_path / "cache")
        assert await content(mirror, (await mirror.fetch()).sha, "a.yaml") == "a: 1\n"
        asked = [path for path, _ in server.requests if path.startswith("/token")]
        assert asked == ["/token?scope=repository:shop/web:pull&service=registry"]

        server.requests.clear()
        server.realm = server.realm.replace("localhost", "127.0.0.1")
        with pytest.raises(SourceUnreachable, match="answers 403"):
            await artifact_mirror(source, tmp_path / "other").fetch()
        assert {authorization for _, authorization in server.requests} == {None}


@pytest.mark.parametrize(
    ("realm", "host", "same"),
    [
        ("https://auth.docker.io/token", "registry-1.docker.io", True),
        ("https://gitlab.com/jwt/auth", "registry.gitlab.com", True),
        ("https://ghcr.io/token", "ghcr.io", True),
        ("https://ghcr.io.evil.example/token", "ghcr.io", False),
        ("https://localhost:2/token", "localhost:1", False),
        ("https://10.0.0.1/token", "10.9.0.1", False),
        ("https://io/token", "ghcr.io", False),
    ],
)
def test_a_server_of_the_same_domain_is_one_of_the_registry(realm: str, host: str, same: bool) -> None:
    """And no server whose name merely begins so."""
    assert _is_of_registry(realm, host) is same


@pytest.mark.parametrize(
    ("kind", "url", "name"),
    [
        (ArtifactKind.REPOSITORY_CHART, "http://charts.example.com", "web"),
        (ArtifactKind.REPOSITORY_CHART, f"https://ann:{CANARY}@charts.example.com", "web"),
        (ArtifactKind.REPOSITORY_CHART, "file:///etc", "web"),
        (ArtifactKind.REPOSITORY_CHART, "https://charts.example.com", "../web"),
        (ArtifactKind.REGISTRY, "registry.example.com@evil.example/x", ""),
        (ArtifactKind.REGISTRY, "registry.example.com/../x", ""),
        (ArtifactKind.REGISTRY, "registry.example.com/x?y", ""),
        (ArtifactKind.REGISTRY, "registry.example.com", ""),
    ],
)
def test_an_address_that_is_not_allowed_is_refused_unquoted(kind: ArtifactKind, url: str, name: str) -> None:
    """It may hold a login."""
    with pytest.raises(GitError) as raised:
        ArtifactSource(kind, "web", url, name)
    assert CANARY not in str(raised.value)
