"""What every part of the configuration has in common: its keys, and the rules about which keys go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from driftd.config.mistake import mistake

Finding = tuple[tuple[str | int, ...], PydanticCustomError]
"""Where, inside the section, and what."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Of these keys one may be there; with `required`, exactly one."""

    keys: tuple[str, ...]
    required: bool = False

    def findings(self, present: Mapping[str, Any]) -> Iterator[Finding]:
        there = [key for key in self.keys if key in present]
        if self.required and not there:
            yield (), mistake(f"needs one of {', '.join(self.keys)}")
        for key in there[1:]:
            yield (key,), mistake(f"cannot be there together with {there[0]}: choose one")

    def schema(self) -> dict[str, Any]:
        alternatives: list[dict[str, Any]] = [{"required": [key]} for key in self.keys]
        if not self.required:
            alternatives.append({"not": {"anyOf": [{"required": [key]} for key in self.keys]}})
        return {"oneOf": alternatives}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Of these keys at least one must be there."""

    keys: tuple[str, ...]

    def findings(self, present: Mapping[str, Any]) -> Iterator[Finding]:
        if not any(key in present for key in self.keys):
            yield (), mistake(f"needs at least one of {', '.join(self.keys)}: without, it would mean everything")

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"required": [key]} for key in self.keys]}


@dataclass(frozen=True, slots=True)
class Needs:
    """Where any of `keys` is, one of `others` must be too."""

    keys: tuple[str, ...]
    others: tuple[str, ...]
    why: str

    def findings(self, present: Mapping[str, Any]) -> Iterator[Finding]:
        for key in self.keys:
            if key in present and not any(other in present for other in self.others):
                yield (key,), mistake(f"needs {' or '.join(self.others)} beside it: {self.why}")
                return

    def schema(self) -> dict[str, Any]:
        return {
            "if": {"anyOf": [{"required": [key]} for key in self.keys]},
            "then": {"anyOf": [{"required": [other]} for other in self.others]},
        }


Rule = OneOf | AnyOf | Needs


def _schema_of_rules(schema: dict[str, Any], model: type[Any]) -> None:
    rules = [rule.schema() for rule in model.rules]
    if rules:
        schema["allOf"] = rules


class Section(BaseModel):
    """A mapping of the configuration: camelCase in the file, snake_case here; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
        json_schema_extra=_schema_of_rules,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def findings(cls, present: Mapping[str, Any]) -> Iterator[Finding]:
        """What is wrong between keys, as they stand in the file; a section may add its own to those of `rules`."""
        for rule in cls.rules:
            yield from rule.findings(present)

    @model_validator(mode="wrap")
    @classmethod
    def _check_rules(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Rules between keys are checked even when a key is wrong by itself, so that all mistakes come at once."""
        found: list[InitErrorDetails] = []
        if isinstance(data, Mapping):
            aliases = {name: field.alias or name for name, field in cls.model_fields.items()}
            present = {aliases.get(key, str(key)): value for key, value in data.items() if value is not None}
            found += [
                InitErrorDetails(type=error, loc=location, input=None) for location, error in cls.findings(present)
            ]
        try:
            section = handler(data)
        except ValidationError as error:
            found += [_again(detail) for detail in error.errors(include_url=False, include_input=False)]
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found, hide_input=True)
        return section


def _again(detail: Any) -> InitErrorDetails:
    """An error of pydantic's, made anew so that it can be raised beside ours."""
    context = {**detail.get("ctx", {}), "text": detail["msg"]}
    return InitErrorDetails(type=PydanticCustomError(detail["type"], "{text}", context), loc=detail["loc"], input=None)
