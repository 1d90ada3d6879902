"""`driftd run`."""

from __future__ import annotations

from pathlib import Path

from driftd.cli.logs import register_secret, set_up_logging
from driftd.config.loading import load
from driftd.daemon.daemon import Daemon
from driftd.model.errors import ConfigError


async def run_daemon(file: Path) -> int:
    """Runs the daemon until it gets a signal. Raises: ConfigError, DriftdError: it cannot start."""
    config = load(file)
    set_up_logging(config.log.level, config.log.format)
    for _, secret in config.secrets():
        try:
            register_secret(secret.read())
        except ConfigError:
            continue  # missing for now: its user reports that
    await Daemon(file).run()
    return 0
