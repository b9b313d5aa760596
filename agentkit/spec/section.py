"""What all sections of agent.yaml share: strictness, faults with their fix, kinds of text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator
from pydantic_core import (
    InitErrorDetails,
    PydanticCustomError,
    ValidationError,
    core_schema,
)

from agentkit.spec.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import ErrorDetails

__all__ = [
    "Exactly",
    "Fault",
    "FilePath",
    "HubId",
    "LicenceId",
    "Line",
    "Matches",
    "Section",
    "checked_together",
    "distinct",
    "faults",
    "refuse_reference",
]

_Checked = TypeVar("_Checked")

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Section(BaseModel):
    """One mapping of agent.yaml: unknown keys are fatal, nothing is coerced, nothing changes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:  # noqa: ARG003 - for sections to override
        """Yield what is wrong between the section's keys.

        ``given``: the mapping as written, its values not checked yet, so that the faults are
        reported together with those of single keys.
        """
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _check_across(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - whatever stands in the file
        found = tuple(cls.cross_check(value)) if isinstance(value, dict) else ()
        return checked_together(value, handler, found)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a check of ours found: what is wrong and what to write instead.

    ``at``: the path below the checked value, empty for the value itself. ``on_key``: the key is
    wrong, not its value.
    """

    message: str
    fix: str
    at: tuple[str | int, ...] = ()
    on_key: bool = False


def faults(*found: Fault) -> PydanticCustomError:
    """Return the error to raise from a validator for one or several faults."""
    message = "; ".join(fault.message for fault in found)
    return PydanticCustomError("faults", "{message}", {"message": message, "faults": found})


@dataclass(frozen=True, slots=True)
class Exactly:
    """A whole number of a closed set; ``true`` and ``1.0`` are not ``1``."""

    numbers: tuple[int, ...]
    fix: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._check, core_schema.int_schema(strict=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "integer", "enum": list(self.numbers)}

    def _check(self, value: int) -> int:
        if value not in self.numbers:
            allowed = " or ".join(map(str, self.numbers))
            raise faults(Fault(f"must be {allowed}, found {value}", self.fix))
        return value


@dataclass(frozen=True, slots=True)
class Matches:
    """Text of a shape: ``pattern`` must match it all. ``kind`` names it for people."""

    pattern: str
    kind: str
    fix: str
    example: str = ""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._check, core_schema.str_schema(strict=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found: JsonSchemaValue = {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        if self.example:
            found["examples"] = [self.example]
        return found

    def _check(self, value: str) -> str:
        refuse_reference(value)
        if re.fullmatch(self.pattern, value) is None:
            raise faults(Fault(f"must be {self.kind}, found the text {quoted(value)}", self.fix))
        return value


def checked_together(
    value: Any,  # noqa: ANN401 - whatever stands in the file
    handler: Callable[[Any], _Checked],
    found: tuple[Fault, ...],
) -> _Checked:
    """Return ``handler(value)``; its errors, if any, are raised as one with those of ``found``."""
    if not found:
        return handler(value)
    own = InitErrorDetails(type=faults(*found), loc=(), input=None)
    try:
        handler(value)
    except ValidationError as invalid:
        others = [_carried(error) for error in invalid.errors(include_url=False)]
        raise ValidationError.from_exception_data("section", [*others, own]) from None
    raise ValidationError.from_exception_data("section", [own])


def _carried(error: ErrorDetails) -> InitErrorDetails:
    """Return an error so that pydantic takes it into another one, its type and place unchanged."""
    context = {**error.get("ctx", {}), "said": error["msg"]}
    kind = PydanticCustomError(error["type"], "{said}", context)
    return InitErrorDetails(type=kind, loc=error["loc"], input=None)


def refuse_reference(value: str) -> str:
    """Return ``value`` unless it refers to the environment, which only secrets may."""
    if found := REFERENCE.search(value):
        raise faults(
            Fault(
                f"refers to the environment ({found[0]}), which only api_key fields may",
                "write the value itself; agent.yaml must say what runs wherever it is read",
            )
        )
    return value


def distinct(values: tuple[object, ...]) -> tuple[object, ...]:
    """Return the values of a list in which none stands twice."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise faults(Fault(f"{quoted(str(value))} is listed twice", "list it once", (index,)))
    return values


Line = Annotated[
    str,
    Matches(
        r"(?=.*\S)[^\x00-\x1f\x7f]{1,200}",
        "one line of 1 to 200 characters",
        "write a short text on one line",
    ),
]
"""Text on one line, for people to read."""

FilePath = Annotated[
    str,
    Matches(
        r"(?=.*\S)[^\x00-\x1f\x7f]{1,4096}",
        "the path of a file or folder",
        "write a path; a relative one begins at the folder of agent.yaml",
    ),
]
"""A path; a relative one begins at the specification's folder, see ``LoadedSpec.resolve``."""

HubId = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}",
        "a model id of the form owner/name",
        "write it as the hub shows it: meta-llama/Llama-4-Scout-17B-16E-Instruct",
        "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    ),
]
"""A model's id on the Hugging Face hub."""

LicenceId = Annotated[
    str,
    Matches(
        r"[a-z0-9][a-z0-9.+-]{0,63}",
        "a licence id in lower case",
        "write the id that model hubs use, such as apache-2.0, mit or llama4",
        "apache-2.0",
    ),
]
"""A licence by the id that model hubs use."""
