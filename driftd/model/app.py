"""What the engine is told about an app."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from driftd.model.drift import Engine
from driftd.model.plan import Mode, RollbackMode
from driftd.render.options import RenderOptions

FIELD_MANAGER = "driftd"


@dataclass(frozen=True, slots=True)
class App:
    """One path of one source, deployed to one cluster.

    `settle` is how long everything must be in sync and healthy before a revision is good, `deadline` how long after it
    was applied a revision may take to become healthy before it is bad.
    """

    name: str
    source: str
    cluster: str
    path: str = ""
    namespace: str | None = None
    mode: Mode = Mode.OBSERVE
    rollback: RollbackMode = RollbackMode.MANUAL
    engine: Engine = Engine.CLIENT
    interval: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=30)
    deadline: timedelta = timedelta(minutes=10)
    rendering: RenderOptions = field(default_factory=RenderOptions)
