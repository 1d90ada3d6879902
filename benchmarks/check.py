"""The cost of one cold check: `driftd check`, its floor and its peers, on a real API server without drift.

    python -m benchmarks.check [--objects 1000] [--rounds 3] [--peers kubectl,flux,argo] [--json FILE]

Every row is a separate process, measured from start to end, without state from earlier runs: no mirror of Git, no
cached schemas (except for `again`). Contenders alternate within a round, and the result is the median of all rounds.
The figures of a row are its wall time, the CPU of its processes, the memory of the largest of them (`driftd check` has
a second one, which parses), and the requests and CPU of the API server. On a machine under other load, wall times are
not reliable: the last column compares the CPU of both sides.

The floor is the minimum of any comparison: one LIST of each kind, unpaged, decoded by orjson, and the manifests parsed
by PyYAML's C parser; it compares nothing.

The peers: `kubectl diff` and `kubectl apply --server-side --dry-run=server`; Flux's own library (ResourceManager.Diff
for each object, 32 concurrently; the controller does one at a time); Argo CD's own engine (fills its cache of the
cluster, then a structured merge diff). They read the manifests from a folder; driftd reads them from Git.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cluster import QuietControlPlane, ServerLoad
from benchmarks.machine import machine
from benchmarks.peer_programs import program
from benchmarks.table import mebibytes, parser, progress, seconds, show, write
from benchmarks.usage import Usage, median, run
from benchmarks.world import FOLDER, KINDS, Repository, declared_objects
from tests.support import assets

PEERS = ("kubectl", "flux", "argo")
_KUBECTL_ROUNDS = 1
"""A round takes a minute for a thousand objects, with little variation."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run: its usage, the load on the API server, and the figures that the program reports."""

    usage: Usage
    served: ServerLoad
    says: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    """A command that compares a folder with the cluster. `read` parses its output, or raises RuntimeError."""

    name: str
    command: Sequence[str | Path]
    read: Callable[[str], dict[str, Any]] = lambda _: {}
    rounds: int | None = None
    fresh: bool = False
    """Whether each run starts with an empty cache folder."""


@dataclass(frozen=True, slots=True)
class World:
    """The cluster and the manifests that the contenders compare."""

    cluster: QuietControlPlane
    kubeconfig: Path
    repository: Path
    kubectl: Path
    scratch: Path
    paths: tuple[str, ...]
    objects: int

    @property
    def manifests(self) -> Path:
        return self.repository / FOLDER


def main(arguments: Sequence[str] | None = None) -> int:
    command = parser(__doc__)
    command.add_argument("--objects", type=int, default=1000, help="how many there are (default: 1000)")
    command.add_argument("--kinds", default="deployment", help=f"of {','.join(KINDS)} (default: deployment)")
    command.add_argument("--rounds", type=int, default=3, help="the median of which counts (default: 3)")
    command.add_argument("--peers", default=",".join(PEERS), help="which of them to run (default: all)")
    options = command.parse_args(arguments)
    kinds = tuple(options.kinds.split(","))
    peers = [peer for peer in options.peers.split(",") if peer]
    if set(peers) - set(PEERS) or set(kinds) - set(KINDS):
        command.error(f"there are the peers {', '.join(PEERS)} and the kinds {', '.join(KINDS)}")
    measurements = run_benchmark(options.objects, kinds, options.rounds, peers)
    host = machine(f"Kubernetes {assets.KUBERNETES.removeprefix('v')}")
    show(
        f"One cold look at {options.objects} objects ({options.kinds}), nothing drifted",
        ("", "wall s", "CPU s", "API server CPU s", "RSS MiB", "requests", "x floor", "x driftd", "CPU x driftd"),
        list(_rows(measurements)),
        [f"Median of {options.rounds} rounds. {_steps(measurements)}"],
        host,
    )
    figures = {name: [asdict(measurement) for measurement in rounds] for name, rounds in measurements.items()}
    write(options.json, "check", host, {"objects": options.objects, "kinds": kinds, "runs": figures})
    return 0


def run_benchmark(
    objects: int, kinds: tuple[str, ...], rounds: int, peers: Sequence[str]
) -> dict[str, list[Measurement]]:
    """The measurements of each contender. Raises: RuntimeError: one failed, or reported drift."""
    programs = assets.ensure()
    with tempfile.TemporaryDirectory(prefix="driftd-bench-") as folder, QuietControlPlane(programs) as cluster:
        repository = Repository(Path(folder) / "repository")
        progress(f"Deploying {objects} objects …")
        repository.make(declared_objects(objects, kinds))
        asyncio.run(cluster.fill(declared_objects(objects, kinds)))
        paths = sorted({_all_namespaces(obj.collection) for obj in declared_objects(len(kinds), kinds)})
        world = World(
            cluster,
            cluster.kubeconfig(),
            repository.folder,
            programs / "kubectl",
            Path(folder),
            tuple(paths),
            objects,
        )
        return _rounds(world, [*_driftd(world), _floor(world), *_peers(world, peers)], rounds)


def _rounds(world: World, contenders: Sequence[Contender], rounds: int) -> dict[str, list[Measurement]]:
    measurements: dict[str, list[Measurement]] = {contender.name: [] for contender in contenders}
    for contender in contenders[:2]:
        _run(
            world, contender
        )  # compiles bytecode, warms the API server's caches, and fills the cache of the second contender
    for number in range(rounds):
        for contender in contenders:
            if number < (contender.rounds or rounds):
                progress(f"round {number + 1}: {contender.name}")
                measurements[contender.name].append(_run(world, contender))
    return measurements


def _run(world: World, contender: Contender) -> Measurement:
    with tempfile.TemporaryDirectory(dir=world.scratch) as folder:
        cache = Path(folder) if contender.fresh else world.scratch / "cache"
        output = Path(folder) / "output"
        before = world.cluster.load()
        usage = run(contender.command, output, environment={"XDG_CACHE_HOME": str(cache), "HOME": str(cache)})
        return Measurement(usage, world.cluster.load().since(before), contender.read(output.read_text()))


def _driftd(world: World) -> Iterator[Contender]:
    command: list[str | Path] = [
        sys.executable, "-m", "driftd", "check", "--repo", world.repository, "--path", FOLDER,
        "--kubeconfig", world.kubeconfig, "-o", "json",
    ]  # fmt: skip

    def read(output: str) -> dict[str, Any]:
        counts: dict[str, int] = json.loads(output[output.index("{") :])["apps"][0]["counts"]
        return _check_in_sync(counts, counts["in_sync"], world.objects)

    yield Contender("driftd check", command, read, fresh=True)
    yield Contender("driftd check, again", command, read)


def _floor(world: World) -> Contender:
    def read(output: str) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(output)
        return _check_in_sync(result, min(result["objects"], result["live"]), world.objects)

    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.floor",
        world.kubeconfig,
        world.manifests,
        *world.paths,
    ]
    return Contender("floor: LIST, decode, parse", command, read)


def _peers(world: World, peers: Sequence[str]) -> Iterator[Contender]:
    def read(output: str) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        return _check_in_sync(result, result["objects"] - result["differing"], world.objects)

    access: Sequence[str | Path] = ("-kubeconfig", world.kubeconfig, "-dir", world.manifests)
    kubectl: Sequence[str | Path] = (world.kubectl, "--kubeconfig", world.kubeconfig)
    files: Sequence[str | Path] = ("--recursive", "--filename", world.manifests)
    if "flux" in peers:
        yield Contender("Flux, 32 at a time", [program("flux"), *access, "-concurrency", "32"], read)
    if "argo" in peers:
        yield Contender("Argo CD's engine, cache included", [program("argo"), *access], read)
    if "kubectl" in peers:
        dry_run = [*kubectl, "apply", "--server-side", "--dry-run=server", *files]
        yield Contender("kubectl apply, dry-run", dry_run, rounds=_KUBECTL_ROUNDS)
        yield Contender("kubectl diff", [*kubectl, "diff", *files], rounds=_KUBECTL_ROUNDS)


def _check_in_sync(result: dict[str, Any], in_sync: int, objects: int) -> dict[str, Any]:
    if in_sync != objects:
        raise RuntimeError(f"{objects} objects are in sync, and not what was found: {result}")
    return result


def _all_namespaces(collection: str) -> str:
    """The path of a collection across all namespaces."""
    before, _, after = collection.partition("/namespaces/")
    return f"{before}/{after.partition('/')[2]}"


def _rows(measurements: dict[str, list[Measurement]]) -> Iterator[tuple[str, ...]]:
    usages = {name: median([measurement.usage for measurement in rounds]) for name, rounds in measurements.items()}
    server_cpu = {
        name: statistics.median(measurement.served.cpu for measurement in rounds)
        for name, rounds in measurements.items()
    }
    driftd, _, floor = list(usages)[:3]
    for name, usage in usages.items():
        yield (
            name,
            seconds(usage.wall),
            seconds(usage.cpu),
            seconds(server_cpu[name]),
            mebibytes(usage.memory),
            str(measurements[name][-1].served.requests),
            f"{usage.wall / usages[floor].wall:.1f}",
            f"{usage.wall / usages[driftd].wall:.1f}",
            f"{(usage.cpu + server_cpu[name]) / (usages[driftd].cpu + server_cpu[driftd]):.1f}",
        )


def _steps(measurements: dict[str, list[Measurement]]) -> str:
    """The steps that the programs report, of the last round."""
    texts = []
    for name, rounds in measurements.items():
        if steps := rounds[-1].says.get("seconds"):
            texts.append(f"{name}: " + ", ".join(f"{step} {seconds(value)}" for step, value in steps.items()))
    return "; ".join(texts)


if __name__ == "__main__":
    sys.exit(main())
