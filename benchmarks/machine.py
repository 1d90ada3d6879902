"""A description of the machine, without which figures cannot be interpreted."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and the time of a measurement."""

    cores: int
    memory_gib: float
    cpu: str
    system: str
    python: str
    kubernetes: str
    date: str

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_gib:g} GiB, {self.system}, Python {self.python}, "
            f"{self.kubernetes}, {self.date}"
        )


def machine(kubernetes: str) -> Machine:
    """This machine, and the kind of cluster: a version of Kubernetes, or the sandbox."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(pages / 2**30, 1),
        cpu=_cpu(),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        kubernetes=kubernetes,
        date=datetime.now(UTC).date().isoformat(),
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
