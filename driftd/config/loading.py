"""Loads the configuration file, and reports every mistake with its position."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from driftd.config.mistake import MISTAKE, did_you_mean
from driftd.config.references import reference_mistakes
from driftd.config.settings import Config
from driftd.config.values import FILE, FOLDER
from driftd.config.yaml_document import Location, Position, UnreadableDocument, YamlDocument, parse_document
from driftd.model.errors import ConfigError
from driftd.model.path import format_path
from driftd.process.files import check_file, read_file

_Mistake = tuple[Position, str]
_SECRET_SUFFIXES = ("File", "Env")
_ALTERNATIVES = frozenset({"str", "list[str]"})
_SHAPES = {
    "tuple_type": "must be a list",
    "model_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "string_type": "must be a text",
    "path_type": "must be the path of a file",
    "missing": "is required",
    "string_too_short": "must not be empty",
}


def load(path: Path) -> Config:
    """Loads a configuration file. Relative paths in it are resolved against its folder.

    Raises: ConfigError: with all mistakes of the file, each as `FILE:LINE:COLUMN: KEY: message`.
    """
    try:
        content = read_file(path)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise ConfigError(str(path), [f"{path}: {reason}"]) from error
    return parse(content, file=str(path), folder=path.absolute().parent)


def parse(content: bytes, *, file: str, folder: Path) -> Config:
    """Parses the content of a configuration file. `file` is its name in mistakes, `folder` the base of its paths.

    Raises: ConfigError: as `load`.
    """
    try:
        document = parse_document(content)
    except UnreadableDocument as error:
        fatal = error.mistake
        raise ConfigError(file, [_line(file, fatal.position, fatal.location, fatal.text)]) from error
    mistakes = [(m.position, _line(file, m.position, m.location, m.text)) for m in document.mistakes]
    mistakes += _reference_lines(document, file)
    config = None
    try:
        context = {FOLDER: folder, FILE: folder / Path(file).name}
        config = Config.model_validate(document.data, by_alias=True, by_name=False, context=context)
    except ValidationError as error:
        mistakes += [
            _explain(detail, document, file) for detail in error.errors(include_url=False, include_input=False)
        ]
    if config is None or mistakes:
        # Not chained: pydantic's error repeats the mistakes, and may quote values, which may be secrets.
        raise ConfigError(file, list(dict.fromkeys(text for _, text in sorted(mistakes)))) from None
    return config


def load_or_default(path: Path) -> Config:
    """The same, and where there is no such file the configuration of an empty one. Raises: ConfigError."""
    return load(path) if path.exists() else Config.model_validate({}, context={FILE: path, FOLDER: path.parent})


def unusable_files(config: Config, path: Path) -> list[str]:
    """What `config validate` says of secrets and files that cannot be read, in the form of the file's mistakes.

    They are none to `load`: each is read when it is needed. Raises: ConfigError: the file itself cannot be read.
    """
    try:
        document = parse_document(read_file(path))
    except (OSError, UnreadableDocument) as error:  # it has changed since it was loaded
        raise ConfigError(str(path), [f"{path}: cannot be read: {error}"]) from error
    lines = []
    for text in _unusable(config):
        key = text.partition(": ")[0]
        position = document.position(_location(key), key=True)
        lines.append((position, f"{path}:{position.line}:{position.column}: {text}"))
    return [line for _, line in sorted(lines)]


def _location(key: str) -> Location:
    """The location of a key as texts name it: `sources[0].auth.tokenFile`."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", key))


def _unusable(config: Config) -> list[str]:
    warnings = []
    for key, secret in config.secrets():
        try:
            secret.read()
        except ConfigError as error:
            warnings.append(error.mistakes[0].replace(secret.key, key, 1))
    secret_keys = {key for key, _ in config.secrets()}
    for key, path in config.files():
        if key not in secret_keys:
            try:
                check_file(path)
            except OSError as error:
                warnings.append(f"{key}: {path}: the file cannot be read: {error.strerror or type(error).__name__}")
    return warnings


def _reference_lines(document: YamlDocument, file: str) -> Iterator[_Mistake]:
    for location, text in reference_mistakes(document.data):
        position = document.position(location, key=False)
        yield position, _line(file, position, location, text)


def _explain(detail: ErrorDetails, document: YamlDocument, file: str) -> _Mistake:
    # Of a value that may be a text or a list, pydantic names the alternative: `kind.str`.
    location: Location = tuple(part for part in detail["loc"] if part not in _ALTERNATIVES)
    kind = detail["type"]
    position = document.position(location, key=kind == "extra_forbidden")
    return position, _line(file, position, location, _text(detail, document.data))


def _text(detail: ErrorDetails, data: object) -> str:
    kind, location = detail["type"], tuple(detail["loc"])
    if kind == MISTAKE:
        return detail["msg"]
    if _ALTERNATIVES.intersection(location):
        return "must be a text, or a list of one or more"
    if kind == "extra_forbidden":
        return _unknown_key(location)
    if kind in ("enum", "literal_error"):
        allowed = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
        value = _quotable_value(data, location)
        if value is None:
            return f"must be one of {', '.join(allowed)}"
        choice = f"must be one of {', '.join(allowed)}" if len(allowed) > 1 else f"must be {allowed[0]}"
        return f'{choice} (got "{value}"){did_you_mean(value, allowed)}'
    return _SHAPES.get(kind, detail["msg"])


def _unknown_key(location: Location) -> str:
    key = str(location[-1])
    keys = _keys_at(location[:-1])
    secret_keys = [f"{key}{suffix}" for suffix in _SECRET_SUFFIXES if f"{key}{suffix}" in keys]
    if secret_keys:
        return f"secrets are files, never values: use {' or '.join(secret_keys)}"
    hint = did_you_mean(key, keys)
    return f"there is no such key{hint or '; the keys here are ' + ', '.join(keys)}"


def _keys_at(location: Location) -> list[str]:
    """The keys of the section at a location."""
    model: type[BaseModel] = Config
    for segment in location:
        if isinstance(segment, str):
            field = next((f for f in model.model_fields.values() if f.alias == segment), None)
            section = _section_in(field.annotation) if field else None
            if section is None:
                return []
            model = section
    return [field.alias or name for name, field in model.model_fields.items()]


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section of `Section`, `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if section := _section_in(argument):
            return section
    return None


def _quotable_value(data: object, location: Location) -> str | None:
    """The text at a location, where it is short and printable."""
    for segment in location:
        if isinstance(data, Mapping):
            data = data.get(segment)
        elif isinstance(data, list) and isinstance(segment, int):
            data = data[segment]
    return data if isinstance(data, str) and len(data) <= 40 and data.isprintable() else None


def _line(file: str, position: Position, location: Location, text: str) -> str:
    prefix = f"{file}:{position.line}:{position.column}"
    return f"{prefix}: {format_path(location)}: {text}" if location else f"{prefix}: {text}"
