"""Fetching by https and ssh from real servers: authentication, trust, and secrecy of credentials."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from driftd.config.secret import SecretFile
from driftd.git.mirror import Mirror
from driftd.git.source import BasicAuth, BearerAuth, GitSource, HeldFiles, Ref, RefKind, SshAuth, TokenAuth
from driftd.model.errors import GitError, SourceUnreachable
from driftd.model.secret import HeldSecret
from tests.support.certificates import Authority
from tests.support.gitserver import GitRepo, HttpsGitServer, SshGitServer, git_processes, silent_server

TOKEN = "tok-5ecret-0123456789"


def https_mirror(tmp_path: Path, server: HttpsGitServer, **changes: object) -> Mirror:
    settings = {"name": "shop", "url": server.url("shop"), "ca_file": server.ca_file, "timeout": 30.0} | changes
    return Mirror(GitSource(**settings), tmp_path / "mirror")  # type: ignore[arg-type]


def token(tmp_path: Path, text: str = TOKEN) -> TokenAuth:
    file = tmp_path / "token"
    file.write_text(f"{text}\n")
    return TokenAuth(SecretFile("key", file))


async def test_a_public_repository_is_fetched_by_https(tmp_path: Path, https: HttpsGitServer, repo: GitRepo) -> None:
    """From a server whose certificate the source's authority has signed."""
    tracked = https_mirror(tmp_path, https)
    assert (await tracked.fetch()).sha == repo.head
    repo.commit("Later")
    assert (await tracked.fetch()).sha == repo.head


async def test_a_token_lets_in_and_is_nowhere_on_disk(tmp_path: Path, https: HttpsGitServer, repo: GitRepo) -> None:
    """Every request has it; the mirror's folder never does."""
    https.logins = {"x-access-token": TOKEN}
    tracked = https_mirror(tmp_path, https, auth=token(tmp_path))
    assert (await tracked.fetch()).sha == repo.head
    assert {request.login for request in https.requests} == {("x-access-token", TOKEN)}
    encoded = https.requests[0].authorization.removeprefix("Basic ")  # type: ignore[union-attr]
    for file in (tmp_path / "mirror").rglob("*"):
        if file.is_file():
            assert TOKEN.encode() not in file.read_bytes()
            assert encoded.encode() not in file.read_bytes()


async def test_a_name_and_a_password_let_in(tmp_path: Path, https: HttpsGitServer, repo: GitRepo) -> None:
    """Also a password with a colon and letters of the world in it."""
    https.logins = {"ann": "pass:wörd"}
    (tmp_path / "user").write_text("ann\n")
    (tmp_path / "password").write_text("pass:wörd\n")
    auth = BasicAuth(SecretFile("key", tmp_path / "user"), SecretFile("key", tmp_path / "password"))
    assert (await https_mirror(tmp_path, https, auth=auth).fetch()).sha == repo.head


async def test_a_rotated_token_is_picked_up(tmp_path: Path, https: HttpsGitServer, repo: GitRepo) -> None:
    """The file is read at each fetch; the failure in between leaves what was fetched."""
    https.logins = {"x-access-token": TOKEN}
    tracked = https_mirror(tmp_path, https, auth=token(tmp_path))
    before = await tracked.fetch()
    https.logins = {"x-access-token": "another"}
    with pytest.raises(SourceUnreachable, match="auth"):
        await tracked.fetch()
    assert await tracked.resolve() == before
    token(tmp_path, "another")
    assert (await tracked.fetch()).sha == repo.head


@pytest.mark.parametrize("auth", ["wrong", None])
async def test_a_refused_login_is_an_error_without_the_secret(
    tmp_path: Path, https: HttpsGitServer, auth: str | None
) -> None:
    """The message names the source and the address, and what to check."""
    https.logins = {"x-access-token": TOKEN}
    tracked = https_mirror(tmp_path, https, auth=token(tmp_path, "wr0ng-5ecret") if auth else None)
    with pytest.raises(
        SourceUnreachable, match=r"source shop \(https://localhost:\d+/shop\).*check the login"
    ) as error:
        await tracked.fetch()
    assert "wr0ng-5ecret" not in _whole(error.value)


async def test_a_redirect_never_takes_the_token_along(
    tmp_path: Path, https: HttpsGitServer, authority: Authority
) -> None:
    """Not even if the first server accepted the token before it redirects. The message says what to do."""
    https.logins = {"x-access-token": TOKEN}
    with HttpsGitServer(https.folder, authority, {"x-access-token": TOKEN}) as other:
        https.redirect = other.url(host="127.0.0.1").rstrip("/")
        with pytest.raises(SourceUnreachable, match="another address") as error:
            await https_mirror(tmp_path, https, auth=token(tmp_path)).fetch()
        assert [request for request in other.requests if request.authorization] == []
    assert TOKEN not in _whole(error.value)


async def test_a_redirect_is_followed_where_there_is_no_token_to_lose(
    tmp_path: Path, https: HttpsGitServer, authority: Authority, repo: GitRepo
) -> None:
    """Public repositories move."""
    with HttpsGitServer(https.folder, authority) as other:
        https.redirect = other.url().rstrip("/")
        assert (await https_mirror(tmp_path, https).fetch()).sha == repo.head


async def test_a_server_that_nobody_vouches_for_is_refused(tmp_path: Path, https: HttpsGitServer) -> None:
    """And it never receives the token, even if the environment disables verification."""
    https.logins = {"x-access-token": TOKEN}
    tracked = https_mirror(tmp_path, https, ca_file=None, auth=token(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_SSL_NO_VERIFY", "1")
        with pytest.raises(SourceUnreachable, match="certificate"):
            await tracked.fetch()
    assert https.requests == []


async def test_the_authorities_of_the_machine_count_where_the_source_names_none(
    tmp_path: Path, https: HttpsGitServer, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Companies have their own, and set them for every Git at once. The source's own file comes first."""
    monkeypatch.setenv("GIT_SSL_CAINFO", str(https.ca_file))
    assert (await https_mirror(tmp_path, https, ca_file=None).fetch()).sha == repo.head
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "nope"))
    assert (await https_mirror(tmp_path, https).fetch()).sha == repo.head


@pytest.mark.parametrize("content", ["", "two\nlines\n"])
async def test_a_token_file_that_cannot_be_right_is_refused(
    tmp_path: Path, https: HttpsGitServer, content: str
) -> None:
    """An empty one, or one with a line break that would end the header. Nothing is sent."""
    (tmp_path / "token").write_text(content)
    tracked = https_mirror(tmp_path, https, auth=TokenAuth(SecretFile("key", tmp_path / "token")))
    with pytest.raises(GitError, match="the token"):
        await tracked.fetch()
    assert https.requests == []


async def test_a_missing_repository_is_unreachable(tmp_path: Path, https: HttpsGitServer) -> None:
    """The server's 404 comes with a hint."""
    with pytest.raises(SourceUnreachable, match=r"not found.*check the url"):
        await https_mirror(tmp_path, https, url=https.url("nope")).fetch()


@pytest.mark.parametrize("url", ["https://localhost:1/shop", "https://no-such-host.invalid/shop"])
async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path, https: HttpsGitServer, url: str) -> None:
    """Nothing listens, or the name means nothing."""
    with pytest.raises(SourceUnreachable, match="check the url"):
        await https_mirror(tmp_path, https, url=url).fetch()


async def test_a_key_lets_in_by_ssh(tmp_path: Path, ssh: SshGitServer, repo: GitRepo) -> None:
    """And blanks or percent signs in the files' names are no trouble."""
    folder = tmp_path / "100% my keys"
    folder.mkdir()
    key = folder / "key file"
    key.touch(mode=0o600)
    key.write_bytes(ssh.key_file.read_bytes())
    known = folder / "known hosts"
    known.write_bytes(ssh.known_hosts.read_bytes())
    tracked = Mirror(GitSource("shop", ssh.url("shop"), auth=SshAuth(key, known), timeout=30), tmp_path / "mirror")
    assert (await tracked.fetch()).sha == repo.head
    repo.commit("Later")
    assert (await tracked.fetch()).sha == repo.head
    assert ssh.commands == ["git-upload-pack '/shop'"] * len(ssh.commands)


async def test_a_key_that_is_held_in_memory_lets_in_and_is_nowhere_on_disk(
    tmp_path: Path, ssh: SshGitServer, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are the keys of servers; another server than those is refused."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    held = HeldFiles(ssh_key=ssh.key_file.read_text(), known_hosts=ssh.known_hosts.read_text())
    tracked = Mirror(GitSource("shop", ssh.url("shop"), held=held, timeout=30), tmp_path / "mirror")
    assert (await tracked.fetch()).sha == repo.head
    assert not list(folder.iterdir())
    grep = subprocess.run(["grep", "-r", "PRIVATE KEY", str(tmp_path / "mirror")], capture_output=True, check=False)  # noqa: ASYNC221
    assert grep.returncode == 1
    stranger = replace(tracked.source, held=replace(held, known_hosts="other.example.com ssh-ed25519 AAAA"))
    with pytest.raises(SourceUnreachable, match="Host key verification failed"):
        await Mirror(stranger, tmp_path / "other").fetch()


async def test_an_authority_that_is_held_in_memory_is_trusted(
    tmp_path: Path, https: HttpsGitServer, repo: GitRepo
) -> None:
    """And no other."""
    held = HeldFiles(ca=https.ca_file.read_text())
    assert (await https_mirror(tmp_path, https, ca_file=None, held=held).fetch()).sha == repo.head
    (tmp_path / "other").mkdir()
    held = HeldFiles(ca=Authority(tmp_path / "other").certificate.read_text())
    with pytest.raises(SourceUnreachable, match="certificate"):
        await https_mirror(tmp_path / "b", https, ca_file=None, held=held).fetch()


async def test_a_bearer_token_is_sent_as_it_is_and_why_there_is_none_is_told(
    tmp_path: Path, https: HttpsGitServer
) -> None:
    """The server of this test does not take it; what it was asked with is what counts."""
    https.logins = {"ann": TOKEN}
    auth = BearerAuth(HeldSecret(TOKEN))
    with pytest.raises(SourceUnreachable) as raised:
        await https_mirror(tmp_path, https, auth=auth, why_no_login="nobody gave driftd one").fetch()
    assert {request.authorization for request in https.requests} == {f"Bearer {TOKEN}"}
    assert TOKEN not in str(raised.value)
    assert "(nobody gave driftd one)" in str(raised.value)


async def test_a_stranger_is_not_let_in_by_ssh(tmp_path: Path, ssh: SshGitServer) -> None:
    """The message says what to check."""
    auth = SshAuth(ssh.stranger, ssh.known_hosts)
    with pytest.raises(SourceUnreachable, match=r"Permission denied.*check the login"):
        await Mirror(GitSource("shop", ssh.url("shop"), auth=auth, timeout=30), tmp_path / "mirror").fetch()


async def test_an_unknown_ssh_server_is_refused(tmp_path: Path, ssh: SshGitServer) -> None:
    """There is no prompt: nobody could answer it."""
    (tmp_path / "nobody").write_text("")
    auth = SshAuth(ssh.key_file, tmp_path / "nobody")
    with pytest.raises(SourceUnreachable, match=r"Host key verification failed.*known_hosts"):
        await Mirror(GitSource("shop", ssh.url("shop"), auth=auth, timeout=30), tmp_path / "mirror").fetch()


async def test_an_ssh_server_with_another_key_is_refused(tmp_path: Path, ssh: SshGitServer) -> None:
    """This may be an attack by a man in the middle."""
    other = tmp_path / "other"
    other.write_bytes(
        ssh.known_hosts.read_bytes().split(b" ")[0] + b" " + ssh.stranger.with_suffix(".pub").read_bytes()
    )
    auth = SshAuth(ssh.key_file, other)
    with pytest.raises(SourceUnreachable, match="known_hosts"):
        await Mirror(GitSource("shop", ssh.url("shop"), auth=auth, timeout=30), tmp_path / "mirror").fetch()


async def test_a_key_that_others_may_read_is_answered_with_what_to_do(tmp_path: Path, ssh: SshGitServer) -> None:
    """ssh would refuse it too, on a page of its own."""
    ssh.key_file.chmod(0o644)
    auth = SshAuth(ssh.key_file, ssh.known_hosts)
    with pytest.raises(GitError, match="chmod 600"):
        await Mirror(GitSource("shop", ssh.url("shop"), auth=auth), tmp_path / "mirror").fetch()


async def test_a_missing_key_or_known_hosts_file_is_named(tmp_path: Path, ssh: SshGitServer) -> None:
    """Before anybody is talked to."""
    for auth in (SshAuth(tmp_path / "nope", ssh.known_hosts), SshAuth(ssh.key_file, tmp_path / "nope")):
        with pytest.raises(GitError, match="nope: No such file"):
            await Mirror(GitSource("shop", ssh.url("shop"), auth=auth), tmp_path / "mirror").fetch()


@pytest.mark.parametrize("scheme", ["https", "ssh"])
async def test_a_server_that_never_answers_is_given_up_and_nothing_of_git_remains(tmp_path: Path, scheme: str) -> None:
    """Git, its helper and ssh are all ended."""
    with silent_server() as port:
        url = f"{scheme}://127.0.0.1:{port}/shop"
        tracked = Mirror(GitSource("shop", url, timeout=1.5), tmp_path / "mirror")
        before = time.monotonic()
        with pytest.raises(SourceUnreachable, match=r"took longer than 1\.5 s.*timeout|timed out"):
            await tracked.fetch()
        assert time.monotonic() - before < 6
        assert git_processes(str(tmp_path)) == []


@pytest.mark.parametrize("scheme", ["https", "ssh"])
async def test_a_cancelled_fetch_leaves_no_process(tmp_path: Path, scheme: str) -> None:
    """The daemon stops at once, not at the timeout. The list of processes never shows the token."""
    with silent_server() as port:
        auth = token(tmp_path) if scheme == "https" else None
        url = f"{scheme}://127.0.0.1:{port}/shop"
        tracked = Mirror(GitSource("shop", url, auth=auth, timeout=60), tmp_path / "mirror")
        fetching = asyncio.create_task(tracked.fetch())
        deadline = time.monotonic() + 20
        while not git_processes(f":{port}/shop"):
            assert time.monotonic() < deadline, "git was never started"
            await asyncio.sleep(0.05)
        shown = "".join(git_processes(f":{port}/shop"))
        assert TOKEN not in shown
        assert base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode() not in shown
        before = time.monotonic()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        assert time.monotonic() - before < 5
        assert git_processes(f":{port}/shop") == []


async def test_a_missing_git_or_ssh_is_named(tmp_path: Path, repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is missing, not with an errno."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        await Mirror(GitSource("shop", repo.url, allow_file=True), tmp_path / "mirror").fetch()
    with pytest.raises(GitError, match="ssh is not installed"):
        await Mirror(GitSource("shop", "git@git.example.com:shop"), tmp_path / "mirror").fetch()


async def test_neither_the_environment_nor_the_users_configuration_changes_what_git_does(
    tmp_path: Path, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """driftd may run inside of a Git hook, or for a user whose configuration rewrites every address."""
    marker = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[url "/nowhere/"]\n\tinsteadOf = /\n[core]\n\tfsmonitor = "touch {marker}"\n\tsshCommand = "touch {marker}"\n'
    )
    elsewhere = GitRepo(tmp_path / "elsewhere")
    elsewhere.commit("Elsewhere")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(elsewhere.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(elsewhere.folder))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(elsewhere.folder / ".git" / "objects"))
    monkeypatch.setenv("GIT_COMMON_DIR", str(elsewhere.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(elsewhere.folder / ".git" / "index"))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.sshcommand=touch {marker}'")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_ASKPASS", f"touch {marker}")
    tracked = Mirror(GitSource("shop", repo.url, Ref(RefKind.BRANCH, "main"), allow_file=True), tmp_path / "mirror")
    revision = await tracked.fetch()
    assert revision.subject == "Add the web app"
    tree = await tracked.tree(revision.sha, "apps/web")
    assert set(await asyncio.to_thread(tree.read, ["apps/web/deploy.yaml"])) == {"apps/web/deploy.yaml"}
    assert not marker.exists()
    assert not (tmp_path / "trace").exists()
    assert os.environ["GIT_DIR"] == str(elsewhere.folder / ".git")


def _whole(error: BaseException) -> str:
    """Everything that a traceback shows of an error and its causes."""
    chain, seen = [], error
    while seen is not None:
        chain.append(f"{seen!r} {seen} {vars(seen)}")
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return "\n".join(chain)
