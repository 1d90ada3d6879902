"""Each contract of pyproject.toml holds for each room: one import against it breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from grimp import ImportGraph, build_graph
from importlinter.api import read_configuration
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

SETTINGS = read_configuration(str(Path(__file__).parents[2] / "pyproject.toml"))
CONTRACTS: dict[str, dict[str, Any]] = {one["name"]: one for one in SETTINGS["contracts_options"]}
TYPES = {one.type_name: one for one in (AcyclicSiblingsContract, ForbiddenContract, LayersContract, ProtectedContract)}

LAYERS = [
    [f"driftd.{room.strip()}" for room in layer.split("|")]
    for contract in CONTRACTS.values()
    if contract["type"] == "layers"
    for layer in contract["layers"]
]
ROOMS = [room for layer in LAYERS for room in layer]
ABOVE_OR_BESIDE = {
    room: [other for above in LAYERS[: number + 1] for other in above if other != room]
    for number, layer in enumerate(LAYERS)
    for room in layer
}
"""The rooms that a room may not import."""

FORBIDDEN = [(name, contract) for name, contract in CONTRACTS.items() if contract["type"] == "forbidden"]


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    """Who imports whom in the package as it is."""
    return build_graph("driftd", include_external_packages=True, cache_dir=None)


def named(type_: str) -> str:
    """The contract of a type of which there is one."""
    [name] = [name for name, contract in CONTRACTS.items() if contract["type"] == type_]
    return name


def is_kept(name: str, graph: ImportGraph, *imports: tuple[str, str]) -> bool:
    """Whether a contract is kept once some modules import others."""
    changed = deepcopy(graph)
    for importer, imported in imports:
        if imported not in changed.modules:
            changed.add_module(imported, is_squashed=True)
        changed.add_import(importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}")
    contract = TYPES[CONTRACTS[name]["type"]](name, SETTINGS["session_options"], CONTRACTS[name])
    return contract.check(changed, verbose=False).kept


def module_of(package: str, graph: ImportGraph) -> str:
    """A module within a package, as deep as there are any."""
    children = sorted(graph.find_children(package))
    return module_of(children[0], graph) if children else package


def packages(graph: ImportGraph) -> Iterator[str]:
    """Those with at least two modules or packages in them."""
    return (name for name in sorted(graph.modules) if name.startswith("driftd") and len(graph.find_children(name)) > 1)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_is_kept_as_things_are(graph: ImportGraph, name: str) -> None:
    """Else nothing that breaks it would show."""
    assert is_kept(name, graph)


def test_every_room_is_in_a_layer(graph: ImportGraph) -> None:
    """A new one has to be given its place."""
    assert graph.find_children("driftd") == {*ROOMS, "driftd.__main__"}
    changed = deepcopy(graph)
    changed.add_module("driftd.attic")
    assert not is_kept(named("layers"), changed)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_none_above_it_or_in_its_layer(graph: ImportGraph, room: str) -> None:
    """From any module to any module."""
    importer = module_of(room, graph)
    allowed = [
        other for other in ABOVE_OR_BESIDE[room] if is_kept(named("layers"), graph, (importer, module_of(other, graph)))
    ]
    assert allowed == []


def test_modules_that_import_each_other_break_the_contract_in_every_package(graph: ImportGraph) -> None:
    """In each room and each package of one that has two modules: one import back is enough."""
    name = named("acyclic_siblings")
    for package in packages(graph):
        siblings = sorted(graph.find_children(package))
        there = next(
            (
                pair
                for pair in permutations(siblings, 2)
                if graph.direct_import_exists(importer=pair[0], imported=pair[1], as_packages=True)
            ),
            None,
        )
        importer, imported = there or siblings[:2]
        back = (module_of(imported, graph), module_of(importer, graph))
        forth = () if there else (back[::-1],)
        assert not is_kept(name, graph, back, *forth), package


@pytest.mark.parametrize(
    ("name", "room"), [(name, room) for name, contract in FORBIDDEN for room in contract["source_modules"]]
)
def test_a_room_imports_nothing_that_is_forbidden_to_it(graph: ImportGraph, name: str, room: str) -> None:
    """Neither rooms nor libraries."""
    importer = module_of(room, graph)
    forbidden = CONTRACTS[name]["forbidden_modules"]
    allowed = [
        other
        for other in forbidden
        if is_kept(name, graph, (importer, module_of(other, graph) if other in ROOMS else other))
    ]
    assert allowed == []


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "driftd.sandbox"])
def test_only_the_demo_imports_the_sandbox(graph: ImportGraph, room: str) -> None:
    """Whoever else needs a cluster to try something on is a test."""
    name, target = named("protected"), module_of("driftd.sandbox", graph)
    outside = [one for one in sorted(graph.find_descendants(room)) if not one.startswith("driftd.cli.demo")]
    assert [one for one in outside if is_kept(name, graph, (one, target))] == []
    assert is_kept(name, graph, ("driftd.cli.demo.steps", target))
