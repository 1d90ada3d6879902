"""Validation of sources: mistakes and attacks are refused before Git runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.config.secret import SecretEnv, SecretFile
from driftd.git.address import GitAddress, Transport
from driftd.git.source import (
    BasicAuth,
    GitSource,
    Ref,
    RefKind,
    SshAuth,
    TokenAuth,
)
from driftd.model.errors import GitError


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("https://git.example.com/shop/deploy.git", Transport.HTTPS),
        ("https://git.example.com:8443/shop", Transport.HTTPS),
        ("https://[::1]:8443/shop", Transport.HTTPS),
        ("ssh://git@git.example.com:2222/shop/deploy.git", Transport.SSH),
        ("git@git.example.com:shop/deploy.git", Transport.SSH),
        ("file:///srv/git/shop.git", Transport.FILE),
        ("/srv/git/shop.git", Transport.FILE),
        ("./shop", Transport.FILE),
    ],
)
def test_https_ssh_and_local_paths_are_addresses(url: str, transport: Transport) -> None:
    """These are the ways to a repository."""
    assert GitAddress.parse(url, allow_file=True).transport is transport


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=touch /tmp/x",
        "--upload-pack=touch /tmp/x",
        "ext::sh -c touch% /tmp/x",
        "ssh://-oProxyCommand=x/shop",
        "ssh://git@-oProxyCommand=x/shop",
        "ssh://-x@host/shop",
        "-x@host:shop",
        "git@host:-x",
        "git@-host:shop",
        "git://git.example.com/shop",
        "http://git.example.com/shop",
        "ftp://git.example.com/shop",
        "https://git.example.com/shop\n",
        "https://git.example.com/sh\x00op",
        "https:///shop",
        "https://git.example.com:port/shop",
        "https://git.exa mple.com/shop",
        "https://git.example.com/shop?private_token=s3cret",
        "file://server/share",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """Options, remote helpers, control characters, and protocols that anybody could listen to."""
    with pytest.raises(GitError) as error:
        GitSource("shop", url, allow_file=True)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://ann:s3cret@git.example.com/shop", "auth"),
        ("https://s3cret@git.example.com/shop", "auth"),
        ("ann:s3cret@git.example.com/shop", "login"),
        ("https:\\\\ann:s3cret@git.example.com/shop", "login"),
    ],
)
def test_a_url_with_credentials_is_refused_without_showing_them(url: str, says: str) -> None:
    """The message says where they belong."""
    with pytest.raises(GitError, match=says) as error:
        GitSource("shop", url)
    assert "s3cret" not in str(error.value)


def test_a_local_path_is_an_address_only_where_it_is_allowed() -> None:
    """A daemon must not be made to read repositories of its own machine."""
    with pytest.raises(GitError, match="not allowed"):
        GitSource("shop", "/srv/git/shop.git")


@pytest.mark.parametrize(
    "name",
    [
        "-x",
        "--upload-pack=x",
        "a b",
        "a..b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "[a",
        "a\\b",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a.",
        "@",
        "a@{1}",
        "",
        "a\nb",
        "a\x7f",
    ],
)
@pytest.mark.parametrize("kind", [RefKind.BRANCH, RefKind.TAG, RefKind.ANY])
def test_names_that_git_does_not_allow_are_refused(kind: RefKind, name: str) -> None:
    """No option, no revision expression and no second reference comes in by a name."""
    with pytest.raises(GitError, match="not a name"):
        Ref(kind, name)


@pytest.mark.parametrize("text", ["main", "deadbeeg", "abc", "-abcdef1", "DEADBEEF", "a" * 65])
def test_a_commit_is_a_hash(text: str) -> None:
    """Seven digits at least."""
    with pytest.raises(GitError, match="hash"):
        Ref(RefKind.COMMIT, text)


@given(st.text(max_size=30))
def test_no_address_that_is_accepted_can_be_an_option_or_another_protocol(text: str) -> None:
    """Whatever is typed: it is refused, or goes to Git as https, ssh or an absolute path."""
    try:
        address = GitAddress.parse(text, allow_file=True)
    except GitError:
        return
    assert not address.url.startswith("-")
    assert "::" not in address.url.split("/")[0] or "[" in address.url
    if address.transport is Transport.FILE:
        assert Path(address.url).is_absolute()


def test_a_login_must_fit_the_address(tmp_path: Path) -> None:
    """A key opens no https server, and a token no ssh server."""
    token = TokenAuth(SecretEnv("auth.tokenEnv", "TOKEN"))
    with pytest.raises(GitError, match="no use"):
        GitSource("shop", "git@git.example.com:shop", auth=token)
    with pytest.raises(GitError, match="no use"):
        GitSource("shop", "https://git.example.com/shop", auth=SshAuth())


def test_no_secret_is_in_what_a_source_shows_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source may end up in a log or a traceback."""
    monkeypatch.setenv("PASSWORD", "s3cret")
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    for auth in (
        TokenAuth(SecretFile("auth.tokenFile", file)),
        BasicAuth(SecretFile("auth.tokenFile", file), SecretEnv("auth.passwordEnv", "PASSWORD")),
    ):
        assert "s3cret" not in repr(GitSource("shop", "https://git.example.com/shop", auth=auth))
