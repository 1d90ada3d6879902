"""The folders that a pattern matches: those of the commit, and nothing of this machine."""

from __future__ import annotations

import hashlib

import pytest

from driftd.git.folder_pattern import FolderPattern
from driftd.git.folders import MAX_FOLDERS, Folder
from driftd.git.mirror import Mirror
from driftd.model.errors import GitError
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo


async def folders(mirror: Mirror, pattern: str, *exclude: str) -> dict[str, str | None]:
    """What is found by path, with what is wrong with it."""
    revision = await mirror.fetch()
    found = await mirror.folders(revision.sha, FolderPattern(pattern), [FolderPattern(one) for one in exclude])
    return {folder.path: folder.problem for folder in found}


async def test_a_wildcard_is_one_folder_name_or_a_part_of_it(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Files are none, nor are hidden folders, as in a shell; what is further down is not looked at."""
    repo.write({
        "apps/api/deploy.yaml": "a", "apps/api/deep/down.yaml": "a", "apps/readme.md": "r", "apps/.hidden/a": "h",
        "charts/web/Chart.yaml": "c", "apps/legacy-web/a": "l", "apps/ünì/a": "u",
    }).commit()  # fmt: skip
    tracked = mirror()
    assert list(await folders(tracked, "apps/*")) == ["apps/api", "apps/legacy-web", "apps/web", "apps/ünì"]
    assert list(await folders(tracked, "apps/*", "apps/legacy-*", "apps/ü*")) == ["apps/api", "apps/web"]
    assert list(await folders(tracked, "*/web")) == ["apps/web", "charts/web"]
    assert list(await folders(tracked, "*/web", "charts")) == ["apps/web"], "nor what is below"
    assert list(await folders(tracked, "*")) == ["apps", "charts"]
    assert list(await folders(tracked, "ap*s/w*b")) == ["apps/web"]
    assert list(await folders(tracked, "apps/*/deep")) == ["apps/api/deep"]
    assert await folders(tracked, "nope/*") == {}
    assert await folders(tracked, "apps/web/*") == {}, "these are files"


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_a_link_counts_as_the_folder_it_leads_to_unless_that_is_elsewhere(
    mirror: MirrorMaker, repo: GitRepo, object_format: str
) -> None:
    """What might have been meant as an app is told, and never followed out of the repository."""
    repo = GitRepo(repo.folder.parent / object_format, "main", f"--object-format={object_format}")
    repo.write({"apps/web/a": "a", "v2/web/deploy/a": "a"})
    repo.link("apps/same", "web").link("apps/out", "/etc").link("apps/up", "../../..").link("apps/nowhere", "nope")
    repo.link("apps/file", "web/a").link("current", "v2").link("apps/circle", "circle").commit()
    tracked = mirror(url=repo.url)
    assert await folders(tracked, "apps/*") == {
        "apps/circle": "it is a link that leads in a circle",
        "apps/nowhere": "it is a link that leads nowhere",
        "apps/out": "it is a link that leads out of the repository",
        "apps/same": None,
        "apps/up": "it is a link that leads out of the repository",
        "apps/web": None,
    }
    assert await folders(tracked, "current/*/deploy") == {"current/web/deploy": None}


async def test_a_submodule_and_a_name_that_is_none_are_told(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Whatever bytes somebody has put there: nothing is silently left out, and nothing below them is looked for."""
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"a")
    folder = repo.tree(("100644", "a", blob))
    bad = ["a\nb", "a\x1b[31m", "w*b", "{folder}", "a\\b", "\u202eweb", "\udcff"]
    entries = {name.encode(errors="surrogateescape"): (b"40000", bytes.fromhex(folder)) for name in bad}
    entries[b"sub"] = (b"160000", hashlib.sha1(b"", usedforsecurity=False).digest())
    ordered = sorted(entries, key=lambda name: name + b"/")
    data = b"".join(entries[name][0] + b" " + name + b"\0" + entries[name][1] for name in ordered)
    apps = repo.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=data)
    repo.commit_tree(("40000", "apps", apps))
    found = await folders(mirror(), "apps/*")
    assert found.pop("apps/sub") == "it is a submodule, which driftd does not fetch"
    assert found.keys() == {f"apps/{name}" for name in bad}
    unprintable = "its name has characters that cannot be printed"
    assert [found[f"apps/{name}"] for name in ("a\nb", "a\x1b[31m", "\u202eweb", "\udcff")] == [unprintable] * 4
    assert found["apps/w*b"] == "its name has a *, which means something else in a path"
    assert (await folders(mirror(), "apps/*/*")).keys() == {"apps/sub", *(f"apps/{name}" for name in bad)}


async def test_more_folders_than_anybody_has_apps_are_refused(mirror: MirrorMaker, repo: GitRepo) -> None:
    """With what to do."""
    folder = repo.git("rev-parse", "HEAD:apps/web")
    many = repo.tree(*(("40000", f"a{number:05}", folder) for number in range(MAX_FOLDERS + 1)))
    repo.commit_tree(("40000", "apps", many))
    with pytest.raises(GitError, match=r"apps/\* matches more than 2000 folders: narrow it, or exclude some"):
        await folders(mirror(), "apps/*")
    assert len(await folders(mirror(), "apps/*", "apps/a0000*")) == MAX_FOLDERS - 9


def test_a_pattern_says_what_each_wildcard_stands_for() -> None:
    """The first of two in one name stands for as much as it can."""
    assert FolderPattern("clusters/*/team-*").wildcards("clusters/eu/team-web") == ("eu", "web")
    assert FolderPattern("*-*").wildcards("a-b-c") == ("a-b", "c")
    assert FolderPattern("*").wildcards("a/b") is None
    assert FolderPattern("a.b/*").wildcards("axb/c") is None
    assert FolderPattern("*").wildcards("..") is None
    with pytest.raises(ValueError, match=r"\*\* is not supported: write one \* for each folder"):
        FolderPattern("apps/**")


async def test_what_is_found_has_no_order_of_chance(mirror: MirrorMaker, repo: GitRepo) -> None:
    """By path."""
    repo.write({"b/x/a": "a", "a-b/x/a": "a", "a/x/a": "a"}).commit()
    revision = await (tracked := mirror()).fetch()
    assert await tracked.folders(revision.sha, FolderPattern("*/x")) == [
        Folder("a-b/x"),
        Folder("a/x"),
        Folder("b/x"),
    ]
