"""The daemon's usage and latency: `driftd run` on a real API server, with one app of many objects.

    python -m benchmarks.daemon [--objects 10000] [--rate 100] [--seconds 20] [--rest 45] [--quiet 60]
        [--json FILE]

In this order: the time from start to readiness (Git cloned, everything listed and compared); memory, CPU and requests
while nothing changes; manual writes at a constant rate, first of a label, then of an image; a commit that changes one
manifest.

A write is recorded once its verdict is in the daemon's SQLite file, which is polled every millisecond. If the API
server cannot sustain the rate of writes, `sent to answered` shows it. The daemon's requests are taken from the API
server's audit log. No controllers run, and no pods exist: the Deployments declare none, and have the status of a
finished rollout.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cluster import USER, Audit, QuietControlPlane
from benchmarks.latency import EDITS, POLL_SECONDS, Latencies, Target, measure
from benchmarks.machine import machine
from benchmarks.observed import Daemon, Memory, StoreProbe
from benchmarks.table import mebibytes, milliseconds, parser, progress, seconds, show, write
from benchmarks.usage import AS_INSTALLED
from benchmarks.world import FOLDER, IMAGE, DeclaredObject, Repository, declared_objects
from tests.support import assets
from tests.support.controlplane import ADMIN_GROUP

APP = "shop"
_READY_WITHIN = 300.0
_SETTLE = 5.0
"""Seconds between two measurements, so that none is affected by the one before."""

AT_REST = 45.0
"""Seconds after its start until a daemon is idle: its revisions have become good, and its cache is trimmed."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """The daemon's usage while nothing changes. `cpu` is a fraction of one core."""

    seconds: float
    cpu: float
    requests: dict[str, int]


@dataclass(frozen=True, slots=True)
class Commit:
    """Seconds until a commit's verdict is recorded: from the request for a fetch, and from the end of that fetch."""

    from_asking: float
    from_fetch: float


@dataclass(frozen=True, slots=True)
class Figures:
    objects: int
    manifest_bytes: int
    ready: float
    memory: Memory
    quiet: Quiet
    latencies: dict[str, Latencies]
    commit: Commit
    memory_after: Memory


def main(arguments: Sequence[str] | None = None) -> int:
    command = parser(__doc__)
    command.add_argument("--objects", type=int, default=10_000, help="how many there are (default: 10000)")
    command.add_argument("--rate", type=float, default=100, help="writes per second (default: 100)")
    command.add_argument("--seconds", type=float, default=20, help="how long of each kind (default: 20)")
    command.add_argument("--rest", type=float, default=AT_REST, help=f"seconds to let it rest (default: {AT_REST:g})")
    command.add_argument("--quiet", type=float, default=60, help="seconds to watch it doing nothing (default: 60)")
    options = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="driftd-bench-") as folder:
        figures = run_benchmark(
            Path(folder), options.objects, options.rate, options.seconds, options.rest, options.quiet
        )
    host = machine(f"Kubernetes {assets.KUBERNETES.removeprefix('v')}")
    notes = [f"Requests while nothing changed: {_requests(figures.quiet)}."]
    show(f"The daemon at {figures.objects} Deployments", ("", "found", "wanted"), list(_rows(figures)), notes, host)
    write(options.json, "daemon", host, asdict(figures))
    return 0


def run_benchmark(folder: Path, objects: int, rate: float, lasting: float, rest: float, quiet: float) -> Figures:
    """All measurements, in sequence. Raises: RuntimeError: one of them failed."""
    audit = Audit(folder)
    repository = Repository(folder / "repository")
    with QuietControlPlane(assets.ensure(), apiserver_flags=audit.flags) as cluster:
        progress(f"Deploying {objects} objects …")
        repository.make(declared_objects(objects))
        asyncio.run(cluster.fill(declared_objects(objects)))
        kubeconfig = cluster.kubeconfig_for(USER, (ADMIN_GROUP,))
        progress("Starting the daemon …")
        with Daemon(folder / "driftd", configuration(repository.folder, {APP: kubeconfig}), **AS_INSTALLED) as daemon:
            began = time.monotonic()
            daemon.start().wait_ready(_READY_WITHIN)
            ready = time.monotonic() - began
            memory, idle = measure_idle(daemon, rest, quiet, audit)
            latencies = {}
            api = cluster.api()
            targets = [Target(api, APP, obj) for obj in declared_objects(objects)]
            for edit in EDITS:
                progress(f"Writing {rate:g} times a second: {edit} …")
                latencies[edit] = asyncio.run(measure(daemon, targets, edit, rate=rate, seconds=lasting))
                time.sleep(_SETTLE)
            progress("Committing …")
            obj = targets[-1].obj
            commit = measure_commit(daemon, repository, obj)
            return Figures(objects, len(obj.text.encode()), ready, memory, idle, latencies, commit, daemon.memory())


def configuration(repository: Path, clusters: dict[str, Path]) -> dict[str, object]:
    """A configuration with one app for each cluster, named after it, all from the same folder."""
    return {
        "clusters": [{"name": name, "kubeconfig": str(kubeconfig)} for name, kubeconfig in clusters.items()],
        "sources": [{"name": "shop", "url": str(repository), "ref": {"branch": "main"}, "interval": "60s"}],
        "apps": [{"name": name, "source": "shop", "path": FOLDER, "cluster": name} for name in clusters],
    }


def measure_idle(daemon: Daemon, rest: float, lasting: float, audit: Audit | None = None) -> tuple[Memory, Quiet]:
    """The daemon's memory, and its usage in an interval without changes, after a while in which it comes to rest."""
    time.sleep(rest)
    progress(f"Watching it do nothing for {lasting:g} s …")
    begin, before, clock = datetime.now(UTC), daemon.cpu(), time.monotonic()
    time.sleep(lasting)
    took, cpu = time.monotonic() - clock, daemon.cpu() - before
    requests = audit.requests(begin, datetime.now(UTC)) if audit is not None else []
    return daemon.memory(), Quiet(took, cpu / took, dict(Counter(request.partition("?")[0] for request in requests)))


def measure_commit(daemon: Daemon, repository: Repository, obj: DeclaredObject) -> Commit:
    """Commits another image of an object, requests a fetch, and waits for the verdict."""
    with StoreProbe(daemon.store) as probe:
        position = probe.positions(APP)[f"{obj.namespace}/{obj.name}"]
        repository.change(obj, f":{IMAGE}", ":2.0.0")
        began = time.time()
        daemon.hang_up()
        while b":2.0.0" not in probe.verdict(APP, position):
            if time.time() - began > _READY_WITHIN:
                raise RuntimeError(f"the commit was not judged: {daemon.log.read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
    recorded = time.time()
    fetched = datetime.fromisoformat(daemon.lines("new revision")[-1]["time"]).timestamp()
    return Commit(recorded - began, recorded - fetched)


def _rows(figures: Figures) -> Iterator[tuple[str, str, str]]:
    yield "ready after its start, s", seconds(figures.ready), ""
    yield (
        f"RSS at rest, MiB ({figures.manifest_bytes} bytes a manifest)",
        mebibytes(figures.memory.now),
        _memory_limit(figures),
    )
    yield "RSS at the most, MiB", mebibytes(figures.memory.peak), ""
    yield "CPU while nothing changes, % of a core", f"{figures.quiet.cpu * 100:.2f}", "< 1"
    for edit, latencies in figures.latencies.items():
        yield f"{edit}: writes a second, reached", f"{latencies.reached:.0f}", ""
        yield f"{edit}: sent to answered, p50 / p99 ms", _both(latencies.write_p50, latencies.write_p99), ""
        yield f"{edit}: sent to recorded, p50 ms", milliseconds(latencies.sent_p50), "50"
        yield f"{edit}: sent to recorded, p99 ms", milliseconds(latencies.sent_p99), "250"
        yield f"{edit}: answered to recorded, p50 / p99 ms", _both(latencies.answered_p50, latencies.answered_p99), ""
        yield f"{edit}: the last fifth, p50 ms", milliseconds(latencies.late_p50), ""
        yield f"{edit}: the worst, ms", milliseconds(latencies.worst), ""
        yield f"{edit}: the daemon's CPU for each write, ms", milliseconds(latencies.cpu_per_write), ""
        yield f"{edit}: not recorded", f"{latencies.lost} of {latencies.writes}", "0"
    yield "commit: fetched to recorded, s", seconds(figures.commit.from_fetch), "1"
    yield "commit: asked for to recorded, s", seconds(figures.commit.from_asking), ""
    yield "RSS after all that, MiB", mebibytes(figures.memory_after.now), ""


def _memory_limit(figures: Figures) -> str:
    return {10_000: "143 (150 MB)", 100_000: "954 (1 GB)"}.get(figures.objects, "")


def _both(first: float, second: float) -> str:
    return f"{milliseconds(first)} / {milliseconds(second)}"


def _requests(quiet: Quiet) -> str:
    return ", ".join(f"{count} x {request}" for request, count in sorted(quiet.requests.items())) or "none"


if __name__ == "__main__":
    sys.exit(main())
