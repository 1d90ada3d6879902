"""References to secrets in files and environment variables. Implement `driftd.model.secret.Secret`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from driftd.model.errors import ConfigError
from driftd.process.files import read_file


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret in a file. `key` is the configuration key that names the file."""

    key: str
    path: Path

    def read(self) -> str:
        """The file's text without one trailing newline.

        Raises: ConfigError: the file is missing, unreadable, not UTF-8, or empty.
        """
        try:
            text = read_file(self.path).decode()
        except FileNotFoundError as error:
            raise self._error("there is no such file") from error
        except UnicodeDecodeError:
            # Not chained: the original error quotes the undecodable bytes.
            raise self._error("the file is not UTF-8 text") from None
        except OSError as error:
            raise self._error(f"the file cannot be read: {error.strerror or type(error).__name__}") from error
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise self._error("the file is empty")
        return text

    def _error(self, reason: str) -> ConfigError:
        return ConfigError(str(self.path), [f"{self.key}: {self.path}: {reason}"])


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """A secret in an environment variable. `key` is the configuration key that names the variable."""

    key: str
    variable: str

    def read(self) -> str:
        """The variable's value without one trailing newline.

        Raises: ConfigError: the variable is not set, or empty.
        """
        text = os.environ.get(self.variable, "").removesuffix("\n").removesuffix("\r")
        if not text:
            raise ConfigError(
                self.variable, [f"{self.key}: the environment variable {self.variable} is not set, or empty"]
            )
        return text


@dataclass(frozen=True, slots=True)
class InlineValue:
    """A value in the configuration itself, where that is allowed: a user's name."""

    key: str
    text: str

    def read(self) -> str:
        return self.text


SecretReference = SecretFile | SecretEnv


def secret_reference(key: str, file: Path | None, variable: str | None) -> SecretReference | None:
    """The reference of `keyFile` or `keyEnv`; None when neither is set."""
    if file is not None:
        return SecretFile(f"{key}File", file)
    if variable is not None:
        return SecretEnv(f"{key}Env", variable)
    return None
