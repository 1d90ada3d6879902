"""The configuration of ignore rules and of field managers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from driftd.config.mistake import mistake
from driftd.config.section import AnyOf, KeyRule, Section
from driftd.diff.rules.cel import validate
from driftd.model.errors import DriftdError


def _checked(text: str) -> str:
    try:
        return validate(text)
    except DriftdError as error:
        raise mistake(str(error)) from error


Expression = Annotated[str, AfterValidator(_checked)]
Patterns = str | Annotated[list[str], Field(min_length=1)]

_CONDITIONS = ("kind", "group", "name", "namespace", "path", "manager", "cel")


class ManagersConfig(Section):
    """Who is who in managedFields, beyond what driftd knows by itself. `*` is any run of characters."""

    controllers: tuple[str, ...] = Field(
        default=(),
        description="Managers whose own fields are their work, and nobody's drift.",
        examples=[["my-operator"]],
    )
    deployers: tuple[str, ...] = Field(
        default=(), description="Managers that deploy manifests, as a pipeline of your own does.", examples=[["ci-*"]]
    )


class IgnoreConfig(Section):
    """Differences to pass over: all of the conditions must hold. `*` is any run of characters."""

    rules: ClassVar[tuple[KeyRule, ...]] = (AnyOf(_CONDITIONS),)

    kind: Patterns | None = Field(default=None, description="The kind, or several.", examples=["Deployment"])
    group: Patterns | None = Field(default=None, description="The API group, or several.", examples=["apps"])
    name: Patterns | None = Field(default=None, description="The object's name, or several.")
    namespace: Patterns | None = Field(default=None, description="Its namespace, or several.")
    path: Patterns | None = Field(
        default=None,
        description="The field, with all that is below it, or several.",
        examples=["spec.template.spec.containers[name=*].image", 'metadata.annotations["example.com/*"]'],
    )
    manager: Patterns | None = Field(default=None, description="Who set the live value, or several.")
    cel: Expression | None = Field(
        default=None,
        description="A CEL expression over `object` (as Git declares it) and `field` (path, change, desired, live, "
        "manager).",
        examples=["field.live.startsWith('registry.example.com/')"],
    )
    reason: str | None = Field(default=None, description="Why, for whoever reads this next.")
