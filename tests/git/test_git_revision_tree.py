"""The files of a revision: all of them, only them, and nothing of this machine."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from driftd.git.mirror import Mirror
from driftd.git.revision_tree import RevisionTree
from driftd.git.runner import GitRunner
from driftd.model.errors import GitError, PathNotFound
from driftd.process.limits import ResourceLimits
from tests.git.conftest import MirrorMaker
from tests.support.gitserver import GitRepo


async def tree_of(mirror: MirrorMaker, path: str = "") -> RevisionTree:
    tracked: Mirror = mirror()
    return await tracked.tree((await tracked.fetch()).sha, path)


async def test_the_files_of_an_app_are_those_of_its_folder(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Recursively and in order, with their blobs and modes."""
    repo.write({"apps/web/a/b.yaml": "b", "apps/web/a.yaml": "a", "apps/webber/c.yaml": "c", "apps/web/ü 1.yaml": "u"})
    repo.commit()
    tree = await tree_of(mirror, "apps/web")
    files = tree.files()
    names = ["apps/web/a.yaml", "apps/web/a/b.yaml", "apps/web/deploy.yaml", "apps/web/ü 1.yaml"]
    assert [file.path for file in files] == names
    assert files[0].blob == repo.git("rev-parse", "HEAD:apps/web/a.yaml")
    assert (files[0].mode, files[0].is_symlink) == (0o100644, False)
    assert [file.path for file in tree.files("apps/webber")] == ["apps/webber/c.yaml"]
    assert len(tree.files("")) == 5
    assert tree.read(names)["apps/web/ü 1.yaml"] == b"u"


async def test_an_app_may_be_one_file(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Then that is all of it."""
    tree = await tree_of(mirror, "apps/web/deploy.yaml")
    assert [file.path for file in tree.files()] == ["apps/web/deploy.yaml"]
    assert tree.oid == repo.git("rev-parse", "HEAD:apps/web/deploy.yaml")


@pytest.mark.parametrize("path", ["", ".", "./", "apps/..", "apps/web/../.."])
async def test_the_root_has_many_names(mirror: MirrorMaker, repo: GitRepo, path: str) -> None:
    """And one meaning."""
    tree = await tree_of(mirror, path)
    assert (tree.path, tree.oid) == ("", repo.git("rev-parse", "HEAD^{tree}"))


@pytest.mark.parametrize("path", ["nope", "apps/nope", "apps/web/deploy.yaml/x", "*", ":/", ":(top)apps"])
async def test_a_path_that_is_not_there_is_not_found(mirror: MirrorMaker, path: str) -> None:
    """Nor is a pattern a path."""
    with pytest.raises(PathNotFound, match="no "):
        await tree_of(mirror, path)


@pytest.mark.parametrize("path", ["/etc", "..", "../x", "apps/../../x", "-x", "--help", "a\nb", "a\0b"])
async def test_a_path_that_leads_out_or_is_an_option_is_refused(mirror: MirrorMaker, path: str) -> None:
    """Wherever a path is taken."""
    tracked: Mirror = mirror()
    sha = (await tracked.fetch()).sha
    for call in (tracked.tree(sha, path), tracked.blame(sha, {path: [1]}), tracked.log(sha, [path], 1)):
        with pytest.raises(PathNotFound):
            await call


async def test_the_same_content_has_the_same_oid_whatever_else_changed(mirror: MirrorMaker, repo: GitRepo) -> None:
    """So that nothing is rendered twice."""
    before = await tree_of(mirror, "apps/web")
    repo.write({"apps/other/x.yaml": "x"}).commit()
    same = await tree_of(mirror, "apps/web")
    assert (before.sha != same.sha, before.oid == same.oid) == (True, True)
    repo.write({"apps/web/deploy.yaml": "replicas: 4"}).commit()
    assert (await tree_of(mirror, "apps/web")).oid != before.oid


async def test_links_inside_the_repository_are_followed(mirror: MirrorMaker, repo: GitRepo) -> None:
    """To files, through folders, and as the app's own folder; and what they lead to counts for the oid."""
    repo.write({"base/x.yaml": "x: 1\n", "base/deep/y.yaml": "y: 1\n"})
    repo.link("apps/web/x.yaml", "../../base/x.yaml").link("apps/web/deep", "../../base/deep").link("apps/alias", "web")
    repo.commit()
    tree = await tree_of(mirror, "apps/alias")
    assert tree.path == "apps/web"
    files = {file.path: file for file in tree.files()}
    assert set(files) == {"apps/web/deploy.yaml", "apps/web/x.yaml", "apps/web/deep"}
    link = files["apps/web/x.yaml"]
    assert (link.is_symlink, link.blob) == (True, repo.git("rev-parse", "HEAD:base/x.yaml"))
    assert tree.read(["apps/web/x.yaml", "apps/alias/deep/y.yaml"]) == {
        "apps/web/x.yaml": b"x: 1\n",
        "apps/alias/deep/y.yaml": b"y: 1\n",
    }
    repo.write({"base/x.yaml": "x: 2\n"}).commit()
    assert (await tree_of(mirror, "apps/web")).oid != tree.oid


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "leads out"),
        ("../../../../../../etc/passwd", "leads out"),
        ("../../../shop/apps/web/deploy.yaml", "leads out"),
        ("nowhere.yaml", "leads nowhere"),
        ("evil.yaml", "circle"),
        ("../web", "a folder"),
        ("deploy.yaml/x", "no folder|no "),
    ],
)
async def test_other_links_are_listed_but_never_followed(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path, target: str, why: str
) -> None:
    """Reading one is an error that says why; an export leaves it out."""
    repo.link("apps/web/evil.yaml", target).commit()
    tree = await tree_of(mirror, "apps/web")
    listed = next(file for file in tree.files() if file.path == "apps/web/evil.yaml")
    assert listed.is_symlink
    with pytest.raises(PathNotFound, match=why):
        tree.read(["apps/web/deploy.yaml", "apps/web/evil.yaml"])
    tree.export(tmp_path / "export")
    assert (tmp_path / "export/apps/web/deploy.yaml").is_file()
    if why != "a folder":
        assert "evil.yaml" not in {file.name for file in (tmp_path / "export/apps/web").iterdir()}
    for file in (tmp_path / "export").rglob("*"):
        assert file.resolve().is_relative_to((tmp_path / "export").resolve())


async def test_submodules_and_links_to_no_file_are_told(mirror: MirrorMaker, repo: GitRepo) -> None:
    """A listing of files passes over them; whoever reads a folder has to know that there is more."""
    repo.write({"base/x.yaml": "x"}).link("apps/web/more", "../../base").link("apps/web/file", "deploy.yaml")
    repo.link("apps/web/nowhere", "missing").link("apps/web/out", "../../../..").commit()
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},apps/web/vendor")
    repo.git("commit", "--quiet", "-m", "Add a submodule")
    tree = await tree_of(mirror, "apps/web")
    expected = {
        "apps/web/vendor": "a submodule, which driftd does not fetch",
        "apps/web/more": "a link to a folder",
        "apps/web/nowhere": "a link that leads nowhere",
        "apps/web/out": "a link that leads out of the repository",
    }
    assert tree.unreadable() == tree.without_listing().unreadable() == expected
    assert tree.unreadable("base") == {}


async def test_an_app_folder_that_is_a_link_out_is_refused(mirror: MirrorMaker, repo: GitRepo) -> None:
    """As a whole, and on the way."""
    repo.link("apps/out", "/etc").link("apps/up", "../..").link("apps/loop", "loop").commit()
    for path in ("apps/out", "apps/out/ssl", "apps/up", "apps/up/x", "apps/loop"):
        with pytest.raises(PathNotFound, match=r"leads out|circle"):
            await tree_of(mirror, path)


async def test_a_file_that_is_not_there_fails_the_batch(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The error names it. A partial result would look complete."""
    repo.write({"a": "1", "a missing": "2", "a blob 3": "3"}).commit()
    tree = await tree_of(mirror)
    assert tree.read(["a", "a missing", "a blob 3"]) == {"a": b"1", "a missing": b"2", "a blob 3": b"3"}
    for name in ("b missing", "apps/web/nope.yaml", "apps", "../etc/passwd", "/etc/passwd"):
        with pytest.raises(PathNotFound):
            tree.read(["apps/web/deploy.yaml", name])
    assert tree.read([]) == {}


async def test_files_with_the_same_content_all_come(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Whether they were listed first or not, and by any spelling of their paths."""
    repo.write({"a.yaml": "same", "b.yaml": "same", "line\nbreak": "same", "line\nbreak 2": "same"})
    repo.link("c.yaml", "a.yaml").commit()
    tree = await tree_of(mirror)
    names = ["a.yaml", "b.yaml", "c.yaml", "./a.yaml", "line\nbreak", "line\nbreak 2"]
    assert tree.read(names) == dict.fromkeys(names, b"same")
    tree.files()
    assert tree.read(names) == dict.fromkeys(names, b"same")


async def test_odd_names_and_contents_come_through_unchanged(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """Line breaks, quotes and bytes that are no UTF-8 in names; NUL bytes, no newline at the end, nothing at all."""
    contents = {
        "line\nbreak.yaml": b"a\n",
        'quo"te.yaml': b"b\r\n",
        "tab\t.yaml": b"\0\0",
        os.fsdecode(b"latin\xff.yaml"): b"",
        "-option.yaml": b"c",
        "a:b.yaml": b"x" * 3_000_000,
    }
    repo.write(contents).commit()
    tree = await tree_of(mirror)
    assert contents.keys() <= {file.path for file in tree.files()}
    assert tree.read(contents) == contents
    tree.export(tmp_path / "export")
    assert {name: (tmp_path / "export" / name).read_bytes() for name in contents} == contents


async def test_a_submodule_is_no_file(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """It is neither listed nor written nor fetched."""
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.head},apps/web/sub")
    repo.git("commit", "-q", "-m", "Add a submodule")
    tree = await tree_of(mirror, "apps/web")
    assert [file.path for file in tree.files()] == ["apps/web/deploy.yaml"]
    tree.export(tmp_path / "export")
    assert not (tmp_path / "export/apps/web/sub").exists()
    with pytest.raises(PathNotFound, match="submodule"):
        await tree_of(mirror, "apps/web/sub")


async def test_an_export_is_what_git_holds(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """Whole and executable where it was, with nothing that attributes, filters or line ends would change."""
    marker = tmp_path / "ran"
    repo.write(
        {
            ".gitattributes": "* text eol=crlf ident filter=evil export-subst\nsecret.yaml export-ignore\n",
            ".gitconfig": f'[filter "evil"]\n\tsmudge = touch {marker}\n',
            ".lfsconfig": "[lfs]\n\turl = https://example.invalid\n",
            "secret.yaml": "$Id$ $Format:%H$\n",
            "run.sh": "#!/bin/sh\n",
            "hooks/post-checkout": f"#!/bin/sh\ntouch {marker}\n",
        }
    )
    (repo.folder / "run.sh").chmod(0o755)
    repo.link("current", "apps/web").commit()
    tree = await tree_of(mirror)
    tree.export(tmp_path / "export")
    assert (tmp_path / "export/secret.yaml").read_text() == "$Id$ $Format:%H$\n"
    assert os.access(tmp_path / "export/run.sh", os.X_OK)
    assert not os.access(tmp_path / "export/secret.yaml", os.X_OK)
    assert (tmp_path / "export/current/deploy.yaml").read_bytes() == b"kind: Deployment\nreplicas: 3\n"
    assert not (tmp_path / "export/.git").exists()
    assert not marker.exists()


async def test_part_of_a_revision_can_be_exported(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """At its place from the root; and never over something that is there."""
    repo.write({"other/x.yaml": "x"}).commit()
    tree = await tree_of(mirror)
    tree.export(tmp_path / "export", "apps/web")
    assert [path.name for path in (tmp_path / "export").rglob("*") if path.is_file()] == ["deploy.yaml"]
    assert (tmp_path / "export/apps/web/deploy.yaml").is_file()
    with pytest.raises(GitError, match="cannot be written"):
        tree.export(tmp_path / "export", "apps/web")


@pytest.mark.parametrize("name", [".git", "..", ".", ".GIT", "a/b"])
async def test_a_tree_with_a_forbidden_name_is_refused_when_it_is_fetched(
    mirror: MirrorMaker, repo: GitRepo, name: str
) -> None:
    """It was made to write where nothing should be written."""
    blob = repo.git("hash-object", "-w", "apps/web/deploy.yaml")
    repo.commit_tree(("40000", name, repo.tree(("100644", "config", blob))))
    with pytest.raises(GitError, match="source shop"):
        await mirror().fetch()


async def test_a_tree_with_a_link_and_a_folder_of_one_name_writes_nothing_outside(
    mirror: MirrorMaker, repo: GitRepo, tmp_path: Path
) -> None:
    """The link would take the folder's files elsewhere. The fetch refuses it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    repo.commit_link_over_folder(outside)
    with pytest.raises(GitError):
        await mirror().fetch()
    assert list(outside.iterdir()) == []


async def test_the_harmless_mistakes_of_old_tools_are_accepted(mirror: MirrorMaker, repo: GitRepo) -> None:
    """Well-known repositories have them in their history: modes with a zero in front, odd dates and authors."""
    blob = repo.git("hash-object", "-w", "apps/web/deploy.yaml")
    tree = repo.tree(("040000", "apps", repo.tree(("100644", "x.yaml", blob))))
    text = f"tree {tree}\nauthor A <a@x 1767600000 +051800\ncommitter C<c@x> 1767600000 +0000\n\nOld\n"
    sha = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=text.encode())
    repo.git("update-ref", "refs/heads/main", sha)
    assert [file.path for file in (await tree_of(mirror)).files()] == ["apps/x.yaml"]


async def test_five_thousand_files_are_read_at_once(mirror: MirrorMaker, repo: GitRepo, tmp_path: Path) -> None:
    """By one run of Git, in a few seconds, from several threads concurrently."""
    names = [f"apps/app-{number // 50}/manifest-{number}.yaml" for number in range(5000)]
    repo.write({name: f"name: {name}\n" * 20 for name in names}).commit()
    tree = await tree_of(mirror)
    start = time.monotonic()
    files = tree.files()
    found = await asyncio.gather(*(asyncio.to_thread(tree.read, [file.path for file in files]) for _ in range(3)))
    assert time.monotonic() - start < 15
    for contents in found:
        assert contents.keys() >= set(names)
        assert all(contents[name] == f"name: {name}\n".encode() * 20 for name in names)
    tree.export(tmp_path / "export")
    assert {
        str(file.relative_to(tmp_path / "export")): file.read_bytes()
        for file in (tmp_path / "export").rglob("*")
        if file.is_file()
    } == found[0]


async def test_the_files_of_an_app_are_listed_once(
    mirror: MirrorMaker, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a tree lists it, to find symlinks; the listing is used again."""
    tree = await tree_of(mirror, "apps/web")
    commands: list[tuple[str, ...]] = []
    run = GitRunner.run

    def record(git: GitRunner, *arguments: str, stdin: bytes | None = None) -> bytes:
        commands.append(arguments)
        return run(git, *arguments, stdin=stdin)

    monkeypatch.setattr(GitRunner, "run", record)
    listed = tree.files()
    assert listed == tree.files("apps/web")
    assert commands == []
    assert listed == tree.without_listing().files()
    assert commands != []


async def test_trees_that_contain_each_other_are_refused(mirror: MirrorMaker, repo: GitRepo) -> None:
    """A few hundred bytes can stand for more files than any machine holds."""
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"a: b")
    tree = repo.tree(*(("100644", f"{number}.yaml", blob) for number in range(10)))
    for _ in range(8):
        tree = repo.tree(*(("40000", f"folder-{number}", tree) for number in range(10)))
    repo.commit_tree(("40000", "bomb", tree))
    tracked = mirror()
    sha = (await tracked.fetch()).sha
    with pytest.raises(GitError, match="git ls-tree writes more than 64 MiB: name a smaller folder"):
        await tracked.tree(sha, "bomb")
    assert len((await tracked.tree(sha, "bomb" + "/folder-1" * 8)).files()) == 10


async def test_folders_in_folders_have_an_end(mirror: MirrorMaker, repo: GitRepo) -> None:
    """The path of a file has 100 steps at most."""
    repo.write({"/".join("d" * 99) + "/a.yaml": "a", "/".join("e" * 150) + "/a.yaml": "a"})
    repo.commit()
    tracked = mirror()
    sha = (await tracked.fetch()).sha
    assert (await tracked.tree(sha, "d")).files()
    with pytest.raises(GitError, match="more than 100 folders inside of each other"):
        await tracked.tree(sha, "e")


async def test_git_has_limits_of_its_own(mirror: MirrorMaker, repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a repository holds cannot make it take the memory of this machine."""
    seen: list[ResourceLimits] = []
    monkeypatch.setattr(ResourceLimits, "impose", lambda self, pid: seen.append(self) if pid else None)
    await tree_of(mirror, "apps/web")
    assert seen
    assert all(limits.memory <= 4 << 30 for limits in seen)
