"""The base of all sections of the configuration, and the rules about which keys go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from driftd.config.mistake import mistake

KeyMistake = tuple[tuple[str | int, ...], PydanticCustomError]
"""A location inside the section, and the error."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """At most one of the keys may be set; with `required`, exactly one."""

    keys: tuple[str, ...]
    required: bool = False

    def mistakes(self, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        used = [key for key in self.keys if key in present]
        if self.required and not used:
            yield (), mistake(f"needs one of {', '.join(self.keys)}")
        for key in used[1:]:
            yield (key,), mistake(f"cannot be there together with {used[0]}: choose one")

    def schema(self) -> dict[str, Any]:
        alternatives: list[dict[str, Any]] = [{"required": [key]} for key in self.keys]
        if not self.required:
            alternatives.append({"not": {"anyOf": [{"required": [key]} for key in self.keys]}})
        return {"oneOf": alternatives}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the keys must be set."""

    keys: tuple[str, ...]

    def mistakes(self, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        if not any(key in present for key in self.keys):
            yield (), mistake(f"needs at least one of {', '.join(self.keys)}: without, it would mean everything")

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"required": [key]} for key in self.keys]}


@dataclass(frozen=True, slots=True)
class Needs:
    """Where any of `keys` is set, one of `others` must be set too."""

    keys: tuple[str, ...]
    others: tuple[str, ...]
    why: str

    def mistakes(self, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        for key in self.keys:
            if key in present and not any(other in present for other in self.others):
                yield (key,), mistake(f"needs {' or '.join(self.others)} beside it: {self.why}")
                return

    def schema(self) -> dict[str, Any]:
        return {
            "if": {"anyOf": [{"required": [key]} for key in self.keys]},
            "then": {"anyOf": [{"required": [other]} for other in self.others]},
        }


KeyRule = OneOf | AnyOf | Needs


def _schema_of_rules(schema: dict[str, Any], model: type[Any]) -> None:
    rules = [rule.schema() for rule in model.rules]
    if rules:
        schema["allOf"] = rules


class Section(BaseModel):
    """A mapping of the configuration: camelCase in the file, snake_case in Python; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
        json_schema_extra=_schema_of_rules,
    )

    rules: ClassVar[tuple[KeyRule, ...]] = ()

    @classmethod
    def mistakes(cls, present: Mapping[str, Any]) -> Iterator[KeyMistake]:
        """Mistakes in combinations of keys, by the file's keys; a section may add its own to those of `rules`."""
        for rule in cls.rules:
            yield from rule.mistakes(present)

    @model_validator(mode="wrap")
    @classmethod
    def _check_rules(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Rules are checked even when single keys are invalid, so that all mistakes are reported at once."""
        errors: list[InitErrorDetails] = []
        if isinstance(data, Mapping):
            aliases = {name: field.alias or name for name, field in cls.model_fields.items()}
            present = {aliases.get(key, str(key)): value for key, value in data.items() if value is not None}
            errors += [
                InitErrorDetails(type=error, loc=location, input=None) for location, error in cls.mistakes(present)
            ]
        try:
            section = handler(data)
        except ValidationError as error:
            errors += [_copy_of(detail) for detail in error.errors(include_url=False, include_input=False)]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors, hide_input=True)
        return section


def _copy_of(detail: Any) -> InitErrorDetails:
    """A copy of pydantic's error that can be raised together with ours."""
    context = {**detail.get("ctx", {}), "text": detail["msg"]}
    return InitErrorDetails(type=PydanticCustomError(detail["type"], "{text}", context), loc=detail["loc"], input=None)
