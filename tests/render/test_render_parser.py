"""A file is parsed once, however many revisions and apps have it."""

from __future__ import annotations

import gc
from pathlib import Path

from driftd.model.resource import PackedObject
from driftd.render.app import Rendering, RenderOptions, render
from driftd.render.parser import CachingParser
from tests.render.repositories import config_map, tree, write

FILES = {"app/a.yaml": config_map("a"), "app/b.yaml": config_map("b")}


def rendered(root: Path, path: str, parser: CachingParser) -> Rendering:
    return render(tree(root, path, {}), RenderOptions(), parser)


def test_a_commit_costs_the_files_that_it_changes(tmp_path: Path) -> None:
    """The manifests of the other files are the same objects as before."""
    parser = CachingParser()
    write(tmp_path, FILES)
    before = rendered(tmp_path, "app", parser)
    write(tmp_path, {"app/b.yaml": config_map("c")})
    after = rendered(tmp_path, "app", parser)
    assert [m.ref.name for m in after.manifests] == ["a", "c"]
    assert after.manifests[0] is before.manifests[0]


def test_two_apps_share_the_files_that_both_have(tmp_path: Path) -> None:
    """One is a folder within the other."""
    parser = CachingParser()
    write(tmp_path, {"app/a.yaml": config_map("a"), "app/part/b.yaml": config_map("b")})
    whole, part = rendered(tmp_path, "app", parser), rendered(tmp_path, "app/part", parser)
    assert whole.manifests[1] is part.manifests[0]


def test_the_same_content_in_another_file_is_declared_there(tmp_path: Path) -> None:
    """A manifest has the path of its file."""
    parser = CachingParser()
    write(tmp_path, {"one/a.yaml": config_map("a"), "two/a.yaml": config_map("a")})
    one, two = rendered(tmp_path, "one", parser), rendered(tmp_path, "two", parser)
    assert [m.source.file for m in (*one.manifests, *two.manifests)] == ["one/a.yaml", "two/a.yaml"]


def test_the_errors_of_a_broken_file_are_in_every_rendering(tmp_path: Path) -> None:
    """Its errors are cached like manifests."""
    parser = CachingParser()
    write(tmp_path, {**FILES, "app/bad.yaml": "a: [\n"})
    first, second = rendered(tmp_path, "app", parser), rendered(tmp_path, "app", parser)
    assert [str(error) for error in first.errors] == [str(error) for error in second.errors] != []


def test_files_that_nothing_refers_to_leave_the_cache(tmp_path: Path) -> None:
    """Old revisions leave nothing behind."""
    parser = CachingParser()
    write(tmp_path, FILES)
    held = rendered(tmp_path, "app", parser)
    assert len(parser) == 2
    del held
    gc.collect()
    assert len(parser) == 0


def test_cached_manifests_are_packed_and_equal(tmp_path: Path) -> None:
    """In any namespace."""
    write(tmp_path, {"app/a.yaml": config_map("a"), "app/b.yaml": config_map("b", "shop")})
    packed, plain = rendered(tmp_path, "app", CachingParser()), render(tree(tmp_path, "app", {}), RenderOptions())
    assert all(isinstance(m.content, PackedObject) for m in packed.manifests)
    for namespace in ("shop", "web", None):
        ours, theirs = ([m.in_namespace(namespace) for m in r.manifests] for r in (packed, plain))
        assert [(m.ref, m.body) for m in ours] == [(m.ref, m.body) for m in theirs]
