"""`driftd run`."""

from __future__ import annotations

from pathlib import Path

from driftd.cli.logs import register_secret, set_up_logging
from driftd.config.loading import load, load_or_default
from driftd.config.settings import Config
from driftd.daemon.daemon import Daemon
from driftd.model.deployer import Deployer
from driftd.model.errors import ConfigError


async def run_daemon(file: Path, discover: tuple[Deployer, ...] = (), *, credentials: bool = False) -> int:
    """Runs the daemon until it gets a signal; with `discover`, there need be no file. `credentials` as of `Daemon`.

    Raises: ConfigError, DriftdError: it cannot start.
    """
    config = load_or_default(file) if discover else load(file)
    set_up_logging(config.log.level, config.log.format)
    await Daemon(file, _register_secrets, discover, credentials=credentials).run()
    return 0


def _register_secrets(config: Config) -> None:
    """Registers the secrets of a configuration, which the log then leaves out."""
    for _, secret in config.secrets():
        try:
            register_secret(secret.read())
        except ConfigError:
            continue  # missing for now: its user reports that
