"""A second process parses a share of the files: what it says is what would have been said here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

from driftd.render.app import RenderOptions, render
from driftd.render.beside import parsing_beside
from driftd.render.tree import FolderTree
from tests.render.repositories import config_map, write

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
FILES = {f"app/{number:04}.yaml": config_map(f"c-{number}", "shop") for number in range(600)}

SCRIPT = """
    import json, sys
    from multiprocessing import active_children
    from pathlib import Path
    from driftd.render.app import RenderOptions, render
    from driftd.render.beside import parsing_beside
    from driftd.render.tree import FolderTree

    with parsing_beside() as parser:
        children = active_children()
        if sys.argv[2] == "killed":
            children[0].kill()
            children[0].join()
        rendering = render(FolderTree(Path(sys.argv[1]), "app"), RenderOptions(), parser)
    print(json.dumps({
        "beside": len(children),
        "left": len(active_children()),
        "errors": [str(error) for error in rendering.errors],
        "found": [[m.source.file, m.source.line, m.ref.name, m.body] for m in rendering.manifests],
    }))
"""


def told(root: Path, what: str = "") -> dict[str, Any]:
    """What a process says that has a second one beside it."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(SCRIPT), str(root), what], capture_output=True, check=True, timeout=60
    )
    assert done.stderr == b""
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def here(root: Path) -> dict[str, Any]:
    """The same, said by this process alone."""
    rendering = render(FolderTree(root, "app"), RenderOptions())
    found = [[m.source.file, m.source.line, m.ref.name, m.body] for m in rendering.manifests]
    return {"errors": [str(error) for error in rendering.errors], "found": found}


def test_many_files_are_parsed_by_two_processes_as_by_one(tmp_path: Path) -> None:
    """In the same order, mistakes and their places included; and nothing of the second one stays."""
    write(tmp_path, {**FILES, "app/0007.yaml": "kind: [\n", "app/0500.yaml": "a: 1\n"})
    said = told(tmp_path)
    assert said.pop("beside") == min(1, CORES - 1)
    assert said.pop("left") == 0
    assert said == here(tmp_path)
    assert len(said["errors"]) == 2
    assert len(said["found"]) == 598


def test_the_other_process_does_what_it_is_given_time_for() -> None:
    """What it has parsed is not parsed here once more."""
    script = """
        import time
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        from driftd.render import beside
        from driftd.render.tree import FolderFile
        from tests.render.repositories import config_map
        files = {FolderFile(f"{n}.yaml", str(n)): config_map(f"c-{n}").encode() for n in range(600)}
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            pool.submit(int).result()
            parser = beside.ParsesBeside(pool)
            read, here = beside.read_manifests, []
            beside.read_manifests = lambda data, path: here.append(path) or read(data, path)
            pending = parser.parse(files)
            time.sleep(1)
            found = pending()
        print(len(found), len(here))
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )
    found, parsed_here = map(int, done.stdout.split())
    assert found == 600
    assert parsed_here < 600


def test_what_a_killed_process_does_not_answer_is_parsed_here(tmp_path: Path) -> None:
    """Whoever runs out of memory first is the one that can be spared."""
    write(tmp_path, FILES)
    said = told(tmp_path, "killed")
    assert {key: said[key] for key in ("errors", "found")} == here(tmp_path)


def test_a_process_with_threads_is_not_forked() -> None:
    """A lock that another thread holds would be held for ever over there."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with parsing_beside() as parser:
            assert parser is None
    finally:
        done.set()
        thread.join()


def test_the_second_process_ends_with_the_first_however_that_ends() -> None:
    """Nobody would be there to end it."""
    script = """
        import os, sys, time
        from multiprocessing import active_children
        from driftd.render.beside import parsing_beside
        with parsing_beside():
            print(*[child.pid for child in active_children()], flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", dedent(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        children = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(children) == min(1, CORES - 1)
    within = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < within, "it is still there"
        time.sleep(0.02)
