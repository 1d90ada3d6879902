"""The growth of the cost: 1,000 to 100,000 objects in one cluster, and 50 clusters in one daemon, on sandboxes.

    python -m benchmarks.growth [--objects 1000,10000,100000] [--clusters 50x2000] [--rate 20] [--json FILE]

The sandbox is an API server in memory, in a separate process on the same machine, and written in Python: it is slower
than a real one, which adds to every wall time. CPU and memory are those of driftd alone.

Each line is a cold `driftd check` (of one cluster), then a daemon: from start to readiness, idle, and with manual
changes of labels at a constant rate, in all of its clusters in turn. All clusters are deployed from one folder; each is
a separate app. "ms each" and "KiB each" are the CPU time of the cold pass and the idle memory per object added to the
smallest size: they are constant if the growth is linear.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import yaml

from benchmarks.api import Api
from benchmarks.daemon import AT_REST, Quiet, configuration, measure_idle
from benchmarks.latency import Latencies, Target, measure
from benchmarks.machine import machine
from benchmarks.observed import Daemon, Memory
from benchmarks.sandbox_server import SandboxServer
from benchmarks.table import mebibytes, milliseconds, parser, progress, seconds, show, write
from benchmarks.usage import AS_INSTALLED, Usage, run
from benchmarks.world import FOLDER, Repository, declared_objects

_READY_WITHIN = 1200.0


@dataclass(frozen=True, slots=True)
class Size:
    """A number of clusters, and the number of objects in each."""

    clusters: int
    objects: int

    def __str__(self) -> str:
        return f"{self.objects:,}" if self.clusters == 1 else f"{self.clusters} x {self.objects:,}"

    @property
    def total(self) -> int:
        return self.clusters * self.objects


@dataclass(frozen=True, slots=True)
class Figures:
    """`ready_cpu` is the daemon's CPU time until readiness, in seconds."""

    size: Size
    check: Usage | None
    ready: float
    ready_cpu: float
    memory: Memory
    quiet: Quiet
    latencies: Latencies


def main(arguments: Sequence[str] | None = None) -> int:
    command = parser(__doc__)
    command.add_argument("--objects", default="1000,10000,100000", help="sizes of one cluster, with commas between")
    command.add_argument("--clusters", default="50x2000", help="CLUSTERSxOBJECTS; empty: none")
    command.add_argument("--rate", type=float, default=20, help="writes per second (default: 20)")
    command.add_argument("--seconds", type=float, default=20, help="how long (default: 20)")
    command.add_argument("--rest", type=float, default=AT_REST, help=f"seconds to let it rest (default: {AT_REST:g})")
    command.add_argument("--quiet", type=float, default=30, help="seconds to watch it doing nothing (default: 30)")
    options = command.parse_args(arguments)
    sizes = [Size(1, int(objects)) for objects in options.objects.split(",") if objects]
    if options.clusters:
        clusters, _, objects = options.clusters.partition("x")
        sizes.append(Size(int(clusters), int(objects)))
    figures = [run_benchmark(size, options.rate, options.seconds, options.rest, options.quiet) for size in sizes]
    host = machine("driftd's sandbox in place of Kubernetes")
    columns = (
        "objects", "check s", "CPU s", "MiB", "ready s", "CPU s", "ms each", "RSS MiB", "peak", "KiB each",
        "idle CPU %", "p50 ms", "p99 ms", "CPU ms",
    )  # fmt: skip
    notes = [
        f"Last three: from sending a label to its verdict in the store, at {options.rate:g} a second, and CPU for each."
    ]
    show("Growth", columns, list(_rows(figures)), notes, host)
    write(options.json, "growth", host, {"rate": options.rate, "sizes": [asdict(size) for size in figures]})
    return 0


def run_benchmark(size: Size, rate: float, lasting: float, rest: float, quiet: float) -> Figures:
    """The figures of one size. Raises: RuntimeError: a measurement failed."""
    with tempfile.TemporaryDirectory(prefix="driftd-bench-") as name:
        folder = Path(name)
        repository = Repository(folder / "repository")
        repository.make(declared_objects(size.objects))
        progress(f"{size} objects: filling the sandbox …")
        with SandboxServer(folder, size.objects, size.clusters) as server:
            clusters = {file.stem: file for file in server.kubeconfigs}
            check = None
            if size.clusters == 1:
                progress(f"{size} objects: a cold check …")
                check = _check(folder, repository.folder, server.kubeconfigs[0])
            progress(f"{size} objects: the daemon …")
            with Daemon(folder / "driftd", configuration(repository.folder, clusters), **AS_INSTALLED) as daemon:
                began = time.monotonic()
                daemon.start().wait_ready(_READY_WITHIN)
                ready, ready_cpu = time.monotonic() - began, daemon.cpu()
                memory, idle = measure_idle(daemon, rest, quiet)
                writes = min(size.total, int(rate * lasting))
                targets = list(islice(_targets(clusters, size.objects), writes))
                latencies = asyncio.run(measure(daemon, targets, "label", rate=rate, seconds=lasting))
                return Figures(size, check, ready, ready_cpu, memory, idle, latencies)


def _check(folder: Path, repository: Path, kubeconfig: Path) -> Usage:
    command: list[str | Path] = ["-m", "driftd", "check", "--repo", repository, "--path", FOLDER]
    command += ["--kubeconfig", kubeconfig, "-o", "json"]
    return run([sys.executable, *command], folder / "check.json", environment={"XDG_CACHE_HOME": str(folder / "cache")})


def _targets(clusters: dict[str, Path], objects: int) -> Iterator[Target]:
    """The objects of all clusters, alternating between clusters."""
    apis = {app: _api(kubeconfig) for app, kubeconfig in clusters.items()}
    streams = cycle([(app, declared_objects(objects)) for app in clusters])
    for app, stream in streams:
        if (obj := next(stream, None)) is None:
            return
        yield Target(apis[app], app, obj)


def _api(kubeconfig: Path) -> Api:
    config = yaml.safe_load(kubeconfig.read_text())
    return Api(config["clusters"][0]["cluster"]["server"], token=config["users"][0]["user"]["token"])


def _rows(sizes: Sequence[Figures]) -> Iterator[tuple[str, ...]]:
    smallest = min(sizes, key=lambda figures: figures.size.total)
    for figures in sizes:
        check = figures.check
        more = figures.size.total - smallest.size.total
        cpu = f"{(figures.ready_cpu - smallest.ready_cpu) / more * 1000:.2f}" if more else ""
        memory = f"{(figures.memory.now - smallest.memory.now) / more / 1024:.1f}" if more else ""
        latency = figures.latencies
        yield (
            str(figures.size),
            *((seconds(check.wall), seconds(check.cpu), mebibytes(check.memory)) if check else ("", "", "")),
            seconds(figures.ready),
            seconds(figures.ready_cpu),
            cpu,
            mebibytes(figures.memory.now),
            mebibytes(figures.memory.peak),
            memory,
            f"{figures.quiet.cpu * 100:.2f}",
            *(milliseconds(value) for value in (latency.sent_p50, latency.sent_p99, latency.cpu_per_write)),
        )


if __name__ == "__main__":
    sys.exit(main())
